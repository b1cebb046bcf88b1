// What the cores decided, carried out: processes started and ended, messages sent. Channels: raylet_channels.cc.
#include <csignal>

#include "base/log.h"
#include "base/strings.h"
#include "raylet/node/inbound.h"
#include "raylet/node/raylet.h"

namespace raylet {
void Raylet::CarryOut() {
  if (stopping_ || std::exchange(carrying_out_, true)) return;
  for (;;) {
    const auto scheduled = scheduler_.TakeDecisions();
    const auto acted = actors_.TakeDecisions();
    if (scheduled.empty() && acted.empty()) break;
    for (const auto& decision : scheduled) std::visit([this](const auto& each) { Do(each); }, decision);
    for (const auto& decision : acted) std::visit([this](const auto& each) { Do(each); }, decision);
  }
  recent_exits_.clear();
  carrying_out_ = false;
  if (ticking_ || !scheduler_.WantsTick()) return;
  ticking_ = true;
  ahead_ticker_ = Timer(loop_, kAheadTick, {}, [this] {
    ticking_ = false;
    scheduler_.Tick();
    CarryOut();
  });
}

void Raylet::CarryOutSoon() {
  if (std::exchange(carry_out_due_, true)) return;
  loop_.AtEndOfTurn([this, alive = alive_] {
    if (!*alive) return;
    carry_out_due_ = false;
    CarryOut();
  });
}

void Raylet::Do(const StartWorker& start) {
  WorkerRecord record;
  record.job = start.job;
  workers_.emplace(start.worker, std::move(record));
  Job& job = jobs_.at(start.job);
  job.workers++;
  pool_.Start(start.worker, job.program);
}

void Raylet::Do(const RunTask& run) {
  WorkerRecord& record = workers_.at(run.worker);
  uint32_t restarts = 0;
  if (run.task->CreatesActor()) {
    record.actor = run.task->actor->id;
    actors_.Placed(*record.actor, Place::Here(run.worker));
    hosted_.Runs(*record.actor, run.worker);
    const ActorDirectory::Actor* const actor = actors_.Get(*record.actor);
    if (actor != nullptr) {
      restarts = actor->restarts;
    } else if (!run.task->CameFromElsewhere()) {  // it has ended in the same turn
      EndWorker(run.worker, /*at_once=*/true);
      return;
    }
  }
  // Without a session it is about to be gone: the task is retried then.
  ProcessSession* const session = SessionOf(record.process);
  if (session == nullptr) return;
  if (restarts == 0)
    session->SendBytes(wire::RayletMessage::RunTask, 0, run.task->body);
  else
    session->SendBytes(wire::RayletMessage::RunTask, 0, CreationOfRestart(*run.task, restarts));
}

void Raylet::AskToExit(WorkerId worker) {
  if (ProcessSession* const session = SessionOfWorker(worker))
    session->Send(wire::RayletMessage::Exit, 0, wire::EmptyNoticeT());
  pool_.KillAfter(worker, options_.exit_grace);
}

void Raylet::Do(const RecallFromWorker& recall) {
  ProcessSession* const session = SessionOfWorker(recall.worker);
  if (session == nullptr) return;  // its end is on its way: none of them has been started
  wire::TasksNoticeT notice;
  for (const TaskId& task : recall.tasks) notice.tasks.push_back(ToWire(task));
  session->Send(wire::RayletMessage::RecallTasks, 0, notice);
}

void Raylet::Do(const KillWorker& kill) { pool_.KillSoon(kill.worker); }

void Raylet::Do(const StopWorker& stop) { AskToExit(stop.worker); }

void Raylet::Do(const WatchObjects& watch) {
  store_.Watch(watch.objects);
  // Nobody will tell again that their owner has gone.
  for (const ObjectId& object : watch.objects)
    if (IsDead(OwnerOf(object))) scheduler_.OwnerGone(OwnerOf(object));
  if (objects_ == nullptr) return;
  objects_->WantArguments(watch.objects);
}

void Raylet::Do(const ReleaseArguments& release) {
  if (objects_ != nullptr) objects_->ReleaseArguments(release.objects);
}

void Raylet::Do(const ForwardTask& forward) {
  if (forward.task->CreatesActor() && actors_.Get(forward.task->actor->id) == nullptr) {  // as above
    (void)scheduler_.ForwardedFinished(forward.node, forward.task->id, /*succeeded=*/false);
    return;
  }
  Job& job = jobs_.at(forward.task->job);
  if (job.known_by.insert(forward.node).second) {
    wire::JobProgramNoticeT program;
    program.job = forward.task->job;
    program.actor_namespace = job.actor_namespace;
    program.executable = job.program.executable;
    program.arguments = job.program.arguments;
    program.environment = job.program.environment;
    program.working_directory = job.program.working_directory;
    TellPeer(forward.node, wire::WorkMessage::JobProgram, Encode(program));
  }
  wire::ForwardedTaskT task;
  task.job = forward.task->job;
  Bytes restart;
  if (forward.task->CreatesActor()) {
    const ActorId actor = forward.task->actor->id;
    actors_.Placed(actor, Place::There(forward.node));
    if (const ActorDirectory::Actor* const known = actors_.Get(actor); known != nullptr && known->restarts > 0)
      restart = CreationOfRestart(*forward.task, known->restarts);
  }
  const Bytes& body = restart.empty() ? forward.task->body : restart;
  const auto* const spec = reinterpret_cast<const uint8_t*>(body.data());
  task.spec.assign(spec, spec + body.size());
  TellPeer(forward.node, wire::WorkMessage::ForwardTask, Encode(task));
}

void Raylet::Do(const RecallForwarded& recall) {
  TellPeer(recall.node, wire::WorkMessage::RecallTasks, Encode(wire::EmptyNoticeT()));
}

void Raylet::Do(const ReturnRecalled& returned) {
  wire::TasksNoticeT notice;
  for (const TaskId& task : returned.tasks) notice.tasks.push_back(ToWire(task));
  TellPeer(returned.node, wire::WorkMessage::TasksRecalled, Encode(notice));
}

void Raylet::Do(const CancelForwarded& cancel) {
  wire::TaskNoticeT notice;
  notice.task = std::make_unique<wire::Id20>(ToWire(cancel.task));
  TellPeer(cancel.node, wire::WorkMessage::CancelTask, Encode(notice));
}

void Raylet::Do(const LoseTask& lost) {
  const auto found = recent_exits_.find(lost.worker);
  const WorkerExit exit = found == recent_exits_.end() ? WorkerExit() : found->second;
  Failure failure;
  switch (lost.why) {
    case LoseTask::Why::kWorkerDied:
      if (lost.task->CreatesActor()) return;  // whoever decides about the actor has heard of it
      failure = WorkerDiedWhileRunning(*lost.task, exit, lost.attempts);
      break;
    case LoseTask::Why::kNoWorkerStarts:
      failure = NoWorkerStarts(*lost.task, exit, options_.limits.start_attempts);
      break;
    case LoseTask::Why::kNodeDied:
      if (lost.task->CreatesActor()) return;  // the actor directory has
      failure =
          MachineDiedWhileRunning(*lost.task, AddressOf(lost.node), WhyLost(view_.Find(lost.node)), lost.attempts);
      break;
    case LoseTask::Why::kRefused: failure = RefusedElsewhere(*lost.task, AddressOf(lost.node)); break;
    case LoseTask::Why::kObjectLost: failure = ObjectLost(*lost.task, lost.object, lost.reason); break;
  }
  if (lost.task->CameFromElsewhere()) failure.message += StrCat(" (on the machine at ", PeerAddress(), ")");
  if (lost.task->CreatesActor() && lost.task->CameFromElsewhere()) {
    if (const auto hosted = hosted_.Take(lost.task->actor->id))
      TellActorGone(*hosted, /*never_began=*/true, std::move(failure));
    return;
  }
  if (lost.task->CreatesActor()) {
    actors_.CreationLost(lost.task->actor->id, failure);
    return;
  }
  const Bytes result = EncodeFailedResult(lost.task->id, std::move(failure));
  if (lost.task->CameFromElsewhere())
    TellPeer(lost.task->from, wire::WorkMessage::ForwardedResult, result);
  else if (ProcessSession* const owner = SessionOf(lost.task->owner))
    owner->SendBytes(wire::RayletMessage::TaskResult, 0, result);
}

void Raylet::RefuseTask(const Task& task, const Error& why) {
  if (ProcessSession* const owner = SessionOf(task.owner)) {
    owner->SendBytes(wire::RayletMessage::TaskResult, 0,
                     EncodeFailedResult(task.id, Refused(task.name, task.function, why.message)));
  }
}

void Raylet::Do(const CreateActorNow& create) {
  const auto submitted = scheduler_.Submit(create.creation);
  if (submitted) return;
  const Task& task = *create.creation;
  Failure failure = Refused(task.name, task.function, submitted.error().message);
  failure.kind = wire::FailureKind::ActorDied;
  actors_.CreationLost(task.actor->id, failure);
}

void Raylet::Do(const CancelCreation& cancel) { scheduler_.Cancel(cancel.creation); }

void Raylet::Do(const EndActorWorker& end) {
  if (!end.place.IsElsewhere()) return EndWorker(end.place.worker, end.at_once);
  wire::EndActorNoticeT notice;
  notice.actor = std::make_unique<wire::Id20>(ToWire(end.actor));
  notice.at_once = end.at_once;
  TellPeer(end.place.node, wire::ActorMessage::EndActor, Encode(notice));
}

void Raylet::EndWorker(WorkerId worker, bool at_once) {
  scheduler_.WorkerStopping(worker);
  if (at_once)
    pool_.KillSoon(worker);
  else
    AskToExit(worker);
}

}  // namespace raylet
