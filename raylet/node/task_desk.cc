#include "raylet/node/task_desk.h"

#include "base/strings.h"
#include "raylet/node/inbound.h"

namespace raylet {

TaskDesk::TaskDesk(const RayletOptions& options, const Services& services)
    : gpus_(options.gpus),
      loop_(services.loop),
      store_(services.store),
      post_(services.post),
      door_(services.door),
      house_(services.house),
      jobs_(services.jobs),
      decisions_(services.decisions),
      end_notices_(services.end_notices),
      scheduler_(options.resources, options.limits),
      forwarded_(scheduler_, services),
      leases_(scheduler_, services),
      cancels_(scheduler_, services),
      groups_(scheduler_, services),
      stuck_(scheduler_, services, [this] { return groups_.StuckCauses(); }) {}

void TaskDesk::Wire(CreationEvents& creations, TravellingObjects& objects, std::function<void()> job_may_end) {
  creations_ = &creations;
  objects_ = &objects;
  job_may_end_ = std::move(job_may_end);
  forwarded_.Wire(creations, objects);
}

void TaskDesk::JoinCluster(const ObjectPlaces& places) { scheduler_.JoinCluster(post_.view(), places); }

// ---- messages of processes

Result<void> TaskDesk::OnReady(ProcessSession& session, const Frame& frame) {
  const auto notice = Parse<wire::ReadyNoticeT>(frame.body);
  if (!notice) return Fail(notice.error());
  auto& identity = *session.identity;
  if (std::exchange(identity.ready, true)) return Fail(ErrorCode::kProtocolError, "a process said Ready twice");
  identity.store_client = notice->store_client;
  if (identity.kind != wire::ProcessKind::Worker) return {};
  house_.Ready(identity.worker, notice->store_client);
  scheduler_.WorkerReady(identity.worker, identity.process);
  return {};
}

Result<void> TaskDesk::OnSubmitTask(ProcessSession& session, const Frame& frame) {
  const auto& identity = *session.identity;
  const auto parsed =
      ParseTask(frame, {identity.process, identity.job, jobs_.Get(identity.job).actor_namespace}, false);
  if (!parsed) return Fail(parsed.error());
  if (!parsed->sound) {
    Refuse(*parsed->task, parsed->sound.error());
    return {};
  }
  if (const auto admitted = groups_.Admit(*parsed->task); !admitted) {
    Refuse(*parsed->task, admitted.error());
    return {};
  }
  if (!scheduler_.AskForRoom(*parsed->task)) {
    session.SendBytes(wire::RayletMessage::TaskReturned, 0, frame.body);
    return {};
  }
  const auto submitted = scheduler_.Submit(parsed->task);
  if (submitted) return {};
  if (submitted.error().code == ErrorCode::kAlreadyExists)
    return Fail(ErrorCode::kProtocolError, submitted.error().message);
  Refuse(*parsed->task, submitted.error());
  return {};
}

Result<void> TaskDesk::OnTaskDone(ProcessSession& session, const Frame& frame) {
  const MessageView<wire::TaskResult> result(frame.body);
  if (!result) return Fail(result.error());
  const auto& identity = *session.identity;
  if (identity.kind != wire::ProcessKind::Worker)
    return Fail(ErrorCode::kProtocolError, "a driver says that it ran a task");
  if (result->process() != identity.process)
    return Fail(ErrorCode::kProtocolError,
                StrCat("process ", identity.process, " speaks for process ", result->process()));
  RAYLET_RETURN_IF_ERROR(CheckValue(*result->result()));
  const bool failed = result->result()->kind() == wire::ValueKind::Failed;
  const auto task = scheduler_.TaskFinished(identity.worker, FromWire<TaskId>(*result->id()), !failed);
  if (!task) return Fail(task.error());
  if (result->lend() != 0) end_notices_.Meet(identity.process, (*task)->owner);
  // Tells the owner first, so that it knows of a constructor's failure before it hears that the actor is dead.
  if ((*task)->IsRemote())
    forwarded_.SendResult(**task, *result, frame.body);
  else if (ProcessSession* const owner = door_.SessionOf((*task)->owner))
    owner->SendBytes(wire::RayletMessage::TaskResult, 0, frame.body);
  if (!(*task)->CreatesActor()) return {};
  const ActorId actor = (*task)->actor->id;
  if (failed) {
    creations_->OnConstructorFailed(actor, FailureIn(*result->result()));
  } else {
    house_.Constructed(identity.worker);
    creations_->OnConstructed(actor, identity.process);
  }
  return {};
}

Result<void> TaskDesk::OnTasksRecalled(ProcessSession& session, const Frame& frame) {
  const auto notice = Parse<wire::TasksNoticeT>(frame.body);
  if (!notice) return Fail(notice.error());
  std::vector<TaskId> tasks;
  for (const auto& id : notice->tasks) tasks.push_back(FromWire<TaskId>(id));
  return scheduler_.WorkerGaveBack(session.identity->worker, tasks);
}

Result<void> TaskDesk::OnBlocked(ProcessSession& session, const Frame& frame) {
  const auto notice = Parse<wire::BlockedNoticeT>(frame.body);
  if (!notice) return Fail(notice.error());
  // A driver holds no CPU of ours.
  if (session.identity->kind == wire::ProcessKind::Worker)
    scheduler_.WorkerBlocked(session.identity->worker, notice->blocked);
  return {};
}

Result<void> TaskDesk::OnStays(ProcessSession& session, const Frame& frame) {
  const auto notice = Parse<wire::StaysNoticeT>(frame.body);
  if (!notice) return Fail(notice.error());
  const auto& identity = *session.identity;
  if (identity.kind != wire::ProcessKind::Worker) return Fail(ErrorCode::kProtocolError, "a driver says that it stays");
  scheduler_.WorkerStays(identity.worker, notice->stays);
  if (notice->stays)
    house_.LetStay(identity.worker);
  else if (scheduler_.IsStopping(identity.worker))
    house_.AskToExit(identity.worker);
  return {};
}

void TaskDesk::Refuse(const Task& task, const Error& why) {
  if (ProcessSession* const owner = door_.SessionOf(task.owner)) {
    owner->SendBytes(wire::RayletMessage::TaskResult, 0,
                     EncodeFailedResult(task.id, Refused(task.name, task.function, why.message)));
  }
}

// ---- for the other desks

Result<void> TaskDesk::SubmitCreation(const TaskPtr& creation) {
  // An actor may start again after its job has been forgotten here.
  if (!jobs_.TakesTasks(creation->job)) return Fail(ErrorCode::kNotRunning, "its driver has ended");
  RAYLET_RETURN_IF_ERROR(groups_.Admit(*creation));
  return scheduler_.Submit(creation);
}

void TaskDesk::CreationEndedThere(const NodeId& node, const TaskId& creation) {
  (void)scheduler_.ForwardedFinished(node, creation, /*succeeded=*/false);
}

void TaskDesk::EndWorker(WorkerId worker, bool at_once) {
  scheduler_.WorkerStopping(worker);
  if (at_once)
    house_.Kill(worker);
  else
    house_.AskToExit(worker);
}

void TaskDesk::OnArgumentSealed(const ObjectId& object) {
  scheduler_.ObjectSealed(object);
  decisions_.CarryOutSoon();
}

void TaskDesk::OnArgumentLost(const ObjectId& object, const std::string& why) {
  scheduler_.ObjectLost(object, why);
  decisions_.CarryOutSoon();
}

// Very many tasks may wait for one object, or end with one process. The rest follows in the next turn (CarriedOut).
void TaskDesk::WorkOff() {
  if (decisions_.stopped()) return;
  scheduler_.WorkOff([this](const ObjectId& object) { return MayBeSealed(object); });
  decisions_.CarryOut();
  job_may_end_();
}

// ---- ends

void TaskDesk::Kill(const std::vector<WorkerId>& workers) {
  for (const WorkerId worker : workers) house_.Kill(worker);
}

void TaskDesk::WorkerGone(const GoneWorker& gone) {
  recent_exits_[gone.worker] = *gone.record.exit;
  DeleteUntoldResult(gone);
  scheduler_.WorkerGone(gone.worker, store_.Serves());
}

// The worker may have sealed a result that it did not report. The next run of the task seals its
// own.
void TaskDesk::DeleteUntoldResult(const GoneWorker& gone) {
  const auto known = scheduler_.workers().find(gone.worker);
  const uint32_t store_client = gone.record.store_client;
  if (known == scheduler_.workers().end() || known->second.task == nullptr || store_client == 0) return;
  store_.DeleteMadeBy(store_client, {&known->second.task->task->id, 1});
}

void TaskDesk::OwnersGone(const ProcessSet& processes) {
  groups_.ProcessesGone(processes);
  Kill(scheduler_.OwnersGone(processes, [this](const ObjectId& object) { return MayBeSealed(object); }));
}

// Whether an object whose owner has ended may still come. Either this store has it and will report it, or the owner's
// machine knows where it is and reports a loss.
bool TaskDesk::MayBeSealed(const ObjectId& object) const {
  return post_.joined() || store_.BytesOf(object).has_value();
}

ProcessSet TaskDesk::SurvivorsOf(JobId job) const {
  ProcessSet survivors;
  for (bool more = true; more;) {
    more = false;
    for (const auto& [id, worker] : scheduler_.workers()) {
      if (worker.job != job || !Scheduler::Outlives(worker, survivors)) continue;
      const ProcessId process = house_.Get(id).process;
      more = (process != 0 && survivors.insert(process).second) || more;
    }
  }
  return survivors;
}

ProcessSet TaskDesk::EndJob(JobId job, const ProcessSet& survivors, bool for_good) {
  groups_.JobEnded(job, survivors);
  ProcessSet killed;
  for (const WorkerId worker : scheduler_.JobEnded(job, survivors, for_good)) {
    if (const ProcessId process = house_.Get(worker).process; process != 0) killed.insert(process);
    house_.EndWithJob(worker);
  }
  return killed;
}

void TaskDesk::MachineLost(const NodeId& node) {
  Kill(scheduler_.MachineLost(node));
  forwarded_.MachineLost(node);
  groups_.MachineLost(node);
}

void TaskDesk::ClusterChanged() {
  groups_.ClusterChanged();
  scheduler_.ClusterChanged();
  decisions_.CarryOut();
}

}  // namespace raylet
