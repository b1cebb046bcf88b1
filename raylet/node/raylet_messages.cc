// What processes say to the raylet: each message is parsed, checked, and told to the cores.
#include "base/log.h"
#include "base/strings.h"
#include "raylet/node/inbound.h"
#include "raylet/node/raylet.h"

namespace raylet {

Result<void> Raylet::OnMessage(ProcessSession& session, wire::RayletMessage type, const Frame& frame) {
  if (stopping_ || EndsWithItsJob(session)) return {};
  const auto done = Dispatch(session, type, frame);
  CarryOutSoon();
  return done;
}

Result<void> Raylet::Dispatch(ProcessSession& session, wire::RayletMessage type, const Frame& frame) {
  using wire::RayletMessage;
  if (type == RayletMessage::NodeStatus) return OnNodeStatus(session, frame);
  if (session.identity->kind == wire::ProcessKind::Tool)
    return Fail(ErrorCode::kProtocolError,
                StrCat("a tool sent message ", frame.header.type, ", and may only ask for NodeStatus"));
  switch (type) {
    case RayletMessage::Ready: return OnReady(session, frame);
    case RayletMessage::SubmitTask: return OnSubmitTask(session, frame);
    case RayletMessage::TaskDone: return OnTaskDone(session, frame);
    case RayletMessage::TasksRecalled: return OnTasksRecalled(session, frame);
    case RayletMessage::CreateActor: return OnCreateActor(session, frame);
    case RayletMessage::OpenChannel: return OnOpenChannel(session, frame);
    case RayletMessage::KillActor: return OnKillActor(frame);
    case RayletMessage::ReleaseActor: return OnReleaseActor(session, frame);
    case RayletMessage::FindActor: return OnFindActor(session, frame);
    case RayletMessage::Blocked: return OnBlocked(session, frame);
    case RayletMessage::ReleaseLend: return OnReleaseLend(session, frame);
    case RayletMessage::WantObjects: return OnWantObjects(session, frame);
    case RayletMessage::FreeObjects: return OnFreeObjects(session, frame);
    case RayletMessage::ActorExited: return OnActorExited(session, frame);
    case RayletMessage::ChannelReleased: return OnChannelReleased(session, frame);
    default: return Fail(ErrorCode::kProtocolError, StrCat("message ", frame.header.type, " is not for a raylet"));
  }
}

Result<void> Raylet::OnReady(ProcessSession& session, const Frame& frame) {
  const auto notice = Parse<wire::ReadyNoticeT>(frame.body);
  if (!notice) return Fail(notice.error());
  auto& identity = *session.identity;
  if (std::exchange(identity.ready, true)) return Fail(ErrorCode::kProtocolError, "a process said Ready twice");
  identity.store_client = notice->store_client;
  if (identity.kind == wire::ProcessKind::Worker) scheduler_.WorkerReady(identity.worker);
  return {};
}

Result<void> Raylet::OnSubmitTask(ProcessSession& session, const Frame& frame) {
  const auto& identity = *session.identity;
  const auto parsed = ParseTask(frame, {identity.process, identity.job, jobs_.at(identity.job).actor_namespace}, false);
  if (!parsed) return Fail(parsed.error());
  if (!parsed->sound) {
    RefuseTask(*parsed->task, parsed->sound.error());
    return {};
  }
  const auto submitted = scheduler_.Submit(parsed->task);
  if (submitted) return {};
  if (submitted.error().code == ErrorCode::kAlreadyExists)
    return Fail(ErrorCode::kProtocolError, submitted.error().message);
  RefuseTask(*parsed->task, submitted.error());
  return {};
}

Result<void> Raylet::OnTaskDone(ProcessSession& session, const Frame& frame) {
  auto result = Parse<wire::TaskResultT>(frame.body);
  if (!result) return Fail(result.error());
  const auto& identity = *session.identity;
  if (identity.kind != wire::ProcessKind::Worker)
    return Fail(ErrorCode::kProtocolError, "a driver says that it ran a task");
  if (result->process != identity.process)
    return Fail(ErrorCode::kProtocolError,
                StrCat("process ", identity.process, " speaks for process ", result->process));
  RAYLET_RETURN_IF_ERROR(CheckValue(result->result.get()));
  const bool failed = result->result->kind == wire::ValueKind::Failed;
  const auto task = scheduler_.TaskFinished(identity.worker, FromWire<TaskId>(*result->id), !failed);
  if (!task) return Fail(task.error());
  // Its owner first, so that it knows of a constructor's failure before it hears that the actor is dead.
  if ((*task)->CameFromElsewhere()) {
    if (result->result->kind == wire::ValueKind::Stored)
      objects_->KeptFor((*task)->owner, FromWire<ObjectId>(*result->result->id));
    // What it says of a store or a worker is of this machine.
    if (failed) SayWhere(*result->result->failure, PeerAddress());
    TellPeer((*task)->from, wire::WorkMessage::ForwardedResult, failed ? Encode(*result) : Bytes(frame.body));
  } else if (ProcessSession* const owner = SessionOf((*task)->owner)) {
    owner->SendBytes(wire::RayletMessage::TaskResult, 0, frame.body);
  }
  if (!(*task)->CreatesActor()) return {};
  const ActorId actor = (*task)->actor->id;
  if (failed) {
    actors_.ConstructorFailed(actor, *result->result->failure);
  } else {
    hosted_.Constructed(actor);
    workers_.at(identity.worker).constructed = true;
    actors_.Constructed(actor, identity.process);
  }
  return {};
}

Result<void> Raylet::OnTasksRecalled(ProcessSession& session, const Frame& frame) {
  const auto notice = Parse<wire::TasksNoticeT>(frame.body);
  if (!notice) return Fail(notice.error());
  std::vector<TaskId> tasks;
  for (const auto& id : notice->tasks) tasks.push_back(FromWire<TaskId>(id));
  return scheduler_.WorkerGaveBack(session.identity->worker, tasks);
}

Result<void> Raylet::OnKillActor(const Frame& frame) {
  const auto request = ParseAboutActor<wire::KillActorRequestT>(frame.body);
  if (!request) return Fail(request.error());
  if (IsHome(request->actor))
    actors_.Kill(request->actor, request->message.no_restart);
  else if (const ClusterView::Node* const home = HomeOf(request->actor))
    TellPeer(home->id, wire::ActorMessage::KillElsewhere, frame.body);
  return {};
}

Result<void> Raylet::OnReleaseActor(ProcessSession& session, const Frame& frame) {
  const auto request = ParseAboutActor<wire::ActorRequestT>(frame.body);
  if (!request) return Fail(request.error());
  actors_.Release(request->actor, session.identity->process);
  return {};
}

Result<void> Raylet::OnBlocked(ProcessSession& session, const Frame& frame) {
  const auto notice = Parse<wire::BlockedNoticeT>(frame.body);
  if (!notice) return Fail(notice.error());
  // A driver holds no CPU of ours.
  if (session.identity->kind == wire::ProcessKind::Worker)
    scheduler_.WorkerBlocked(session.identity->worker, notice->blocked);
  return {};
}

Result<void> Raylet::OnReleaseLend(ProcessSession& session, const Frame& frame) {
  const auto notice = Parse<wire::LendNoticeT>(frame.body);
  if (!notice) return Fail(notice.error());
  if (notice->lend == 0) return Fail(ErrorCode::kProtocolError, "a lend without a number is released");
  if (const ClusterView::Node* const node = view_.NodeOf(notice->process)) {
    wire::ReleasedLendT released;
    released.lender = notice->process;
    released.by = session.identity->process;
    released.lend = notice->lend;
    TellPeer(node->id, wire::WorkMessage::LendReleased, Encode(released));
    return {};
  }
  ProcessSession* const lender = SessionOf(notice->process);
  if (lender == nullptr) return {};  // gone, and its lends with it
  wire::LendNoticeT told;
  told.process = session.identity->process;
  told.lend = notice->lend;
  lender->Send(wire::RayletMessage::ReleaseLend, 0, told);
  return {};
}

Result<void> Raylet::OnActorExited(ProcessSession& session, const Frame& frame) {
  const auto request = ParseAboutActor<wire::ActorRequestT>(frame.body);
  if (!request) return Fail(request.error());
  const auto& identity = *session.identity;
  if (identity.kind != wire::ProcessKind::Worker || workers_.at(identity.worker).actor != request->actor)
    return Fail(ErrorCode::kProtocolError,
                StrCat("actor ", request->actor.hex(), " does not live in the process that ends it"));
  if (const HostedActors::Hosted* const hosted = hosted_.Find(request->actor))
    TellPeer(hosted->home(), wire::ActorMessage::ActorLeaves, frame.body);
  else
    actors_.Exited(request->actor);
  return {};
}

Result<void> Raylet::OnWantObjects(ProcessSession& session, const Frame& frame) {
  const auto notice = Parse<wire::WantNoticeT>(frame.body);
  if (!notice) return Fail(notice.error());
  if (objects_ == nullptr)
    return Fail(ErrorCode::kProtocolError, "objects are wanted of other machines, and there are none");
  const ProcessId process = session.identity->process;
  for (const auto& id : notice->objects) {
    const auto object = FromWire<ObjectId>(id);
    if (notice->no_longer)
      objects_->WantNoLonger(object, process);
    else
      objects_->Want(object, process, notice->wait ? PullPriority::kWait : PullPriority::kGet);
  }
  return {};
}

Result<void> Raylet::OnFreeObjects(ProcessSession& session, const Frame& frame) {
  const auto notice = Parse<wire::FreeNoticeT>(frame.body);
  if (!notice) return Fail(notice.error());
  if (objects_ == nullptr) return {};
  for (const auto& id : notice->objects) {
    const auto object = FromWire<ObjectId>(id);
    if (OwnerOf(object) != session.identity->process)
      return Fail(ErrorCode::kProtocolError, StrCat("process ", session.identity->process, " frees object ",
                                                    object.hex(), ", which is not its own"));
    objects_->Freed(object);
  }
  return {};
}

Result<void> Raylet::OnNodeStatus(ProcessSession& session, const Frame& frame) {
  const auto request = Parse<wire::EmptyNoticeT>(frame.body);
  if (!request) return Fail(request.error());
  if (session.IsBehind())
    return Fail(ErrorCode::kSlowConsumer, "it asks how this raylet is again and again, and reads no answer");
  wire::NodeStatusReplyT reply;
  reply.json = StatusJson();
  session.Send(wire::RayletMessage::NodeStatusReply, frame.header.request_id, reply);
  return {};
}

}  // namespace raylet
