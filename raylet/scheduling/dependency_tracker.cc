#include "raylet/scheduling/dependency_tracker.h"

#include <utility>

namespace raylet {

std::vector<ObjectId> DependencyTracker::Add(const TaskId& task, uint64_t sequence, std::span<const ObjectId> objects) {
  std::vector<ObjectId> unwatched;
  Missing& missing = missing_[task];
  missing.sequence = sequence;
  for (const ObjectId& object : objects) {
    if (!missing.objects.insert(object).second) continue;
    const auto [waiting, is_new] = waiting_.try_emplace(object);
    if (is_new) {
      unwatched.push_back(object);
      by_owner_[OwnerOf(object)].insert(object);
    }
    waiting->second.emplace_hint(waiting->second.end(), sequence, task);
  }
  return unwatched;
}

DependencyTracker::Waiting DependencyTracker::Forget(const ObjectId& object) {
  const auto found = waiting_.find(object);
  if (found == waiting_.end()) return {};
  Waiting tasks = std::move(found->second);
  waiting_.erase(found);
  const auto owner = by_owner_.find(OwnerOf(object));
  if (owner == by_owner_.end()) return tasks;
  owner->second.erase(object);
  if (owner->second.empty()) by_owner_.erase(owner);
  return tasks;
}

void DependencyTracker::Sealed(const ObjectId& object) {
  if (Waiting tasks = Forget(object); !tasks.empty()) sealed_.push_back({object, std::move(tasks)});
}

std::vector<TaskId> DependencyTracker::TakeReady(size_t& most) {
  std::vector<TaskId> ready;
  for (; most > 0 && !sealed_.empty(); --most) {
    auto& [object, tasks] = sealed_.front();
    const auto [sequence, task] = *tasks.begin();
    const auto missing = missing_.find(task);
    // Otherwise the task has gone, and perhaps another one with its id has come.
    if (missing != missing_.end() && missing->second.sequence == sequence) {
      missing->second.objects.erase(object);
      if (missing->second.objects.empty()) {
        missing_.erase(missing);
        ready.push_back(task);
      }
    }
    tasks.erase(tasks.begin());
    if (tasks.empty()) sealed_.pop_front();
  }
  return ready;
}

DependencyTracker::Waiting DependencyTracker::Lost(const ObjectId& object) { return Forget(object); }

std::vector<ObjectId> DependencyTracker::Remove(const TaskId& task) {
  std::vector<ObjectId> unwanted;
  const auto missing = missing_.find(task);
  if (missing == missing_.end()) return unwanted;
  const auto [sequence, objects] = std::move(missing->second);
  missing_.erase(missing);
  for (const ObjectId& object : objects) {
    const auto waiting = waiting_.find(object);
    if (waiting == waiting_.end() || waiting->second.erase(sequence) == 0 || !waiting->second.empty()) continue;
    (void)Forget(object);
    unwanted.push_back(object);
  }
  return unwanted;
}

void DependencyTracker::OwnersEnded(const ProcessSet& processes) {
  for (const ProcessId process : processes)
    if (auto node = by_owner_.extract(process)) of_ended_.push_back(std::move(node.mapped()));
}

std::vector<ObjectId> DependencyTracker::TakeLost(size_t& most,
                                                  const std::function<bool(const ObjectId&)>& may_be_sealed) {
  std::vector<ObjectId> lost;
  for (; most > 0 && !of_ended_.empty(); --most) {
    std::set<ObjectId>& objects = of_ended_.front();
    auto node = objects.extract(objects.begin());
    if (objects.empty()) of_ended_.pop_front();
    if (!waiting_.contains(node.value())) continue;
    if (may_be_sealed && may_be_sealed(node.value()))
      by_owner_[OwnerOf(node.value())].insert(std::move(node));
    else
      lost.push_back(node.value());
  }
  return lost;
}

}  // namespace raylet
