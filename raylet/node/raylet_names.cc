// Names of actors, and how those of other homes are found: in the directory here, then in the cluster's control store.
#include "base/log.h"
#include "base/strings.h"
#include "raylet/node/inbound.h"
#include "raylet/node/raylet.h"

namespace raylet {

void Raylet::ShareNames(ControlLink& control) {
  names_.SetControl(control);
  control.SetOnLost([this](const Published::Lost& lost) {
    const auto actor = names_.OnLost(lost);
    if (!actor || stopping_) return;
    RAYLET_LOG(kError, "actor ", actor->hex(), " has lost its name: ", lost.why.message);
    actors_.NameLost(*actor);
    CarryOut();
  });
}

Result<void> Raylet::OnCreateActor(ProcessSession& session, const Frame& frame) {
  const auto& identity = *session.identity;
  const auto parsed = ParseTask(frame, {identity.process, identity.job, jobs_.at(identity.job).actor_namespace}, true);
  if (!parsed) return Fail(parsed.error());
  const ActorSettings& actor = *parsed->task->actor;
  const bool claims = names_.shared() && !actor.name.empty();
  const Result<void> created = parsed->sound ? actors_.Create(parsed->task, claims) : parsed->sound;
  if (created && claims) {
    names_.Claim(actor, [this, process = identity.process, request_id = frame.header.request_id,
                         id = actor.id](const Result<void>& claimed) {
      if (stopping_) return;
      if (ProcessSession* const creator = SessionOf(process))
        creator->SendBytes(wire::RayletMessage::StatusReply, request_id, EncodeStatusReply(claimed));
      NameClaimed(id, claimed);
    });
    return {};
  }
  session.SendBytes(wire::RayletMessage::StatusReply, frame.header.request_id, EncodeStatusReply(created));
  return {};
}

void Raylet::NameClaimed(const ActorId& id, const Result<void>& claimed) {
  if (!claimed) {
    if (const ActorDirectory::Actor* const actor = actors_.Get(id)) {
      Failure failure = Refused(actor->creation->name, actor->creation->function, claimed.error().message);
      failure.kind = wire::FailureKind::ActorDied;
      actors_.CreationLost(id, failure);
    }
  } else if (!actors_.NameClaimed(id)) {
    names_.Release(id);
  }
  CarryOut();
  ForgetEndedJobs();
}

Result<void> Raylet::OnFindActor(ProcessSession& session, const Frame& frame) {
  const auto request = Parse<wire::FindActorRequestT>(frame.body);
  if (!request) return Fail(request.error());
  RAYLET_RETURN_IF_ERROR(CheckName("a name", request->name));
  RAYLET_RETURN_IF_ERROR(CheckName("a namespace", request->actor_namespace));
  const auto& identity = *session.identity;
  const std::string& space =
      request->actor_namespace.empty() ? jobs_.at(identity.job).actor_namespace : request->actor_namespace;
  const auto found = actors_.Find(request->name, space, identity.process);
  if (found || !names_.shared() || request->name.empty()) {
    Found(identity.process, frame.header.request_id, request->name, found);
    return {};
  }
  names_.Find(space, request->name,
              [this, asker = identity.process, request_id = frame.header.request_id,
               name = request->name](Result<ActorId> elsewhere) {
                if (stopping_) return;
                Found(asker, request_id, name, elsewhere);
                CarryOut();
              });
  return {};
}

void Raylet::Found(ProcessId asker, uint64_t request_id, const std::string& name, const Result<ActorId>& found) {
  ProcessSession* const session = SessionOf(asker);
  if (session == nullptr) return;
  Result<ActorId> actor = found;
  if (actor && IsHome(*actor)) {
    actors_.Watch(*actor, asker);
  } else if (actor) {
    if (const ClusterView::Node* const home = HomeOf(*actor)) {
      remote_actors_.Watch(home->id, *actor, asker);
      wire::WatchActorRequestT watch;
      watch.actor = std::make_unique<wire::Id20>(ToWire(*actor));
      watch.process = asker;
      TellPeer(home->id, wire::ActorMessage::WatchActor, Encode(watch));
    } else {
      actor = Fail(ErrorCode::kNotFound, StrCat("the actor with the name '", name,
                                                "' was created on a machine that is lost, or that this one does not "
                                                "know yet"));
    }
  }
  wire::FindActorReplyT reply;
  reply.status = actor ? OkStatus() : ToStatus(actor.error());
  if (actor) reply.actor = std::make_unique<wire::Id20>(ToWire(*actor));
  session->Send(wire::RayletMessage::FindActorReply, request_id, reply);
}

Result<void> Raylet::OnWatchActor(const NodeId& node, const Frame& frame) {
  const auto request = ParseAboutActor<wire::WatchActorRequestT>(frame.body);
  if (!request) return Fail(request.error());
  RAYLET_RETURN_IF_ERROR(CheckSpeaksFor(node, request->message.process));
  actors_.Watch(request->actor, request->message.process);
  return {};
}

void Raylet::Do(const NameFreed& freed) { names_.Release(freed.actor); }

void Raylet::Do(const ActorMoved& moved) {
  if (moved.place.IsNowhere())
    names_.Forget(moved.actor, moved.start);
  else
    names_.Place(moved.actor, moved.place.IsElsewhere() ? moved.place.node : node_, moved.start);
}

}  // namespace raylet
