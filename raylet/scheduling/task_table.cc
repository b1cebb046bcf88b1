#include "raylet/scheduling/task_table.h"

#include <algorithm>
#include <iterator>

#include "base/check.h"
#include "base/strings.h"

namespace raylet {

bool StaysWithoutDriver(const Task& task, const ProcessSet& survivors) {
  if (task.CreatesActor() && task.actor->detached && !task.IsRemote()) return true;
  return survivors.contains(task.owner);
}

bool TaskTable::AskForRoom(const Task& task) {
  Job& job = JobOf(task.job);
  if (!TakesRoom(task) || job.ended || job.room.Has(task.depth)) return true;
  job.room.Wait(task.owner, task.depth);
  return false;
}

void TaskTable::WaitsNoLonger(const ProcessSet& processes) {
  for (auto& [id, job] : jobs_)
    for (const ProcessId process : processes) job.room.Forget(process);
}

size_t TaskTable::WithoutRoom() const {
  size_t processes = 0;
  for (const auto& [id, job] : jobs_) processes += job.room.waiting();
  return processes;
}

void TaskTable::GiveRoom(Job& job, const Task& task) {
  job.room.Give(task.memory_bytes());
  if (!job.room.AnyWaits()) return;
  for (const ProcessId process : job.room.TakeReady()) decisions_.emplace_back(TellRoom{process});
}

Result<QueuedTask*> TaskTable::Add(TaskPtr task) {
  if (tasks_.contains(task->id))
    return Fail(ErrorCode::kAlreadyExists, StrCat("task ", task->id.hex(), " has been submitted already"));
  Job& job = JobOf(task->job);
  if (job.ended) return Fail(ErrorCode::kNotRunning, "its driver has ended");
  const size_t bytes = task->memory_bytes();
  const bool created_here = task->CreatesActor() && !task->IsRemote();
  if (created_here && job.creation_bytes + bytes > limits_.task_bytes_per_job_max) {
    return Fail(ErrorCode::kFull, StrCat("the raylet holds ", FormatBytes(job.creation_bytes),
                                         " of creations of this program's actors that have not ended, with their "
                                         "arguments, and its limit is ",
                                         FormatBytes(limits_.task_bytes_per_job_max),
                                         ": wait for some actors, or put large arguments into the store"));
  }
  if (!queue_.HasRoomForShape(*task)) {
    return Fail(ErrorCode::kFull, StrCat("this program's tasks ask for ", kShapesPerJobMax,
                                         " different sets of resources, which "
                                         "is the limit: use fewer"));
  }
  job.tasks++;
  if (TakesRoom(*task)) job.room.Take(bytes);
  if (created_here) job.creation_bytes += bytes;
  owned_[task->owner]++;
  if (!task->placement_group.IsNil()) in_group_[task->placement_group]++;
  QueuedTask& queued = tasks_[task->id];
  queued.sequence = next_sequence_++;
  queued.retries_left = task->max_retries;
  queued.task = std::move(task);
  queued.owned = &OwnedBy(job, *queued.task);
  queued.among_owned = queued.owned->tasks.insert(queued.owned->tasks.end(), &queued);
  if (queued.task->IsRemote()) remote_tasks_[queued.task->from].emplace(queued.task->id, &queued);
  return &queued;
}

OwnedTasks& TaskTable::OwnedBy(Job& job, const Task& task) {
  const ProcessId owner = task.CreatesActor() ? 0 : task.owner;
  OwnedTasks& owned = job.owned[owner];
  owned.job = task.job;
  owned.owner = owner;
  return owned;
}

void TaskTable::Forget(QueuedTask* task) {
  LetGo(*task);
  const TaskPtr kept = task->task;
  Job& job = JobOf(kept->job);
  job.tasks--;
  OwnedTasks& with = *task->owned;
  with.tasks.erase(task->among_owned);
  if (with.tasks.empty() && !with.doomed) job.owned.erase(job.owned.find(with.owner));
  if (TakesRoom(*kept)) GiveRoom(job, *kept);
  if (kept->CreatesActor() && !kept->IsRemote()) job.creation_bytes -= kept->memory_bytes();
  const auto owned = owned_.find(kept->owner);
  if (--owned->second == 0) owned_.erase(owned);
  if (!kept->placement_group.IsNil()) {
    const auto in_group = in_group_.find(kept->placement_group);
    if (--in_group->second == 0) in_group_.erase(in_group);
  }
  if (kept->IsRemote()) {
    const auto from = remote_tasks_.find(kept->from);
    from->second.erase(kept->id);
    if (from->second.empty()) remote_tasks_.erase(from);
  }
  tasks_.erase(tasks_.find(kept->id));
}

void TaskTable::Lose(LoseTask lost, QueuedTask* task) {
  lost.task = task->task;
  decisions_.emplace_back(std::move(lost));
  Forget(task);
}

void TaskTable::ObjectLost(const ObjectId& object, const std::string& why) {
  LostObject lost{object, why, dependencies_.Lost(object)};
  if (lost.tasks.empty()) return;
  decisions_.emplace_back(UnwatchObjects{{object}});
  lost_.push_back(std::move(lost));
}

void TaskTable::LoseSome(size_t& most) {
  for (; most > 0 && !lost_.empty(); --most) {
    LostObject& lost = lost_.front();
    const auto [sequence, id] = *lost.tasks.begin();
    lost.tasks.erase(lost.tasks.begin());
    if (QueuedTask* const task = Find(id); task != nullptr && task->sequence == sequence) {
      StopWaiting(*task);
      Lose(LoseTask{LoseTask::Why::kObjectLost, {}, 0, lost.object, 0, {}, lost.why}, task);
    }
    if (lost.tasks.empty()) lost_.pop_front();
  }
}

// ---- doomed tasks

void TaskTable::Doom(Job& job, ProcessId owner) {
  auto node = job.owned.extract(owner);
  if (!node) return;
  node.mapped().doomed = true;
  ++job.doomed;
  doomed_.push_back(std::move(node));
}

void TaskTable::OwnerEnded(ProcessId owner) {
  if (!HasTasksOf(owner)) return;
  for (auto& [id, job] : jobs_) Doom(job, owner);
}

void TaskTable::EndJob(JobId id, const ProcessSet& survivors, bool for_good) {
  Job& job = JobOf(id);
  job.ended = for_good;
  std::vector<ProcessId> owners;
  for (const auto& [owner, owned] : job.owned)
    if (for_good || owner == 0 || !survivors.contains(owner)) owners.push_back(owner);
  std::vector<QueuedTask*> stay;
  if (const auto creations = job.owned.find(0); creations != job.owned.end() && !for_good)
    std::copy_if(creations->second.tasks.begin(), creations->second.tasks.end(), std::back_inserter(stay),
                 [&](const QueuedTask* task) { return StaysWithoutDriver(*task->task, survivors); });
  for (const ProcessId owner : owners) Doom(job, owner);
  for (QueuedTask* const task : stay) Spare(*task);
}

QueuedTask* TaskTable::NextDoomed() {
  for (; !doomed_.empty(); doomed_.pop_front()) {
    const OwnedTasks& owned = doomed_.front().mapped();
    if (!owned.tasks.empty()) return owned.tasks.front();
    --JobOf(owned.job).doomed;
  }
  return nullptr;
}

void TaskTable::Spare(QueuedTask& task) {
  OwnedTasks& owned = OwnedBy(JobOf(task.task->job), *task.task);
  owned.tasks.splice(owned.tasks.end(), task.owned->tasks, task.among_owned);
  task.owned = &owned;
}

bool TaskTable::HasDoomed(JobId id) const {
  const auto job = jobs_.find(id);
  return job != jobs_.end() && job->second.doomed > 0;
}

std::vector<JobId> TaskTable::JobsWithDoomed() const {
  std::vector<JobId> with_doomed;
  for (const auto& [id, job] : jobs_)
    if (job.doomed > 0) with_doomed.push_back(id);
  return with_doomed;
}

QueuedTask* TaskTable::Find(const TaskId& id) {
  const auto found = tasks_.find(id);
  return found == tasks_.end() ? nullptr : &found->second;
}

QueuedTask* TaskTable::FindFrom(const NodeId& from, const TaskId& id) {
  const auto theirs = remote_tasks_.find(from);
  if (theirs == remote_tasks_.end()) return nullptr;
  const auto found = theirs->second.find(id);
  return found == theirs->second.end() ? nullptr : found->second;
}

std::vector<QueuedTask*> TaskTable::AllFrom(const NodeId& from) const {
  std::vector<QueuedTask*> all;
  const auto theirs = remote_tasks_.find(from);
  if (theirs == remote_tasks_.end()) return all;
  for (const auto& [id, task] : theirs->second) all.push_back(task);
  return all;
}

std::map<NodeId, RemoteWork> TaskTable::WorkByMachine() const {
  std::map<NodeId, RemoteWork> work;
  for (const auto& [from, tasks] : remote_tasks_) {
    RemoteWork& its = work[from];
    for (const auto& [id, task] : tasks) {
      for (const auto& amount : task->task->resources.amounts()) {
        AddUnits(its.units[amount.name], amount.units);
        if (task->state != QueuedTask::State::kRunning) AddUnits(its.queued_units[amount.name], amount.units);
      }
    }
  }
  return work;
}

void TaskTable::WaitFor(QueuedTask* task, const std::vector<ObjectId>& objects) {
  task->state = QueuedTask::State::kWaiting;
  Keep(*task, objects);
  auto unwatched = dependencies_.Add(task->task->id, task->sequence, objects);
  if (!unwatched.empty()) decisions_.emplace_back(WatchObjects{std::move(unwatched)});
}

void TaskTable::StopWaiting(const QueuedTask& task) {
  auto unwanted = dependencies_.Remove(task.task->id);
  if (!unwanted.empty()) decisions_.emplace_back(UnwatchObjects{std::move(unwanted)});
}

std::vector<QueuedTask*> TaskTable::TakeReady(size_t& most) {
  std::vector<QueuedTask*> ready;
  for (const TaskId& id : dependencies_.TakeReady(most)) ready.push_back(&tasks_.at(id));
  return ready;
}

void TaskTable::Keep(QueuedTask& task, std::vector<ObjectId> objects) {
  if (places_ == nullptr) return;  // no object comes from another machine
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

void TaskTable::LetGo(QueuedTask& task) {
  ReleaseArguments release;
  for (const ObjectId& object : std::exchange(task.awaited, {})) {
    const auto awaited = awaited_.find(object);
    if (--awaited->second > 0) continue;
    awaited_.erase(awaited);
    release.objects.push_back(object);
  }
  if (!release.objects.empty()) decisions_.emplace_back(std::move(release));
}

std::vector<ObjectId> TaskTable::NotHere(const Task& task) const {
  std::vector<ObjectId> not_here;
  if (places_ == nullptr) return not_here;
  std::copy_if(task.stored_arguments.begin(), task.stored_arguments.end(), std::back_inserter(not_here),
               [this](const ObjectId& object) { return !places_->IsHere(object); });
  return not_here;
}

bool TaskTable::HasTasks(JobId id) const {
  const auto job = jobs_.find(id);
  return job != jobs_.end() && job->second.tasks > 0;
}

bool TaskTable::HasEnded(JobId id) const {
  const auto job = jobs_.find(id);
  return job != jobs_.end() && job->second.ended;
}

void TaskTable::ForgetJob(JobId id) {
  RAYLET_CHECK(!HasTasks(id) && !HasDoomed(id), "job ", id, " is forgotten while it has tasks");
  jobs_.erase(id);
}

}  // namespace raylet
