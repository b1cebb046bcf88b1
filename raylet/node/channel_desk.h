// ChannelDesk: requests for channels to actors, and watchers of actors. Both go to the actor's home. The home grants a
// channel where the actor runs, and tells watchers of the actor's changes. A desk. It owns CallChannels, and
// RemoteActors: the actors of other homes that processes of ours call or watch. Owned by the Raylet; loop thread only.
// Always holds: a process that asked for a channel gets one reply, unless the process ends first.
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
  void Wire(ActorHomes& actors, TravellingObjects& objects);  // call it before anything else; both outlive the desk
  void JoinCluster() { channels_.JoinCluster(); }

  Result<void> OnOpenChannel(ProcessSession& session, const Frame& frame);
  // ---- messages to an actor's home
  Result<void> OnOpenActor(const NodeId& node, const Frame& frame);
  // ---- replies of an actor's home
  Result<void> OnActorGranted(const NodeId& node, const Frame& frame);
  Result<void> OnActorRefused(const NodeId& node, const Frame& frame);
  Result<void> OnWatchedActorChanged(const NodeId& node, const Frame& frame);
  CallChannels& channels() { return channels_; }  // for messages about open channels
  const CallChannels& channels() const { return channels_; }

  // ---- for the actor desk
  void OnGranted(const GrantChannel& grant) override;
  void OnRefused(const RefuseChannel& refuse) override;
  void OnActorChanged(const TellActorChanged& change) override;
  void OnFoundRemote(const ActorId& actor, ProcessId process) override { remote_actors_.Watch(actor, process); }

  // ---- ends (see ends.h)
  void ProcessesGone(const ProcessSet& processes);
  void MachineLost(const NodeId& node, MachineNumber machine);  // at once
  // Tells about `most` processes that its actors have ended, because their home is lost. Returns how many it has told;
  // 0: there are no more.
  size_t TellHomeLost(const ActorDirectory::LostMachine& lost, size_t most);

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
