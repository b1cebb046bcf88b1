#include "raylet/scheduling/task_queue.h"

#include <algorithm>

#include "base/check.h"

namespace raylet {
namespace {
const std::vector<std::unique_ptr<TaskShape>> kNoShapes;
}

TaskShape& TaskQueue::ShapeOf(const Task& task) {
  auto& shapes = jobs_[task.job];
  for (const auto& shape : shapes)
    if (shape->dedicated == task.CreatesActor() && shape->depth == task.depth && shape->resources == task.resources)
      return *shape;
  auto shape = std::make_unique<TaskShape>();
  shape->resources = task.resources;
  shape->dedicated = task.CreatesActor();
  shape->depth = task.depth;
  shape->needs = ledger_.Resolve(task.resources);
  shapes.push_back(std::move(shape));
  return *shapes.back();
}

bool TaskQueue::KeptAside(QueuedTask* task) {
  if (held_.empty() || task->task->CreatesActor()) return false;
  const auto owner = held_.find(task->task->owner);
  if (owner == held_.end()) return false;
  owner->second.push_back(task);
  ++held_tasks_;
  return true;
}

void TaskQueue::Hold(ProcessId owner) {
  if (held_.contains(owner)) return;
  auto tasks =
      RemoveIf([owner](const QueuedTask& each) { return each.task->owner == owner && !each.task->CreatesActor(); });
  held_tasks_ += tasks.size();
  held_.emplace(owner, std::move(tasks));
}

void TaskQueue::Release(ProcessId owner) {
  auto node = held_.extract(owner);
  if (node.empty()) return;
  std::vector<QueuedTask*>& tasks = node.mapped();
  held_tasks_ -= tasks.size();
  // What came back from a worker has come behind those that were submitted later.
  std::sort(tasks.begin(), tasks.end(),
            [](const QueuedTask* a, const QueuedTask* b) { return a->sequence < b->sequence; });
  for (QueuedTask* const task : tasks) Push(task);
}

void TaskQueue::Push(QueuedTask* task) {
  task->state = QueuedTask::State::kReady;
  if (KeptAside(task)) return;
  ShapeOf(*task->task).tasks.push_back(task);
  ++size_;
}

void TaskQueue::PushAgain(QueuedTask* task) {
  task->state = QueuedTask::State::kReady;
  if (KeptAside(task)) return;
  ShapeOf(*task->task).tasks.push_front(task);
  ++size_;
}

bool TaskQueue::HasRoomForShape(const Task& task) const {
  const auto job = jobs_.find(task.job);
  if (job == jobs_.end() || job->second.size() < kShapesPerJobMax) return true;
  if (std::count_if(job->second.begin(), job->second.end(), [&](const auto& shape) {
        return shape->depth == task.depth;
      }) < static_cast<std::ptrdiff_t>(kShapesPerJobMax))
    return true;
  return std::any_of(job->second.begin(), job->second.end(), [&](const auto& shape) {
    return shape->dedicated == task.CreatesActor() && shape->resources == task.resources;
  });
}

size_t TaskQueue::size(JobId job) const {
  size_t count = 0;
  for (const auto& shape : shapes(job)) count += shape->tasks.size();
  return count;
}

const std::vector<std::unique_ptr<TaskShape>>& TaskQueue::shapes(JobId job) const {
  const auto found = jobs_.find(job);
  return found == jobs_.end() ? kNoShapes : found->second;
}

std::vector<JobId> TaskQueue::jobs() const {
  std::vector<JobId> ids;
  ids.reserve(jobs_.size());
  for (const auto& job : jobs_) ids.push_back(job.first);
  return ids;
}

QueuedTask* TaskQueue::Pop(JobId job, size_t shape, size_t index) {
  const auto found = jobs_.find(job);
  RAYLET_CHECK(found != jobs_.end() && shape < found->second.size() && index < found->second[shape]->tasks.size());
  auto& tasks = found->second[shape]->tasks;
  QueuedTask* const task = tasks[index];
  tasks.erase(tasks.begin() + static_cast<std::ptrdiff_t>(index));
  --size_;
  if (tasks.empty()) {
    found->second.erase(found->second.begin() + static_cast<std::ptrdiff_t>(shape));
    if (found->second.empty()) jobs_.erase(found);
  }
  return task;
}

std::vector<QueuedTask*> TaskQueue::RemoveIf(const std::function<bool(const QueuedTask&)>& matches) {
  std::vector<QueuedTask*> removed;
  for (auto job = jobs_.begin(); job != jobs_.end();) {
    auto& shapes = job->second;
    for (auto& shape : shapes) {
      std::deque<QueuedTask*> kept;
      for (QueuedTask* const task : shape->tasks) {
        if (matches(*task))
          removed.push_back(task);
        else
          kept.push_back(task);
      }
      shape->tasks.swap(kept);
    }
    std::erase_if(shapes, [](const auto& shape) { return shape->tasks.empty(); });
    job = shapes.empty() ? jobs_.erase(job) : std::next(job);
  }
  size_ -= removed.size();
  for (auto& [owner, tasks] : held_) {
    const auto matching =
        std::stable_partition(tasks.begin(), tasks.end(), [&](const QueuedTask* task) { return !matches(*task); });
    held_tasks_ -= static_cast<size_t>(tasks.end() - matching);
    removed.insert(removed.end(), matching, tasks.end());
    tasks.erase(matching, tasks.end());
  }
  return removed;
}

std::vector<QueuedTask*> TaskQueue::RemoveJob(JobId job) {
  std::vector<QueuedTask*> removed;
  const auto found = jobs_.find(job);
  if (found == jobs_.end()) return removed;
  for (const auto& shape : found->second) removed.insert(removed.end(), shape->tasks.begin(), shape->tasks.end());
  size_ -= removed.size();
  jobs_.erase(found);
  return removed;
}

}  // namespace raylet
