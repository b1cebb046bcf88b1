#include "raylet/scheduling/task_queue.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace raylet {
namespace {
const std::vector<std::unique_ptr<TaskShape>> kNoShapes;
}

TaskShape& TaskQueue::ShapeOf(const Task& task) {
  auto& shapes = Where(task.job)[task.job];
  for (const auto& shape : shapes)
    if (shape->dedicated == task.CreatesActor() && shape->depth == task.depth && shape->resources == task.resources &&
        shape->group.environment == task.environment)
      return *shape;
  auto shape = std::make_unique<TaskShape>();
  shape->group = task.group();
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
  task->shape = nullptr;
  task->place = owner->second.insert(owner->second.end(), task);
  ++held_tasks_;
  return true;
}

void TaskQueue::Hold(ProcessId owner) {
  if (held_.contains(owner)) return;
  const auto tasks =
      RemoveIf([owner](const QueuedTask& each) { return each.task->owner == owner && !each.task->CreatesActor(); });
  held_[owner];
  for (QueuedTask* const task : tasks) (void)KeptAside(task);
}

void TaskQueue::Release(ProcessId owner) {
  auto node = held_.extract(owner);
  if (node.empty()) return;
  TaskList& tasks = node.mapped();
  held_tasks_ -= tasks.size();
  // A task that a worker gave back may stand behind tasks that were submitted later.
  tasks.sort([](const QueuedTask* a, const QueuedTask* b) { return a->sequence < b->sequence; });
  for (QueuedTask* const task : tasks) Push(task);
}

void TaskQueue::OwnerEnded(ProcessId owner) {
  const auto held = held_.find(owner);
  if (held == held_.end()) return;
  if (held->second.empty())
    held_.erase(held);
  else
    ended_.insert(owner);
}

void TaskQueue::Suspend(JobId job) {
  if (suspended_.contains(job)) return;
  size_ -= size(job);
  auto node = jobs_.extract(job);
  if (node)
    suspended_.insert(std::move(node));
  else
    suspended_.try_emplace(job);
}

void TaskQueue::Resume(JobId job) {
  auto node = suspended_.extract(job);
  if (!node || node.mapped().empty()) return;
  jobs_.insert(std::move(node));
  size_ += size(job);
}

void TaskQueue::Push(QueuedTask* task) {
  task->state = QueuedTask::State::kReady;
  if (KeptAside(task)) return;
  TaskShape& shape = ShapeOf(*task->task);
  PutInto(shape, shape.tasks.end(), task);
}

void TaskQueue::PushAgain(QueuedTask* task) {
  task->state = QueuedTask::State::kReady;
  if (KeptAside(task)) return;
  TaskShape& shape = ShapeOf(*task->task);
  PutInto(shape, shape.tasks.begin(), task);
}

void TaskQueue::PutInto(TaskShape& shape, TaskList::iterator before, QueuedTask* task) {
  task->shape = &shape;
  task->place = shape.tasks.insert(before, task);
  if (!suspended_.contains(shape.group.job)) ++size_;
}

void TaskQueue::PushRetry(QueuedTask* task) {
  if (task->retries_left > 0) task->retries_left--;
  task->worker = 0;
  task->node = NodeId();
  task->beyond_fit = false;
  PushAgain(task);
}

bool TaskQueue::HasRoomForShape(const Task& task) const {
  const auto& jobs = suspended_.contains(task.job) ? suspended_ : jobs_;
  const auto job = jobs.find(task.job);
  if (job == jobs.end() || job->second.size() < kShapesPerJobMax) return true;
  if (std::count_if(job->second.begin(), job->second.end(), [&](const auto& shape) {
        return shape->depth == task.depth;
      }) < static_cast<std::ptrdiff_t>(kShapesPerJobMax))
    return true;
  return std::any_of(job->second.begin(), job->second.end(), [&](const auto& shape) {
    return shape->dedicated == task.CreatesActor() && shape->resources == task.resources &&
           shape->group.environment == task.environment;
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

std::set<WorkerGroup> TaskQueue::groups() const {
  std::set<WorkerGroup> groups;
  for (const auto& [job, shapes] : jobs_)
    for (const auto& shape : shapes) groups.insert(shape->group);
  return groups;
}

void TaskQueue::GroupChanged(const PlacementGroupId& group) {
  for (const auto* const jobs : {&jobs_, &suspended_})
    for (const auto& [job, shapes] : *jobs)
      for (const auto& shape : shapes)
        if (shape->tasks.front()->task->placement_group == group) shape->needs = ledger_.Resolve(shape->resources);
}

QueuedTask* TaskQueue::PopFront(JobId job, size_t shape) {
  QueuedTask* const task = jobs_.at(job).at(shape)->tasks.front();
  Remove(task);
  return task;
}

void TaskQueue::Remove(QueuedTask* task) {
  if (task->shape == nullptr) {
    const auto held = held_.find(task->task->owner);
    held->second.erase(task->place);
    --held_tasks_;
    if (held->second.empty() && ended_.erase(held->first) > 0) held_.erase(held);
    return;
  }
  TaskShape* const shape = std::exchange(task->shape, nullptr);
  shape->tasks.erase(task->place);
  auto& jobs = Where(task->task->job);
  if (&jobs == &jobs_) --size_;
  if (!shape->tasks.empty()) return;
  const auto job = jobs.find(task->task->job);
  std::erase_if(job->second, [shape](const auto& each) { return each.get() == shape; });
  if (&jobs == &jobs_ && job->second.empty()) jobs_.erase(job);
}

std::vector<QueuedTask*> TaskQueue::RemoveIf(const std::function<bool(const QueuedTask&)>& matches) {
  std::vector<QueuedTask*> removed;
  const auto collect = [&](const TaskList& tasks) {
    std::copy_if(tasks.begin(), tasks.end(), std::back_inserter(removed),
                 [&](const QueuedTask* task) { return matches(*task); });
  };
  for (const auto* const jobs : {&jobs_, &suspended_})
    for (const auto& [job, shapes] : *jobs)
      for (const auto& shape : shapes) collect(shape->tasks);
  for (const auto& [owner, tasks] : held_) collect(tasks);
  for (QueuedTask* const task : removed) Remove(task);
  return removed;
}

std::vector<QueuedTask*> TaskQueue::RemoveGroup(const WorkerGroup& group) {
  std::vector<QueuedTask*> removed;
  for (const auto& shape : shapes(group.job))
    if (shape->group == group) removed.insert(removed.end(), shape->tasks.begin(), shape->tasks.end());
  for (QueuedTask* const task : removed) Remove(task);
  return removed;
}

}  // namespace raylet
