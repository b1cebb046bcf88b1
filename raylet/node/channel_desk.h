// ChannelDesk: who wants to call an actor, and who watches one: asked for at the actor's home, which grants the channel
// where the actor runs, and tells what becomes of the actor. A desk. It owns RemoteActors, which are the actors of
// other homes that processes of ours call or watch, and CallChannels. Owned by the Raylet; loop thread only. Always
// holds: whoever asked for a channel gets one reply, unless it ends first.
#pragma once

#include <string>

#include "raylet/actors/remote_actors.h"
#include "raylet/node/actor_calls.h"
#include "raylet/node/call_channels.h"
#include "raylet/node/services.h"

namespace raylet {

class ChannelDesk final : public ActorCallEvents {
 public:
  explicit ChannelDesk(const Services& services);
  void Wire(ActorHomes& actors, TravellingObjects& objects);  // before anything else; both outlive it
  void JoinCluster() { channels_.JoinCluster(); }

  Result<void> OnOpenChannel(ProcessSession& session, const Frame& frame);
  // ---- to an actor's home
  Result<void> OnOpenActor(const NodeId& node, const Frame& frame);
  // ---- from it
  Result<void> OnActorGranted(const NodeId& node, const Frame& frame);
  Result<void> OnActorRefused(const NodeId& node, const Frame& frame);
  Result<void> OnWatchedActorChanged(const NodeId& node, const Frame& frame);
  CallChannels& channels() { return channels_; }  // what is said about channels that there are
  const CallChannels& channels() const { return channels_; }

  // ---- what the actor desk says
  void OnGranted(const GrantChannel& grant) override;
  void OnRefused(const RefuseChannel& refuse) override;
  void OnActorChanged(const TellActorChanged& change) override;
  void OnFoundElsewhere(const NodeId& home, const ActorId& actor, ProcessId process) override;

  // ---- ends (see ends.h)
  void ProcessesGone(const ProcessSet& processes);
  void HomeGone(const NodeId& node, const Error& why);

 private:
  void AskHome(const RemoteActors::Ask& ask);
  void AskAgainLater();
  void Connect(const CallChannels::GrantedActor& granted, ProcessId caller, uint64_t request_id);
  void RefuseCaller(ProcessId caller, uint64_t request_id, const Failure& failure);
  void ReplyError(ProcessSession& session, uint64_t request_id, const Error& why);
  Result<ActorId> ActorOf(const NodeId& node, const wire::Id20* id) const;

  Loop& loop_;
  const Clock& clock_;
  PeerPost& post_;
  ProcessDoor& door_;
  ActorHomes* actors_ = nullptr;  // null before Wire
  RemoteActors remote_actors_;
  CallChannels channels_;
  Timer ask_again_;
};

}  // namespace raylet
