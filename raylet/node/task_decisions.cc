// The part of TaskDesk that carries out the scheduler's decisions: it starts and ends processes, and sends messages.
#include "base/overloaded.h"
#include "base/strings.h"
#include "raylet/node/inbound.h"
#include "raylet/node/task_desk.h"

namespace raylet {

void TaskDesk::CarryOut(const std::vector<SchedulerDecision>& decisions) {
  const Overloaded carry_out{
      [this](const StartWorker& start) { StartOne(start); },
      [this](const RunTask& run) { Run(run); },
      [this](const UseDevices& use) { TellDevices(use); },
      [this](const RecallFromWorker& recall) { RecallAhead(recall); },
      [this](const KillWorker& kill) { house_.Kill(kill.worker); },
      [this](const StopWorker& stop) { house_.AskToExit(stop.worker); },
      [this](const WatchObjects& watch) { Watch(watch); },
      [this](const UnwatchObjects& unwatch) { store_.Unwatch(unwatch.objects, WatchFor::kTask); },
      [this](const ReleaseArguments& release) { objects_->ReleaseArguments(release.objects); },
      [this](const ForwardTask& forward) { forwarded_.Forward(forward); },
      [this](const RecallForwarded& recall) { forwarded_.Recall(recall); },
      [this](const ReturnRecalled& returned) { forwarded_.Return(returned); },
      [this](const CancelForwarded& cancel) { forwarded_.Cancel(cancel); },
      [this](const TellRoom& room) { TellOfRoom(room); },
      [this](const GrantWorker& grant) { leases_.Grant(grant); },
      [this](const RefuseWorker& refuse) { leases_.Refuse(refuse); },
      [this](const ShutLease& shut) { leases_.Shut(shut); },
      [this](const LoseLease& lost) { leases_.Lose(lost, ExitOf(lost.worker)); },
      [this](const LoseTask& lost) { Lose(lost); },
  };
  for (const SchedulerDecision& decision : decisions) std::visit(carry_out, decision);
}

void TaskDesk::CarriedOut() {
  recent_exits_.clear();
  groups_.CarriedOut();
  stuck_.Look();
  if (scheduler_.HasMore()) work_off_.Ask();
  if (ticking_ || !scheduler_.WantsTick()) return;
  ticking_ = true;
  ahead_ticker_ = Timer(loop_, kAheadTick, {}, [this] {
    ticking_ = false;
    leases_.Look();
    scheduler_.Tick();
    decisions_.CarryOut();
  });
}

void TaskDesk::StartOne(const StartWorker& start) {
  jobs_.WorkerStarted(start.group.job);
  house_.Start(start.worker, start.group, jobs_.Get(start.group.job).program);
}

void TaskDesk::Run(const RunTask& run) {
  std::optional<CreationEvents::Begins> begins;
  if (run.task->CreatesActor()) {
    begins = creations_->OnCreationPlaced(*run.task, Place::Here(run.worker));
    house_.Hosts(run.worker, run.task->actor->id, begins ? begins->incarnation : 0);
    if (!begins) return EndWorker(run.worker, /*at_once=*/true);
  }
  // A worker without a session is about to be gone. The task is retried then.
  ProcessSession* const session = house_.SessionOf(run.worker);
  if (session == nullptr) return;
  if (run.task->lent) end_notices_.Meet(session->identity->process, run.task->owner);
  if (begins)
    session->SendBytes(wire::RayletMessage::RunTask, 0, CreationOf(*run.task, begins->incarnation, begins->lease));
  else
    session->SendBytes(wire::RayletMessage::RunTask, 0, run.task->body);
}

void TaskDesk::TellDevices(const UseDevices& use) {
  ProcessSession* const session = house_.SessionOf(use.worker);
  if (session == nullptr) return;  // the worker's end is on its way
  wire::DevicesNoticeT notice;
  notice.visible = VisibleDevices(gpus_, use.devices);
  session->Send(wire::RayletMessage::UseDevices, 0, notice);
}

void TaskDesk::RecallAhead(const RecallFromWorker& recall) {
  ProcessSession* const session = house_.SessionOf(recall.worker);
  if (session == nullptr) return;  // the worker's end is on its way, and it has started none of these
  wire::TasksNoticeT notice;
  for (const TaskId& task : recall.tasks) notice.tasks.push_back(ToWire(task));
  session->Send(wire::RayletMessage::RecallTasks, 0, notice);
}

void TaskDesk::TellOfRoom(const TellRoom& room) {
  if (ProcessSession* const submitter = door_.SessionOf(room.process))
    submitter->Send(wire::RayletMessage::RoomForTasks, 0, wire::EmptyNoticeT());
}

void TaskDesk::Watch(const WatchObjects& watch) {
  store_.Watch(watch.objects, WatchFor::kTask);
  // The end of an owner is not told again.
  for (const ObjectId& object : watch.objects)
    if (door_.HasGone(OwnerOf(object))) OwnersGone({OwnerOf(object)});
  objects_->WantArguments(watch.objects);
}

WorkerExit TaskDesk::ExitOf(WorkerId worker) const {
  const auto found = recent_exits_.find(worker);
  return found == recent_exits_.end() ? WorkerExit() : found->second;
}

wire::FailureT TaskDesk::FailureOf(const LoseTask& lost) const {
  const WorkerExit exit = ExitOf(lost.worker);
  switch (lost.why) {
    case LoseTask::Why::kWorkerDied: return WorkerDiedWhileRunning(*lost.task, exit, lost.attempts);
    case LoseTask::Why::kNoWorkerStarts: return NoWorkerStarts(*lost.task, exit, scheduler_.limits().start_attempts);
    case LoseTask::Why::kNodeDied:
      return MachineDiedWhileRunning(*lost.task, post_.AddressOf(lost.node), post_.WhyLost(lost.node), lost.attempts);
    case LoseTask::Why::kGroupRemoved: return GroupRemoved(*lost.task);
    case LoseTask::Why::kCancelled: return CancelledBeforeItBegan();
    case LoseTask::Why::kRefused: return RefusedByOthers(*lost.task, post_.AddressOf(lost.node));
    case LoseTask::Why::kObjectLost: return ObjectLost(*lost.task, lost.object, lost.reason);
  }
  return {};
}

void TaskDesk::Lose(const LoseTask& lost) {
  // The actor's home has heard of these causes already.
  const bool told = lost.why == LoseTask::Why::kWorkerDied || lost.why == LoseTask::Why::kNodeDied;
  if (lost.task->CreatesActor() && told) return;
  wire::FailureT failure = FailureOf(lost);
  if (lost.task->IsRemote()) failure.message += StrCat(" (on the machine at ", post_.OwnAddress(), ")");
  if (lost.task->CreatesActor()) return creations_->OnCreationLost(*lost.task, std::move(failure));
  Bytes result = EncodeFailedResult(lost.task->id, std::move(failure));
  if (lost.task->IsRemote())
    forwarded_.TellResult(*lost.task, std::move(result));
  else if (ProcessSession* const owner = door_.SessionOf(lost.task->owner))
    owner->SendBytes(wire::RayletMessage::TaskResult, 0, result);
}

}  // namespace raylet
