// CallChannels: call channels that have been granted. They are made between two processes of this
// machine, or through the relay between one of ours and one of another machine. They end when
// either process goes. Owned by the ChannelDesk; loop thread only. It owns the ChannelBook and, in
// a cluster, the ChannelRelay. Always holds: a caller hears of an actor's change behind every reply
// that the actor sent before.
#pragma once

#include <map>
#include <memory>
#include <unordered_set>
#include <utility>
#include <vector>

#include "raylet/channels/channel_book.h"
#include "raylet/channels/channel_relay.h"
#include "raylet/node/actor_calls.h"
#include "raylet/node/services.h"
#include "raylet/node/travelling_objects.h"

namespace raylet {

class CallChannels final : public ChannelRelay::Events {
 public:
  explicit CallChannels(const Services& services);
  void Wire(const ActorHomes& actors, TravellingObjects& objects);  // before anything else; both outlive it
  void JoinCluster();

  // The caller is ours and gets the channel. The actor runs in `process` of this machine, or of `host`. kNotFound: the
  // actor's end is about to be told to whoever looks after it.
  Result<void> ConnectHere(const ActorId& actor, ProcessId process, ProcessSession& caller, uint64_t request_id);
  Result<void> ConnectThere(const ActorId& actor, const NodeId& host, ProcessId process, ProcessSession& caller,
                            uint64_t request_id);
  // An ActorNotice for a process that watches the actor.
  void TellWatcher(ProcessId process, const ActorId& actor, Bytes notice);

  Result<void> OnChannelReleased(ProcessSession& session, const Frame& frame);
  Result<void> OnRelayMessage(const NodeId& node, const Frame& frame) { return relay_->OnMessage(node, frame); }

  // ---- ends (see ends.h)
  void WorkerGone(WorkerId worker, uint32_t store_client);
  void WorkersGone(const std::unordered_set<WorkerId>& workers) { book_.WorkersGone(workers); }
  void CallersGone(const ProcessSet& processes);
  void CallerGone(ProcessId process);
  void MachineGone(const NodeId& node, const Error& why) { relay_->NodeGone(node, why); }

  const ChannelBook& book() const { return book_; }
  size_t to_other_machines() const { return relay_ == nullptr ? 0 : relay_->open(); }

 private:
  void Close(const ChannelBook::Channel& channel);
  void TellPeer(const NodeId& node, wire::ChannelMessage type, Bytes body) override;
  void OnRelayAsked(const NodeId& node, RelayNumber relay, const ActorId& actor, ProcessId caller) override;
  void OnRelayEnded(ProcessId caller, const ActorId& actor, const Error* why) override;
  void OnCallerGone(WorkerId worker, ChannelId channel, ProcessId caller, const ActorId& actor) override;
  void OnStoredHere(ProcessId caller, const ObjectId& object) override;
  void OnUntold(uint32_t store_client, const ObjectId& object) override;
  void OnStoredThere(const NodeId& node, const ObjectId& object, bool delivered) override;

  Loop& loop_;
  StoreLink& store_;
  PeerPost& post_;
  ProcessDoor& door_;
  WorkerHouse& house_;
  EndNotices& end_notices_;
  const ActorHomes* actors_ = nullptr;    // null before Wire
  TravellingObjects* objects_ = nullptr;  // null before Wire
  ChannelBook book_;
  std::unique_ptr<ChannelRelay> relay_;  // null without other machines
  // What a caller is to hear of an actor once its relay has handed over all.
  std::map<std::pair<ProcessId, ActorId>, std::vector<Bytes>> held_back_;
};

}  // namespace raylet
