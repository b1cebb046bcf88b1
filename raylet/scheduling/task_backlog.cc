#include "raylet/scheduling/task_backlog.h"

namespace raylet {

void TaskBacklog::BeginTurn() { drops_left_ = ready_left_ = lost_left_ = parts_.limits.tasks_per_turn; }

// ---- events

void TaskBacklog::ObjectSealed(const ObjectId& object) {
  parts_.tasks.dependencies().Sealed(object);
  MakeReady(ready_left_);
}

std::vector<WorkerId> TaskBacklog::OwnersEnded(const ProcessSet& processes) {
  for (const ProcessId process : processes) parts_.tasks.OwnerEnded(process);
  auto running = LeaveDoomed();
  for (const ProcessId process : processes) parts_.queue.OwnerEnded(process);
  return running;
}

std::vector<WorkerId> TaskBacklog::JobEnded(JobId job, const ProcessSet& survivors, bool for_good) {
  parts_.tasks.EndJob(job, survivors, for_good);
  return LeaveDoomed();
}

void TaskBacklog::ObjectsLost(const ProcessSet& owners, const MayBeSealed& may_be_sealed) {
  parts_.tasks.dependencies().OwnersEnded(owners);
  LoseOfEnded(lost_left_, may_be_sealed);
}

// Doomed tasks that run, or that a worker has, stay there until it ends or gives them back. The others go.
std::vector<WorkerId> TaskBacklog::LeaveDoomed() {
  const std::vector<JobId> jobs = parts_.tasks.JobsWithDoomed();
  if (jobs.empty()) return {};
  std::vector<WorkerId> running;
  for (auto& [id, worker] : parts_.workers.all()) {
    if (worker.task != nullptr && TaskTable::IsDoomed(*worker.task)) {
      worker.task->owner_gone = true;
      running.push_back(id);
    }
    bool recall = false;
    for (QueuedTask* const task : worker.ahead) {
      if (!TaskTable::IsDoomed(*task)) continue;
      task->owner_gone = recall = true;
    }
    if (recall) parts_.ahead.Recall(worker);
  }
  for (const JobId job : jobs) parts_.queue.Suspend(job);
  DropDoomed(drops_left_);
  return running;
}

// ---- parts

void TaskBacklog::WorkOff(const MayBeSealed& may_be_sealed) {
  size_t drops = parts_.limits.tasks_per_turn, ready = drops, lost = drops;
  DropDoomed(drops);
  MakeReady(ready);
  LoseOfEnded(lost, may_be_sealed);
}

void TaskBacklog::DropDoomed(size_t& most) {
  for (; most > 0; --most) {
    QueuedTask* const task = parts_.tasks.NextDoomed();
    if (task == nullptr) break;
    if (task->state == QueuedTask::State::kRunning || task->state == QueuedTask::State::kAhead) {
      parts_.tasks.Spare(*task);
      continue;
    }
    if (task->state == QueuedTask::State::kReady) parts_.queue.Remove(task);
    Drop(task);
  }
  std::vector<JobId> done;
  for (const auto& [job, shapes] : parts_.queue.suspended())
    if (!parts_.tasks.HasDoomed(job)) done.push_back(job);
  for (const JobId job : done) parts_.queue.Resume(job);
}

void TaskBacklog::Drop(QueuedTask* task) {
  if (task->state == QueuedTask::State::kWaiting) parts_.tasks.StopWaiting(*task);
  if (task->state == QueuedTask::State::kForwarded) parts_.forwarded.Cancel(*task);
  parts_.tasks.Forget(task);
}

void TaskBacklog::MakeReady(size_t& most) {
  for (QueuedTask* const task : parts_.tasks.TakeReady(most)) parts_.queue.Push(task);
}

void TaskBacklog::LoseOfEnded(size_t& most, const MayBeSealed& may_be_sealed) {
  for (const ObjectId& object : parts_.tasks.dependencies().TakeLost(most, may_be_sealed))
    parts_.tasks.ObjectLost(object, "");
  parts_.tasks.LoseSome(most);
}

}  // namespace raylet
