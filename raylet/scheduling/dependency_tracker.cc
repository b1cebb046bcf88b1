#include "raylet/scheduling/dependency_tracker.h"

#include <algorithm>

namespace raylet {

std::vector<ObjectId> DependencyTracker::Add(const TaskId& task, std::span<const ObjectId> objects) {
  std::vector<ObjectId> unwatched;
  auto& missing = missing_[task];
  for (const ObjectId& object : objects) {
    if (!missing.insert(object).second) continue;
    auto& tasks = waiting_[object];
    if (tasks.empty()) {
      unwatched.push_back(object);
      ++owners_[OwnerOf(object)];
    }
    tasks.insert(task);
  }
  return unwatched;
}

std::vector<TaskId> DependencyTracker::Sealed(const ObjectId& object) {
  std::vector<TaskId> ready;
  const auto found = waiting_.find(object);
  if (found == waiting_.end()) return ready;
  for (const TaskId& task : found->second) {
    const auto missing = missing_.find(task);
    missing->second.erase(object);
    if (!missing->second.empty()) continue;
    missing_.erase(missing);
    ready.push_back(task);
  }
  Forget(object);
  return ready;
}

std::vector<TaskId> DependencyTracker::Lost(const ObjectId& object) {
  const auto found = waiting_.find(object);
  if (found == waiting_.end()) return {};
  std::vector<TaskId> tasks(found->second.begin(), found->second.end());
  Forget(object);
  return tasks;
}

void DependencyTracker::Forget(const ObjectId& object) {
  waiting_.erase(object);
  const auto owner = owners_.find(OwnerOf(object));
  if (--owner->second == 0) owners_.erase(owner);
}

std::vector<ObjectId> DependencyTracker::Remove(const TaskId& task) {
  std::vector<ObjectId> unwanted;
  const auto missing = missing_.find(task);
  if (missing == missing_.end()) return unwanted;
  for (const ObjectId& object : missing->second) {
    const auto tasks = waiting_.find(object);
    if (tasks == waiting_.end() || tasks->second.erase(task) == 0 || !tasks->second.empty()) continue;
    Forget(object);
    unwanted.push_back(object);
  }
  missing_.erase(missing);
  return unwanted;
}

std::vector<std::pair<TaskId, ObjectId>> DependencyTracker::WaitingForOwners(
    const ProcessSet& processes, const std::function<bool(const ObjectId&)>& may_be_sealed) const {
  const bool any =
      std::any_of(processes.begin(), processes.end(), [this](ProcessId process) { return owners_.contains(process); });
  if (!any) return {};
  std::vector<std::pair<TaskId, ObjectId>> tasks;
  for (const auto& [task, objects] : missing_) {
    const auto lost = std::find_if(objects.begin(), objects.end(), [&](const ObjectId& object) {
      return processes.contains(OwnerOf(object)) && !(may_be_sealed && may_be_sealed(object));
    });
    if (lost != objects.end()) tasks.emplace_back(task, *lost);
  }
  return tasks;
}

std::vector<ObjectId> DependencyTracker::MissingFor(const TaskId& task) const {
  const auto missing = missing_.find(task);
  if (missing == missing_.end()) return {};
  return {missing->second.begin(), missing->second.end()};
}

}  // namespace raylet
