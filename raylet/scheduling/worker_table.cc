#include "raylet/scheduling/worker_table.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/counted.h"
#include "base/strings.h"

namespace raylet {

WorkerTable::Worker* WorkerTable::Find(WorkerId id) {
  const auto found = workers_.find(id);
  return found == workers_.end() ? nullptr : &found->second;
}

bool WorkerTable::OwesResults(const Worker& worker) const {
  return worker.stays || (worker.process != 0 && tasks_.HasTasksOf(worker.process));
}

std::vector<WorkerId>::const_iterator WorkerTable::FindIdle(const Group& group, bool for_actor) const {
  const auto& idle = group.idle;
  if (idle.empty() || !for_actor || IsFull()) return idle.empty() ? idle.end() : idle.end() - 1;
  const auto found =
      std::find_if(idle.rbegin(), idle.rend(), [this](WorkerId id) { return !OwesResults(workers_.at(id)); });
  return found == idle.rend() ? idle.end() : found.base() - 1;
}

bool WorkerTable::HasIdle(const WorkerGroup& group, bool for_actor) const {
  const auto found = groups_.find(group);
  return found != groups_.end() && FindIdle(found->second, for_actor) != found->second.idle.end();
}

WorkerTable::Worker& WorkerTable::TakeIdle(const WorkerGroup& key, bool for_actor) {
  Group& group = groups_.at(key);
  const auto found = FindIdle(group, for_actor);
  Worker& worker = workers_.at(*found);
  group.idle.erase(found);
  return worker;
}

// The worker hears of its devices before it hears of the work. On a machine without GPUs it hears of none.
void WorkerTable::Take(Worker& worker, const ResourceNeeds& needs) {
  worker.devices = ledger_.Take(needs);
  worker.held = needs;
  if (ledger_.devices().empty() || worker.told_devices == worker.devices) return;
  worker.told_devices = worker.devices;
  decisions_.emplace_back(UseDevices{worker.id, worker.devices});
}

void WorkerTable::Begin(Worker& worker, QueuedTask* task, const ResourceNeeds& needs) {
  if (++begun_ % kTasksPerDecay == 0 && blocked_lately_ > 0) --blocked_lately_;
  Take(worker, needs);
  worker.state = State::kBusy;
  worker.actor = task->task->CreatesActor();
  worker.task = task;
  task->state = QueuedTask::State::kRunning;
  task->worker = worker.id;
}

void WorkerTable::BeginLease(Worker& worker, WorkerLeaseId lease, ProcessId caller, const ResourceNeeds& needs) {
  Take(worker, needs);
  worker.state = State::kBusy;
  worker.lease = lease;
  worker.leased_to = caller;
}

void WorkerTable::Registered(Worker& worker, ProcessId process) {
  worker.process = process;
  Group& group = groups_[worker.group()];
  group.starting--;
  group.failed_starts = 0;
  BecomeIdle(worker);
}

void WorkerTable::BecomeIdle(Worker& worker) {
  worker.state = State::kIdle;
  worker.idle_since = next_idle_++;
  groups_[worker.group()].idle.push_back(worker.id);
}

void WorkerTable::LeaveIdle(Worker& worker) {
  auto& idle = groups_[worker.group()].idle;
  // Searches from the back, since the worker taken is mostly the last.
  for (size_t i = idle.size(); i-- > 0;) {
    if (idle[i] != worker.id) continue;
    idle.erase(idle.begin() + static_cast<std::ptrdiff_t>(i));
    return;
  }
}

void WorkerTable::Block(Worker& worker) {
  worker.blocked = true;
  ledger_.GiveCpu(worker.held);
}

void WorkerTable::Unblock(Worker& worker) {
  if (!std::exchange(worker.blocked, false)) return;
  ledger_.TakeCpuAnyway(worker.held);
}

void WorkerTable::GiveBack(Worker& worker) {
  Unblock(worker);
  ledger_.Give(worker.held, worker.devices);
  worker.held = {};
  worker.devices = {};
}

void WorkerTable::Stopping(Worker& worker) {
  if (worker.state == State::kIdle) LeaveIdle(worker);
  if (worker.state == State::kStarting) groups_[worker.group()].starting--;
  worker.state = State::kStopping;
}

void WorkerTable::Stop(Worker& worker) {
  Stopping(worker);
  decisions_.emplace_back(StopWorker{worker.id});
}

void WorkerTable::StopIdle(Worker& worker) {
  Stop(worker);
  worker.was_idle = true;
}

bool WorkerTable::Gone(Worker& worker, bool may_start) {
  GiveBack(worker);
  if (worker.state == State::kIdle) LeaveIdle(worker);
  if (worker.state != State::kStarting) return true;
  Group& group = groups_[worker.group()];
  group.starting--;
  if (!may_start || ++group.failed_starts < limits_.start_attempts) return true;
  group.failed_starts = 0;
  return false;
}

void WorkerTable::ForgetJob(JobId id) {
  for (auto group = groups_.lower_bound({id, {}}); group != groups_.end() && group->first.job == id;) {
    RAYLET_CHECK(group->second.idle.empty() && group->second.starting == 0, "job ", id,
                 " is forgotten while it has workers");
    group = groups_.erase(group);
  }
}

// Few processes start at a time, since they compete for the CPUs. Each group has a share of that number, because
// processes of other groups may hang.
void WorkerTable::StartMissing(const TaskQueue& queue, const std::function<size_t(const WorkerGroup&)>& wanted_of) {
  if (queue.size() == 0) return;
  size_t starting = Count(State::kStarting);
  const std::set<WorkerGroup> waiting = queue.groups();
  size_t interested = waiting.size();
  for (const auto& [key, group] : groups_) interested += group.starting > 0 && !waiting.contains(key) ? 1 : 0;
  const size_t share = std::max<size_t>(1, limits_.starting_max / interested);
  for (const WorkerGroup& key : waiting) {
    const Group& group = groups_[key];
    const size_t wanted = wanted_of(key);
    for (; group.starting < wanted && (starting < limits_.starting_max || group.starting < share); ++starting) {
      // An idle worker of another group makes room. Its death leads to the next pass.
      if (IsFull() && !OnlyOwingOnesAreLeft()) return StopIdleOfAnother(key);
      Start(key);
    }
  }
}

void WorkerTable::Start(const WorkerGroup& group) {
  Worker worker;
  worker.id = next_worker_++;
  worker.job = group.job;
  worker.environment = group.environment;
  decisions_.emplace_back(StartWorker{worker.id, group});
  workers_.emplace(worker.id, std::move(worker));
  groups_[group].starting++;
}

void WorkerTable::StartOne(const WorkerGroup& group) {
  if (groups_[group].starting > 0 || workers_.size() >= limits_.workers_max) return;
  if (Count(State::kStarting) < limits_.starting_max) Start(group);
}

void WorkerTable::StopIdleOfAnother(const WorkerGroup& group) {
  Worker* oldest = nullptr;
  for (auto& [id, worker] : workers_) {
    if (worker.state == State::kStopping && !Lingers(worker)) return;  // room is coming
    if (worker.state != State::kIdle || worker.group() == group || OwesResults(worker)) continue;
    if (oldest == nullptr || worker.idle_since < oldest->idle_since) oldest = &worker;
  }
  if (oldest != nullptr) StopIdle(*oldest);
}

// The pool is full, no worker will become free by itself, and no idle one may stop. What they wait for may need a
// worker that is not there. Then one starts beyond the limit.
bool WorkerTable::OnlyOwingOnesAreLeft() const {
  if (workers_.size() >= 2 * limits_.workers_max) return false;
  bool owing = false;
  for (const auto& [id, worker] : workers_) {
    const bool owes = Lingers(worker) || (worker.state == State::kIdle && OwesResults(worker));
    if (!owes && (worker.state != State::kBusy || (!worker.actor && !worker.blocked))) return false;
    owing = owing || owes;
  }
  return owing;
}

void WorkerTable::TrimIdle(size_t blocked, bool tasks_are_ready) {
  blocked_lately_ = std::max(blocked_lately_, blocked);
  size_t idle = 0;
  for (const auto& [key, group] : groups_) idle += group.idle.size();
  const auto cpus = static_cast<size_t>(std::max<int64_t>(1, ledger_.cpus()));
  for (const size_t keep = cpus + (tasks_are_ready ? blocked_lately_ : blocked); idle > keep; --idle) {
    Worker* oldest = nullptr;
    for (const auto& [key, group] : groups_) {
      const auto found = std::find_if(group.idle.begin(), group.idle.end(),
                                      [this](WorkerId id) { return !OwesResults(workers_.at(id)); });
      if (found == group.idle.end()) continue;
      Worker* const first = &workers_.at(*found);
      if (oldest == nullptr || first->idle_since < oldest->idle_since) oldest = first;
    }
    if (oldest == nullptr) return;
    StopIdle(*oldest);
  }
}

size_t WorkerTable::RunningTasks(JobId job) const {
  return static_cast<size_t>(std::count_if(workers_.begin(), workers_.end(), [job](const auto& entry) {
    const Worker& worker = entry.second;
    return worker.job == job && worker.state == State::kBusy && !worker.actor && !worker.blocked;
  }));
}

size_t WorkerTable::Count(State state) const {
  return static_cast<size_t>(std::count_if(workers_.begin(), workers_.end(),
                                           [state](const auto& worker) { return worker.second.state == state; }));
}

PoolReserve WorkerTable::Reserve() const {
  size_t actors = 0;
  size_t busy = 0;
  size_t blocked = 0;
  for (const auto& [id, worker] : workers_) {
    if (worker.actor) {
      actors++;
    } else if (worker.state == State::kBusy) {
      busy++;
      blocked += worker.blocked ? 1 : 0;
    }
  }
  return {limits_.workers_max - std::min(actors, limits_.workers_max), busy, blocked};
}

bool WorkerTable::Outlives(const Worker& worker, const ProcessSet& survivors) {
  if (worker.hosts != nullptr) return StaysWithoutDriver(*worker.hosts, survivors);
  if (worker.lease != 0) return survivors.contains(worker.leased_to);
  return worker.task != nullptr && !worker.task->owner_gone && StaysWithoutDriver(*worker.task->task, survivors);
}

void WorkerTable::AddRemoteActors(std::map<NodeId, RemoteWork>& work) const {
  for (const auto& [id, worker] : workers_) {
    if (worker.hosts == nullptr || !worker.hosts->IsRemote()) continue;
    for (const auto& amount : worker.hosts->resources.amounts())
      AddUnits(work[worker.hosts->from].units[amount.name], amount.units);
  }
}

std::string WorkerTable::WhyWaiting(const TaskShape& shape) const {
  const std::string lacks = ledger_.WhatLacks(shape.resources);
  if (!shape.needs.has_value()) return StrCat("this node will never have what they ask for: ", lacks);
  if (!lacks.empty()) return StrCat("they wait for resources: ", lacks);
  if (const auto full = WhyPoolIsFull(shape)) return *full;
  const auto found = groups_.find(shape.group);
  if (found != groups_.end() && found->second.starting > 0)
    return StrCat("they wait for ", Counted(found->second.starting, "worker"), " to start");
  return "they wait for a worker that is free";
}

std::optional<std::string> WorkerTable::WhyPoolIsFull(const TaskShape& shape) const {
  if (workers_.size() >= limits_.workers_max) {
    size_t actors = 0;
    size_t blocked = 0;
    for (const auto& [id, worker] : workers_) {
      actors += worker.actor ? 1 : 0;
      blocked += worker.blocked ? 1 : 0;
    }
    return StrCat("the pool is full with ", Counted(workers_.size(), "worker"), " (", actors, " of actors, ", blocked,
                  " blocked, ", Count(State::kIdle), " idle)");
  }
  const PoolReserve reserve = Reserve();
  if (shape.dedicated || reserve.MayBegin(shape.depth)) return std::nullopt;
  return StrCat("the pool of ", Counted(limits_.workers_max, "worker"), " keeps ", reserve.LeftTo(shape.depth),
                " of them for tasks that others wait for (", reserve.blocked(), " blocked)");
}

}  // namespace raylet
