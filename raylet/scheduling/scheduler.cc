#include "raylet/scheduling/scheduler.h"

#include <algorithm>

#include "base/check.h"
#include "base/strings.h"

namespace raylet {

Scheduler::Scheduler(const ResourceSet& total, SchedulerLimits limits) : limits_(limits), ledger_(total) {}

Scheduler::Worker* Scheduler::Find(WorkerId id) {
  const auto found = workers_.find(id);
  return found == workers_.end() ? nullptr : &found->second;
}

// ---- tasks

Result<void> Scheduler::Submit(TaskPtr task) {
  if (tasks_.contains(task->id))
    return Fail(ErrorCode::kAlreadyExists, StrCat("task ", task->id.hex(), " has been submitted already"));
  Job& job = jobs_[task->job];
  if (job.ended) return Fail(ErrorCode::kNotRunning, "its driver has ended");
  if (job.tasks >= limits_.tasks_per_job_max) {
    return Fail(ErrorCode::kFull, StrCat("the raylet holds ", job.tasks,
                                         " tasks of this program, which is its limit: wait for "
                                         "some results before you submit more"));
  }
  if (job.task_bytes + task->memory_bytes() > limits_.task_bytes_per_job_max) {
    return Fail(ErrorCode::kFull, StrCat("the raylet holds ", FormatBytes(job.task_bytes),
                                         " of this program's tasks and their "
                                         "arguments, and its limit is ",
                                         FormatBytes(limits_.task_bytes_per_job_max),
                                         ": wait for some results, or put large arguments into the store"));
  }
  if (!queue_.HasRoomForShape(*task)) {
    return Fail(ErrorCode::kFull, StrCat("this program's tasks ask for ", kShapesPerJobMax,
                                         " different sets of resources, which "
                                         "is the limit: use fewer"));
  }
  dirty_ = true;
  job.tasks++;
  job.task_bytes += task->memory_bytes();
  owned_[task->owner]++;
  QueuedTask& queued = tasks_[task->id];
  queued.sequence = next_sequence_++;
  queued.retries_left = task->max_retries;
  queued.task = std::move(task);
  if (queued.task->CameFromElsewhere()) remote_tasks_.emplace(queued.task->id, &queued);
  if (queued.task->wait_for.empty()) {
    queue_.Push(&queued);
    return {};
  }
  WaitFor(&queued, queued.task->wait_for);
  return {};
}

void Scheduler::WaitFor(QueuedTask* task, const std::vector<ObjectId>& objects) {
  task->state = QueuedTask::State::kWaiting;
  Hold(*task, objects);
  auto unwatched = dependencies_.Add(task->task->id, objects);
  if (!unwatched.empty()) decisions_.emplace_back(WatchObjects{std::move(unwatched)});
}

void Scheduler::Hold(QueuedTask& task, std::vector<ObjectId> objects) {
  if (places_ == nullptr) return;  // nothing comes from elsewhere
  std::sort(objects.begin(), objects.end());
  objects.erase(std::unique(objects.begin(), objects.end()), objects.end());
  std::vector<ObjectId> more;
  std::set_difference(objects.begin(), objects.end(), task.awaited.begin(), task.awaited.end(),
                      std::back_inserter(more));
  for (const ObjectId& object : more) ++awaited_[object];
  const auto old_end = static_cast<std::ptrdiff_t>(task.awaited.size());
  task.awaited.insert(task.awaited.end(), more.begin(), more.end());
  std::inplace_merge(task.awaited.begin(), task.awaited.begin() + old_end, task.awaited.end());
}

// It begins, goes elsewhere or ends.
void Scheduler::LetGo(QueuedTask& task) {
  ReleaseArguments release;
  for (const ObjectId& object : std::exchange(task.awaited, {})) {
    const auto awaited = awaited_.find(object);
    if (--awaited->second > 0) continue;
    awaited_.erase(awaited);
    release.objects.push_back(object);
  }
  if (!release.objects.empty()) decisions_.emplace_back(std::move(release));
}

void Scheduler::Forget(QueuedTask* task) {
  LetGo(*task);
  const TaskPtr kept = task->task;
  Job& job = jobs_[kept->job];
  job.tasks--;
  job.task_bytes -= kept->memory_bytes();
  const auto owned = owned_.find(kept->owner);
  if (--owned->second == 0) owned_.erase(owned);
  if (kept->CameFromElsewhere()) remote_tasks_.erase(kept->id);
  tasks_.erase(kept->id);
}

bool Scheduler::Cancel(const TaskId& id) {
  const auto found = tasks_.find(id);
  if (found == tasks_.end() || found->second.state == QueuedTask::State::kRunning ||
      found->second.state == QueuedTask::State::kAhead)
    return false;
  QueuedTask* const task = &found->second;
  if (task->state == QueuedTask::State::kReady)
    queue_.RemoveIf([task](const QueuedTask& each) { return &each == task; });
  Drop(task);
  dirty_ = true;
  return true;
}

void Scheduler::ObjectSealed(const ObjectId& object) {
  std::vector<QueuedTask*> ready;
  for (const TaskId& id : dependencies_.Sealed(object)) ready.push_back(&tasks_.at(id));
  std::sort(ready.begin(), ready.end(),
            [](const QueuedTask* a, const QueuedTask* b) { return a->sequence < b->sequence; });
  for (QueuedTask* const task : ready) queue_.Push(task);
  dirty_ = true;
}

std::vector<WorkerId> Scheduler::OwnersGone(const ProcessSet& processes) {
  std::vector<WorkerId> running;
  if (std::any_of(processes.begin(), processes.end(), [this](ProcessId process) { return owned_.contains(process); }))
    running = DropTasks([&processes](const QueuedTask& task) {
      return processes.contains(task.task->owner) && !(task.task->CreatesActor() && task.task->actor->detached);
    });
  LoseWaitingFor(dependencies_.WaitingForOwners(processes), "");
  for (const ProcessId process : processes) queue_.Release(process);
  dirty_ = true;
  return running;
}

namespace {

bool Stays(const Task& task, const ProcessSet& survivors) {
  if (task.CreatesActor() && task.actor->detached && !task.CameFromElsewhere()) return true;
  return survivors.contains(task.owner);
}

}  // namespace

bool Scheduler::Outlives(const Worker& worker, const ProcessSet& survivors) {
  if (worker.hosts != nullptr) return Stays(*worker.hosts, survivors);
  return worker.task != nullptr && !worker.task->owner_gone && Stays(*worker.task->task, survivors);
}

std::vector<WorkerId> Scheduler::JobEnded(JobId id, const ProcessSet& survivors, bool for_good) {
  dirty_ = true;
  Job& job = jobs_[id];
  job.ended = for_good;
  std::vector<WorkerId> ending;
  for (const auto& [worker_id, worker] : workers_) {
    if (worker.job != id || (!for_good && Outlives(worker, survivors))) continue;
    WorkerStopping(worker_id);
    ending.push_back(worker_id);
  }
  if (job.tasks > 0) {
    (void)DropTasks([&](const QueuedTask& task) {  // those that run are run by workers that stop
      return task.task->job == id && (for_good || !Stays(*task.task, survivors));
    });
  }
  return ending;
}

// What runs is left, and its workers returned; what another machine runs is called off; what waits goes without a word.
std::vector<WorkerId> Scheduler::DropTasks(const std::function<bool(const QueuedTask&)>& matches) {
  dirty_ = true;
  for (QueuedTask* const task : queue_.RemoveIf(matches)) Forget(task);
  std::vector<WorkerId> running;
  std::vector<QueuedTask*> dropped;
  for (auto& [id, task] : tasks_) {
    if (!matches(task)) continue;
    if (task.state == QueuedTask::State::kRunning) {
      task.owner_gone = true;
      running.push_back(task.worker);
    } else if (task.state == QueuedTask::State::kAhead) {
      task.owner_gone = true;
      Recall(workers_.at(task.worker));
    } else {
      dropped.push_back(&task);
    }
  }
  for (QueuedTask* const task : dropped) Drop(task);
  std::sort(running.begin(), running.end());
  return running;
}

// One that is in no queue and does not run here.
void Scheduler::Drop(QueuedTask* task) {
  if (task->state == QueuedTask::State::kWaiting) {
    dependencies_.Remove(task->task->id);
  } else if (task->state == QueuedTask::State::kForwarded) {
    LeaveNode(*task);
    decisions_.emplace_back(CancelForwarded{task->node, task->task->id});
  }
  Forget(task);
}

void Scheduler::LoseWaitingFor(const std::vector<std::pair<TaskId, ObjectId>>& waiting, const std::string& why) {
  for (const auto& [id, object] : waiting) {
    dependencies_.Remove(id);
    QueuedTask& task = tasks_.at(id);
    decisions_.emplace_back(LoseTask{LoseTask::Why::kObjectLost, task.task, 0, object, 0, {}, why});
    Forget(&task);
  }
}

// ---- workers

void Scheduler::WorkerReady(WorkerId id) {
  Worker* const worker = Find(id);
  if (worker == nullptr || worker->state != WorkerState::kStarting) return;
  Job& job = jobs_[worker->job];
  job.starting--;
  job.failed_starts = 0;
  BecomeIdle(*worker);
  dirty_ = true;
}

void Scheduler::BecomeIdle(Worker& worker) {
  worker.state = WorkerState::kIdle;
  worker.idle_since = next_idle_++;
  jobs_[worker.job].idle.push_back(worker.id);
}

void Scheduler::LeaveIdle(Worker& worker) {
  auto& idle = jobs_[worker.job].idle;
  // From the back: the one that is taken is mostly the last.
  for (size_t i = idle.size(); i-- > 0;) {
    if (idle[i] != worker.id) continue;
    idle.erase(idle.begin() + static_cast<std::ptrdiff_t>(i));
    return;
  }
}

void Scheduler::Unblock(Worker& worker) {
  if (!std::exchange(worker.blocked, false)) return;
  ledger_.TakeCpuAnyway(worker.held.cpu_units());
}

void Scheduler::GiveBack(Worker& worker) {
  Unblock(worker);
  ledger_.Give(worker.held);
  worker.held = {};
}

Result<TaskPtr> Scheduler::TaskFinished(WorkerId id, const TaskId& task_id, bool succeeded) {
  Worker* const worker = Find(id);
  if (worker == nullptr || worker->task == nullptr || worker->task->task->id != task_id) {
    return Fail(ErrorCode::kProtocolError,
                StrCat("a result came for task ", task_id.hex(), ", which this worker was not given"));
  }
  dirty_ = true;
  QueuedTask* const queued = std::exchange(worker->task, nullptr);
  const TaskPtr task = queued->task;
  Forget(queued);
  worker->pace.Finished();
  if (!worker->ahead.empty()) {
    NextAhead(*worker);
    return task;
  }
  if (worker->state == WorkerState::kStopping) return task;  // its resources go back with it
  if (worker->actor) {
    if (!succeeded) {
      worker->state = WorkerState::kStopping;
      decisions_.emplace_back(StopWorker{id});
    } else {
      worker->hosts = task;
    }
    return task;
  }
  GiveBack(*worker);
  BecomeIdle(*worker);
  return task;
}

void Scheduler::WorkerBlocked(WorkerId id, bool blocked) {
  Worker* const worker = Find(id);
  if (worker == nullptr || worker->state != WorkerState::kBusy || worker->blocked == blocked) return;
  dirty_ = true;
  if (blocked) {
    worker->blocked = true;
    ledger_.GiveCpu(worker->held.cpu_units());
    Recall(*worker);  // they may be what it waits for
  } else {
    Unblock(*worker);
  }
}

void Scheduler::WorkerStopping(WorkerId id) {
  Worker* const worker = Find(id);
  if (worker == nullptr || worker->state == WorkerState::kStopping) return;
  dirty_ = true;
  if (worker->state == WorkerState::kIdle) LeaveIdle(*worker);
  if (worker->state == WorkerState::kStarting) jobs_[worker->job].starting--;
  worker->state = WorkerState::kStopping;
}

void Scheduler::WorkerGone(WorkerId id) {
  Worker* const worker = Find(id);
  if (worker == nullptr) return;
  dirty_ = true;
  GiveBack(*worker);
  Job& job = jobs_[worker->job];
  if (worker->state == WorkerState::kIdle) LeaveIdle(*worker);
  if (worker->state == WorkerState::kStarting) {
    job.starting--;
    if (++job.failed_starts >= limits_.start_attempts) {
      job.failed_starts = 0;
      LoseReadyTasks(worker->job, id);
    }
  }
  // It ran none of those; the oldest goes to the front of the queue last.
  std::map<NodeId, std::vector<TaskId>> home;
  for (auto task = worker->ahead.rbegin(); task != worker->ahead.rend(); ++task) ComeBack(*task, home);
  for (auto& [node, tasks] : home) decisions_.emplace_back(ReturnRecalled{node, std::move(tasks)});
  if (QueuedTask* const task = worker->task) {
    RetryOrLose(task, LoseTask{LoseTask::Why::kWorkerDied, task->task, id, {}, 1, {}, {}});
  }
  workers_.erase(id);
}

void Scheduler::RetryOrLose(QueuedTask* task, LoseTask lost) {
  // An actor's creation is not repeated here: whether it restarts is for the actor directory to say.
  const bool retried = task->retries_left != 0 && !task->owner_gone && !task->task->CreatesActor();
  if (retried) {
    if (task->retries_left > 0) task->retries_left--;
    task->worker = 0;
    task->node = NodeId();
    task->beyond_fit = false;
    queue_.PushAgain(task);
    return;
  }
  lost.attempts = static_cast<uint32_t>(1 + std::max(0, task->task->max_retries - task->retries_left));
  decisions_.emplace_back(std::move(lost));
  Forget(task);
}

void Scheduler::LoseReadyTasks(JobId job, WorkerId last) {
  for (QueuedTask* const task : queue_.RemoveJob(job)) {
    decisions_.emplace_back(LoseTask{LoseTask::Why::kNoWorkerStarts, task->task, last, {}, 0, {}, {}});
    Forget(task);
  }
}

void Scheduler::JobGone(JobId id) {
  const auto job = jobs_.find(id);
  if (job == jobs_.end()) return;
  RAYLET_CHECK(job->second.tasks == 0 && job->second.idle.empty() && job->second.starting == 0, "job ", id,
               " is forgotten while it has tasks or workers");
  jobs_.erase(job);
}

// ---- the pass

std::vector<SchedulerDecision> Scheduler::TakeDecisions() {
  if (std::exchange(dirty_, false)) Schedule();
  return std::exchange(decisions_, {});
}

// One task of each job in turn, until nothing more fits: no job waits behind another's whole queue.
void Scheduler::EachJobInTurn(const std::function<bool(JobId)>& dispatch_next) {
  std::vector<JobId> jobs = queue_.jobs();
  const auto next = std::upper_bound(jobs.begin(), jobs.end(), last_job_);
  std::rotate(jobs.begin(), next, jobs.end());
  for (bool progress = true; progress;) {
    progress = false;
    for (const JobId job : jobs) progress = dispatch_next(job) || progress;
  }
}

PoolReserve Scheduler::Reserve() const {
  size_t actors = 0;
  size_t busy = 0;
  size_t blocked = 0;
  for (const auto& [id, worker] : workers_) {
    if (worker.actor) {
      actors++;
    } else if (worker.state == WorkerState::kBusy) {
      busy++;
      blocked += worker.blocked ? 1 : 0;
    }
  }
  return {limits_.workers_max - std::min(actors, limits_.workers_max), busy, blocked};
}

void Scheduler::Schedule() {
  reserve_ = Reserve();
  if (view_ == nullptr || !view_->AnyUsable())
    ScheduleHere();
  else
    ScheduleInCluster();
  SendAhead();
  TrimIdle();
}

void Scheduler::ScheduleHere() {
  EachJobInTurn([this](JobId job) { return DispatchOne(job); });
  ResourceLedger left = ledger_;
  StartMissing([&](JobId job) { return WantedWorkers(job, left); });
}

bool Scheduler::DispatchOne(JobId id) {
  const auto found = jobs_.find(id);
  if (found == jobs_.end() || found->second.idle.empty()) return false;
  const auto& shapes = queue_.shapes(id);
  size_t oldest = shapes.size();
  for (size_t i = 0; i < shapes.size(); ++i) {
    if (!ledger_.Fits(shapes[i]->needs) || !MayBegin(*shapes[i])) continue;
    if (oldest == shapes.size() || GoesBefore(*shapes[i]->tasks.front(), *shapes[oldest]->tasks.front())) oldest = i;
  }
  if (oldest == shapes.size()) return false;
  const ResourceNeeds needs = *shapes[oldest]->needs;
  QueuedTask* const task = queue_.PopFront(id, oldest);
  Worker& worker = workers_.at(found->second.idle.back());
  found->second.idle.pop_back();
  last_job_ = id;
  Dispatch(worker, task, needs);
  return true;
}

void Scheduler::Dispatch(Worker& worker, QueuedTask* task, const ResourceNeeds& needs) {
  ledger_.Take(needs);
  if (!task->task->CreatesActor()) reserve_.Began();
  worker.held = needs;
  worker.state = WorkerState::kBusy;
  worker.actor = task->task->CreatesActor();
  worker.task = task;
  task->state = QueuedTask::State::kRunning;
  task->worker = worker.id;
  decisions_.emplace_back(RunTask{worker.id, task->task});
  LetGo(*task);
}

// How many of a job's ready tasks have their resources and lack only a worker. Tasks that ask for no CPU are bounded by
// the CPU count: nothing else would keep a thousand of them from a thousand processes.
size_t Scheduler::WantedWorkers(JobId job, ResourceLedger& left) const {
  size_t wanted = 0;
  for (const auto& shape : queue_.shapes(job)) {
    if (!shape->needs.has_value()) continue;
    const ResourceNeeds& needs = *shape->needs;
    size_t most = shape->tasks.size();
    if (!shape->dedicated && needs.cpu_units() == 0) {
      const auto bound = static_cast<size_t>(std::max<int64_t>(1, ledger_.cpus()));
      const auto running =
          static_cast<size_t>(std::count_if(workers_.begin(), workers_.end(), [job](const auto& entry) {
            const Worker& worker = entry.second;
            return worker.job == job && worker.state == WorkerState::kBusy && !worker.actor && !worker.blocked;
          }));
      most = std::min(most, bound > running ? bound - running : 0);
    }
    for (size_t i = 0; i < most && wanted < limits_.workers_max && MayBegin(*shape, wanted) && left.Fits(needs); ++i) {
      left.Take(needs);
      wanted++;
    }
  }
  return wanted;
}

// Few processes are started at a time, since they compete for the CPUs. Each job has a share of its own of that number,
// whatever the others start: those may hang.
void Scheduler::StartMissing(const std::function<size_t(JobId)>& wanted_of) {
  if (queue_.size() == 0) return;
  size_t starting = CountWorkers(WorkerState::kStarting);
  const auto interested = static_cast<size_t>(std::count_if(jobs_.begin(), jobs_.end(), [this](const auto& job) {
    return job.second.starting > 0 || !queue_.Empty(job.first);
  }));
  const size_t share = std::max<size_t>(1, limits_.starting_max / std::max<size_t>(1, interested));
  for (const JobId id : queue_.jobs()) {
    Job& job = jobs_[id];
    const size_t wanted = wanted_of(id);
    while (job.starting < wanted && (starting < limits_.starting_max || job.starting < share)) {
      RAYLET_CHECK(!job.ended, "job ", id, " has ended, and has tasks that are ready");
      if (workers_.size() >= limits_.workers_max) {
        // One of another job that has nothing to do makes room; its death brings us back here.
        (void)StopIdleOfAnother(id);
        return;
      }
      Worker worker;
      worker.id = next_worker_++;
      worker.job = id;
      decisions_.emplace_back(StartWorker{worker.id, id});
      workers_.emplace(worker.id, std::move(worker));
      job.starting++;
      starting++;
    }
  }
}

bool Scheduler::StopIdleOfAnother(JobId job) {
  Worker* oldest = nullptr;
  for (auto& [id, worker] : workers_) {
    if (worker.state == WorkerState::kStopping) return true;  // room is coming
    if (worker.state != WorkerState::kIdle || worker.job == job) continue;
    if (oldest == nullptr || worker.idle_since < oldest->idle_since) oldest = &worker;
  }
  if (oldest == nullptr) return false;
  LeaveIdle(*oldest);
  oldest->state = WorkerState::kStopping;
  decisions_.emplace_back(StopWorker{oldest->id});
  return true;
}

// Idle workers stay for the next task, as many as there are CPUs and workers that are blocked: those that were started
// for blocked ones' sake go when these go on.
void Scheduler::TrimIdle() {
  const auto keep = static_cast<size_t>(std::max<int64_t>(1, ledger_.cpus())) + reserve_.blocked();
  size_t idle = 0;
  for (const auto& [id, job] : jobs_) idle += job.idle.size();
  for (; idle > keep; --idle) {
    Worker* oldest = nullptr;
    for (const auto& [id, job] : jobs_) {
      if (job.idle.empty()) continue;
      Worker* const first = &workers_.at(job.idle.front());
      if (oldest == nullptr || first->idle_since < oldest->idle_since) oldest = first;
    }
    LeaveIdle(*oldest);
    oldest->state = WorkerState::kStopping;
    decisions_.emplace_back(StopWorker{oldest->id});
  }
}

size_t Scheduler::CountWorkers(WorkerState state) const {
  return static_cast<size_t>(std::count_if(workers_.begin(), workers_.end(),
                                           [state](const auto& worker) { return worker.second.state == state; }));
}

std::string Scheduler::WhyWaiting(JobId job, const TaskShape& shape) const {
  const std::string lacks = ledger_.WhatLacks(shape.resources);
  if (!shape.needs.has_value()) return StrCat("this node will never have what they ask for: ", lacks);
  if (!lacks.empty()) return StrCat("they wait for resources: ", lacks);
  if (workers_.size() >= limits_.workers_max) {
    size_t actors = 0;
    size_t blocked = 0;
    for (const auto& [id, worker] : workers_) {
      actors += worker.actor ? 1 : 0;
      blocked += worker.blocked ? 1 : 0;
    }
    return StrCat("the pool is full with ", workers_.size(), " workers: ", actors, " of actors, ", blocked,
                  " blocked, ", CountWorkers(WorkerState::kIdle), " idle");
  }
  const auto found = jobs_.find(job);
  if (found != jobs_.end() && found->second.starting > 0)
    return StrCat("they wait for ", found->second.starting, " workers that are being started");
  return "they wait for a worker that is free";
}

}  // namespace raylet
