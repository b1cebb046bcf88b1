#include "raylet/scheduling/scheduler.h"

#include <algorithm>

#include "base/strings.h"

namespace raylet {

void Scheduler::JoinCluster(ClusterView& view, const ObjectPlaces& places) {
  tasks_.JoinCluster(places);
  forwarded_.JoinCluster(view);
  dispatcher_.JoinCluster(view, places);
  dirty_ = true;
}

std::vector<SchedulerDecision> Scheduler::TakeDecisions() {
  backlog_.BeginTurn();
  if (std::exchange(dirty_, false)) {
    dispatcher_.Pass();
    leases_.Pass(/*others=*/forwarded_.AnyUsable());
  }
  return std::exchange(decisions_, {});
}

// ---- tasks

Result<void> Scheduler::Submit(TaskPtr task) {
  const auto added = tasks_.Add(std::move(task));
  if (!added) return Fail(added.error());
  dirty_ = true;
  QueuedTask* const queued = *added;
  if (queued->task->wait_for.empty())
    queue_.Push(queued);
  else
    tasks_.WaitFor(queued, queued->task->wait_for);
  return {};
}

bool Scheduler::Cancel(const TaskId& id) {
  QueuedTask* const task = tasks_.Find(id);
  if (task == nullptr || task->state == QueuedTask::State::kRunning || task->state == QueuedTask::State::kAhead)
    return false;
  if (task->state == QueuedTask::State::kReady) queue_.Remove(task);
  backlog_.Drop(task);
  dirty_ = true;
  return true;
}

bool Scheduler::EndsWithoutResult(const TaskId& id) {
  const QueuedTask* const task = tasks_.Find(id);
  return task != nullptr && (task->owner_gone || TaskTable::IsDoomed(*task));
}

std::optional<Scheduler::TaskPlace> Scheduler::PlaceOf(const TaskId& id) {
  const QueuedTask* const task = tasks_.Find(id);
  if (task == nullptr) return std::nullopt;
  return TaskPlace{task->task->from, task->worker, task->node, task->task->CreatesActor()};
}

void Scheduler::MarkCancelled(const TaskId& id) {
  if (QueuedTask* const task = tasks_.Find(id)) task->cancelled = true;
}

void Scheduler::ObjectSealed(const ObjectId& object) {
  backlog_.ObjectSealed(object);
  dirty_ = true;
}

std::vector<WorkerId> Scheduler::OwnersGone(const ProcessSet& processes, const MayBeSealed& may_be_sealed) {
  dirty_ = true;
  tasks_.WaitsNoLonger(processes);  // before their tasks go and give room
  auto running = backlog_.OwnersEnded(processes);
  const auto leased = leases_.CallersGone(processes);
  running.insert(running.end(), leased.begin(), leased.end());
  backlog_.ObjectsLost(processes, may_be_sealed);
  return running;
}

void Scheduler::OwnerBehind(ProcessId process, bool behind) {
  dirty_ = true;
  if (!behind) return queue_.Release(process);
  queue_.Hold(process);
  leases_.ShutOf(process);
  if (!tasks_.HasTasksOf(process)) return;
  ahead_.RecallOwnedBy(process);
  forwarded_.RecallAll();
}

std::vector<WorkerId> Scheduler::JobEnded(JobId id, const ProcessSet& survivors, bool for_good) {
  dirty_ = true;
  leases_.JobEnded(id);
  std::vector<WorkerId> ending;
  for (const auto& [worker_id, worker] : workers_.all()) {
    if (worker.job != id || (!for_good && WorkerTable::Outlives(worker, survivors))) continue;
    WorkerStopping(worker_id);
    ending.push_back(worker_id);
  }
  (void)backlog_.JobEnded(id, survivors, for_good);  // workers that run such tasks stop
  return ending;
}

void Scheduler::JobGone(JobId id) {
  tasks_.ForgetJob(id);
  workers_.ForgetJob(id);
}

std::vector<WorkerId> Scheduler::DropAll(const std::vector<QueuedTask*>& tasks) {
  dirty_ = true;
  std::vector<WorkerId> running;
  for (QueuedTask* const task : tasks) {
    switch (task->state) {
      case QueuedTask::State::kRunning:
        task->owner_gone = true;
        running.push_back(task->worker);
        break;
      case QueuedTask::State::kAhead:
        task->owner_gone = true;
        ahead_.Recall(workers_.at(task->worker));
        break;
      case QueuedTask::State::kReady:
        queue_.Remove(task);
        tasks_.Forget(task);
        break;
      case QueuedTask::State::kWaiting:
      case QueuedTask::State::kForwarded: backlog_.Drop(task); break;
    }
  }
  std::sort(running.begin(), running.end());
  return running;
}

void Scheduler::RetryOrLose(QueuedTask* task, LoseTask lost) {
  // The scheduler does not repeat an actor's creation. The actor directory decides whether the actor restarts.
  const bool retried = task->retries_left != 0 && !task->owner_gone && !task->cancelled && !task->group_removed &&
                       !task->task->CreatesActor();
  if (retried) {
    queue_.PushRetry(task);
    return;
  }
  if (task->group_removed && !task->task->CreatesActor()) lost.why = LoseTask::Why::kGroupRemoved;
  lost.attempts =
      task->task->begun_before + static_cast<uint32_t>(1 + std::max(0, task->task->max_retries - task->retries_left));
  tasks_.Lose(std::move(lost), task);
}

// ---- workers

void Scheduler::WorkerReady(WorkerId id, ProcessId process) {
  Worker* const worker = workers_.Find(id);
  if (worker == nullptr || worker->state != WorkerState::kStarting) return;
  workers_.Registered(*worker, process);
  dirty_ = true;
}

void Scheduler::WorkerStays(WorkerId id, bool stays) {
  Worker* const worker = workers_.Find(id);
  if (worker == nullptr) return;
  dirty_ = true;
  worker->stays = stays;
  if (std::exchange(worker->was_idle, false) && stays) {
    workers_.BecomeIdle(*worker);
  } else if (stays && workers_.Lingers(*worker)) {  // the results may need what the actor had
    workers_.GiveBack(*worker);
    bundles_.Collect();
  }
}

bool Scheduler::IsStopping(WorkerId id) const {
  const auto found = workers().find(id);
  return found != workers().end() && found->second.state == WorkerState::kStopping;
}

Result<TaskPtr> Scheduler::TaskFinished(WorkerId id, const TaskId& task_id, bool succeeded) {
  Worker* const worker = workers_.Find(id);
  if (worker == nullptr || worker->task == nullptr || worker->task->task->id != task_id) {
    return Fail(ErrorCode::kProtocolError,
                StrCat("a result came for task ", task_id.hex(), ", which this worker was not given"));
  }
  dirty_ = true;
  QueuedTask* const queued = std::exchange(worker->task, nullptr);
  const TaskPtr task = queued->task;
  tasks_.Forget(queued);
  leases_.TaskEnded(task->owner);
  worker->pace.Finished();
  if (!worker->ahead.empty()) {
    ahead_.Next(*worker);
  } else if (worker->state == WorkerState::kStopping) {
    return task;  // its resources go back when the worker has gone
  } else if (!worker->actor) {
    workers_.GiveBack(*worker);
    workers_.BecomeIdle(*worker);
  } else if (succeeded) {
    worker->hosts = task;
  } else {
    workers_.Stop(*worker);
  }
  return task;
}

void Scheduler::WorkerBlocked(WorkerId id, bool blocked) {
  Worker* const worker = workers_.Find(id);
  if (worker == nullptr || worker->state != WorkerState::kBusy || worker->blocked == blocked) return;
  dirty_ = true;
  if (!blocked) return workers_.Unblock(*worker);
  workers_.Block(*worker);
  if (worker->lease != 0) leases_.Shut(worker->lease);
  ahead_.Recall(*worker);  // the worker may be waiting for these tasks
}

void Scheduler::WorkerStopping(WorkerId id) {
  Worker* const worker = workers_.Find(id);
  if (worker == nullptr) return;
  worker->was_idle = false;  // there is another reason now
  if (worker->state == WorkerState::kStopping) return;
  dirty_ = true;
  workers_.Stopping(*worker);
}

void Scheduler::WorkerGone(WorkerId id, bool may_start) {
  Worker* const worker = workers_.Find(id);
  if (worker == nullptr) return;
  dirty_ = true;
  if (!workers_.Gone(*worker, may_start)) {
    for (QueuedTask* const task : queue_.RemoveGroup(worker->group()))
      tasks_.Lose(LoseTask{LoseTask::Why::kNoWorkerStarts, {}, id, {}, 0, {}, {}}, task);
  }
  ahead_.Gone(*worker);
  leases_.Gone(*worker);
  if (worker->task != nullptr) RetryOrLose(worker->task, LoseTask{LoseTask::Why::kWorkerDied, {}, id, {}, 1, {}, {}});
  workers_.Forget(*worker);
  bundles_.Collect();
}

Result<void> Scheduler::WorkerGaveBack(WorkerId worker, const std::vector<TaskId>& tasks) {
  dirty_ = true;
  return ahead_.GaveBack(worker, tasks);
}

void Scheduler::Tick() {
  dirty_ = true;  // windows have changed
  ahead_.Tick();
  forwarded_.Tick();
  leases_.Tick();
}

bool Scheduler::WantsTick() const { return ahead_.WantsTick() || forwarded_.WantsTick() || leases_.WantsTick(); }

// ---- leases

void Scheduler::AskForWorker(LeaseWish wish) {
  dirty_ = true;
  leases_.Ask(std::move(wish));
}

Result<void> Scheduler::WorkerReturned(WorkerId worker, WorkerLeaseId lease) {
  dirty_ = true;
  return leases_.Returned(worker, lease);
}

// ---- placement groups

void Scheduler::PrepareBundles(WaitingBundles::Request request, TimePoint now) {
  waiting_bundles_.Ask(std::move(request), now);
  dirty_ |= waiting_bundles_.Any();
}

void Scheduler::TryBundles(TimePoint now) {
  dirty_ |= waiting_bundles_.Any();
  waiting_bundles_.Try(now);
}

bool Scheduler::CommitBundles(const PlacementGroupId& group, uint64_t attempt) {
  dirty_ = true;
  const bool committed = bundles_.Commit(group, attempt);
  queue_.GroupChanged(group);
  return committed;
}

void Scheduler::CancelBundles(const PlacementGroupId& group, uint64_t attempt) {
  dirty_ = true;
  waiting_bundles_.Cancelled(group, attempt);
  bundles_.Cancel(group, attempt);
}

std::vector<WorkerId> Scheduler::EndGroup(const PlacementGroupId& group) {
  dirty_ = true;
  if (tasks_.HasTasksIn(group)) LoseTasksIn(group);
  leases_.GroupEnded(group);
  waiting_bundles_.GroupEnded(group);
  std::vector<WorkerId> holders;
  if (!ledger_.AllIsBack(group)) {
    for (const auto& [id, worker] : workers_.all())
      if (ledger_.AreOf(worker.held, group)) holders.push_back(id);
  }
  for (const WorkerId worker : holders) WorkerStopping(worker);
  bundles_.Close(group);
  queue_.GroupChanged(group);
  return holders;
}

void Scheduler::LoseTasksIn(const PlacementGroupId& group) {
  const auto of_group = [&](const QueuedTask& task) { return task.task->placement_group == group; };
  const LoseTask removed{LoseTask::Why::kGroupRemoved, {}, 0, {}, 0, {}, {}};
  for (QueuedTask* const task : queue_.RemoveIf(of_group)) tasks_.Lose(removed, task);
  std::vector<QueuedTask*> lost;
  for (auto& [id, task] : tasks_.all()) {
    if (!of_group(task)) continue;
    task.group_removed = true;  // those that a worker has go with it
    if (task.state == QueuedTask::State::kWaiting || task.state == QueuedTask::State::kForwarded) lost.push_back(&task);
  }
  for (QueuedTask* const task : lost) {
    if (task->state == QueuedTask::State::kWaiting) tasks_.StopWaiting(*task);
    if (task->state == QueuedTask::State::kForwarded) forwarded_.Cancel(*task);
    tasks_.Lose(removed, task);
  }
}

// ---- other machines

void Scheduler::NodeGaveBack(const NodeId& node, const std::vector<TaskId>& tasks) {
  dirty_ = true;
  forwarded_.GaveBack(node, tasks);
}

void Scheduler::RecalledBy(const NodeId& from) {
  dirty_ = true;
  ahead_.RecalledBy(from);
}

TaskPtr Scheduler::ForwardedFinished(const NodeId& node, const TaskId& task, bool succeeded) {
  dirty_ = true;
  return forwarded_.Finished(node, task, succeeded);
}

TaskPtr Scheduler::ForwardedReturned(const NodeId& node, const TaskId& task) {
  dirty_ = true;
  return forwarded_.Returned(node, task);
}

void Scheduler::ActorLeft(const NodeId& node, const ActorId& actor) {
  dirty_ = true;
  forwarded_.ActorLeft(node, actor);
}

WorkerId Scheduler::Abandon(const NodeId& from, const TaskId& id) {
  QueuedTask* const task = tasks_.FindFrom(from, id);
  if (task == nullptr || Cancel(id)) return 0;
  task->owner_gone = true;
  if (task->state == QueuedTask::State::kRunning) return task->worker;
  ahead_.Recall(workers_.at(task->worker));
  return 0;
}

std::map<NodeId, RemoteWork> Scheduler::WorkByMachine() const {
  auto work = tasks_.WorkByMachine();
  workers_.AddRemoteActors(work);
  return work;
}

std::vector<WorkerId> Scheduler::MachineLost(const NodeId& node) {
  waiting_bundles_.HomeLost(node);
  auto running = DropAll(tasks_.AllFrom(node));
  for (QueuedTask* const task : forwarded_.MachineLost(node))
    RetryOrLose(task, LoseTask{LoseTask::Why::kNodeDied, {}, 0, {}, 1, node, {}});
  return running;
}

}  // namespace raylet
