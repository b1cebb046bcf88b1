// Actors of several machines: what their homes tell us who run them, and what we are told by whoever runs ours.
#include <csignal>

#include "base/log.h"
#include "base/strings.h"
#include "raylet/node/inbound.h"
#include "raylet/node/raylet.h"

namespace raylet {

bool Raylet::IsHome(const ActorId& actor) const { return MachineOf(CreatorOf(actor)) == machine_; }

// Its home, null where that is a machine that we do not know, or that is dead.
const ClusterView::Node* Raylet::HomeOf(const ActorId& actor) const {
  const ClusterView::Node* const node = view_.NodeOf(CreatorOf(actor));
  return node == nullptr || node->state == NodeState::kDead ? nullptr : node;
}

void Raylet::TellPeer(const NodeId& node, wire::ActorMessage type, Bytes body) {
  TellPeer(node, static_cast<uint16_t>(type), std::move(body));
}

void Raylet::TellActorGone(const HostedActors::Hosted& hosted, bool never_began, Failure failure) {
  wire::ActorGoneNoticeT gone;
  gone.actor = std::make_unique<wire::Id20>(ToWire(hosted.creation->actor->id));
  gone.never_began = never_began;
  gone.failure = std::make_unique<Failure>(std::move(failure));
  TellPeer(hosted.home(), wire::ActorMessage::ActorGone, Encode(gone));
}

Result<void> Raylet::DispatchActorMessage(const NodeId& node, const Frame& frame) {
  switch (static_cast<wire::ActorMessage>(frame.header.type)) {
    case wire::ActorMessage::EndActor: return OnEndActor(node, frame);
    case wire::ActorMessage::ActorGone: return OnActorGone(node, frame);
    case wire::ActorMessage::ActorLeaves: return OnActorLeaves(node, frame);
    case wire::ActorMessage::KillElsewhere: return OnKillElsewhere(frame);
    case wire::ActorMessage::OpenActor: return OnOpenActor(node, frame);
    case wire::ActorMessage::ActorGranted: return OnActorGranted(node, frame);
    case wire::ActorMessage::ActorRefused: return OnActorRefused(node, frame);
    case wire::ActorMessage::WatchActor: return OnWatchActor(node, frame);
    case wire::ActorMessage::WatchedActorChanged: return OnWatchedActorChanged(node, frame);
    default:
      return Fail(ErrorCode::kProtocolError,
                  StrCat("message ", frame.header.type, " is none that this raylet (", kBuild, ") takes from another"));
  }
}

// ---- at the host

Result<void> Raylet::OnEndActor(const NodeId& node, const Frame& frame) {
  const auto notice = ParseAboutActor<wire::EndActorNoticeT>(frame.body);
  if (!notice) return Fail(notice.error());
  const HostedActors::Hosted* const hosted = hosted_.Find(notice->actor);
  if (hosted == nullptr || hosted->home() != node) return {};  // its end, or the creation, is on its way to its home
  if (hosted->worker != 0) {
    EndWorker(hosted->worker, notice->message.at_once);
    return {};
  }
  (void)scheduler_.Cancel(hosted->creation->id);
  Failure failure = Refused(hosted->creation->name, hosted->creation->function, "it was ended before it began");
  failure.kind = wire::FailureKind::ActorDied;
  TellActorGone(*hosted_.Take(notice->actor), /*never_began=*/false, std::move(failure));
  return {};
}

// ---- at home

Result<void> Raylet::OnActorGone(const NodeId& node, const Frame& frame) {
  const auto notice = ParseAboutActor<wire::ActorGoneNoticeT>(frame.body);
  if (!notice) return Fail(notice.error());
  RAYLET_RETURN_IF_ERROR(CheckFailure(notice->message.failure.get()));
  scheduler_.ActorLeft(node, notice->actor);
  const ActorDirectory::Actor* const actor = actors_.Get(notice->actor);
  if (actor != nullptr && actor->place == Place::There(node)) {  // otherwise it has been given up already
    (void)scheduler_.ForwardedFinished(node, actor->creation->id, /*succeeded=*/false);
    Failure failure = *notice->message.failure;
    failure.message += StrCat(", on the machine at ", AddressOf(node));
    if (notice->message.never_began)
      actors_.CreationLost(notice->actor, failure);
    else
      actors_.WorkerGone(notice->actor, Place::There(node), failure);
    CarryOut();
  }
  ForgetEndedJobs();
  return {};
}

Result<void> Raylet::OnActorLeaves(const NodeId& node, const Frame& frame) {
  const auto request = ParseAboutActor<wire::ActorRequestT>(frame.body);
  if (!request) return Fail(request.error());
  const ActorDirectory::Actor* const actor = actors_.Get(request->actor);
  if (actor != nullptr && actor->place == Place::There(node)) actors_.Exited(request->actor);
  return {};
}

Result<void> Raylet::OnKillElsewhere(const Frame& frame) {
  const auto request = ParseAboutActor<wire::KillActorRequestT>(frame.body);
  if (!request) return Fail(request.error());
  actors_.Kill(request->actor, request->message.no_restart);
  return {};
}

}  // namespace raylet
