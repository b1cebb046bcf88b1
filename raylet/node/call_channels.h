// CallChannels: call channels that have been granted. A channel joins two processes of this machine, or joins one of
// ours with one of another machine through the relay. It ends when either process goes. Owned by the ChannelDesk; loop
// thread only. It owns the ChannelBook and, in a cluster, the ChannelRelay. Always holds: a channel leads to one
// incarnation of its actor. A caller hears of an actor's change behind every reply that the actor sent before. When an
// actor's host is lost, the caller hears at once, and gets no reply of that incarnation any more.
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
  void Wire(const ActorHomes& actors, TravellingObjects& objects);  // call it before anything else; both outlive this
  void JoinCluster();

  // A home's grant: this incarnation of the actor, in that process of this machine or of `host`.
  struct GrantedActor {
    ActorId actor;
    uint32_t incarnation = 0;
    NodeId host;
    ProcessId process = 0;
  };
  // The caller is ours and gets the channel. kNotFound: the incarnation's end is about to be told to whoever looks
  // after the actor.
  Result<void> ConnectHere(const GrantedActor& granted, ProcessSession& caller, uint64_t request_id);
  Result<void> ConnectThere(const GrantedActor& granted, ProcessSession& caller, uint64_t request_id);
  // An ActorNotice for a process that watches the actor.
  void TellWatcher(ProcessId process, const ActorId& actor, const wire::ActorNoticeT& notice);

  Result<void> OnChannelReleased(ProcessSession& session, const Frame& frame);
  Result<void> OnRelayMessage(const NodeId& node, const Frame& frame) { return relay_->OnMessage(node, frame); }

  // ---- ends (see ends.h)
  void WorkerGone(WorkerId worker, uint32_t store_client);
  void WorkersGone(const std::unordered_set<WorkerId>& workers) { book_.WorkersGone(workers); }
  void CallersGone(const ProcessSet& processes);
  void CallerGone(ProcessId process);
  void MachineLost(const NodeId& node) { relay_->MachineLost(node); }  // at once
  // Ends about `most` channels to that machine. Returns how many it has ended; 0: there are no more.
  size_t TellMachineLost(const NodeId& node, const Error& why, size_t most) { return relay_->EndLost(node, why, most); }

  const ChannelBook& book() const { return book_; }
  size_t to_other_machines() const { return relay_ == nullptr ? 0 : relay_->open(); }

 private:
  void Close(const ChannelBook::Channel& channel);
  void TellPeer(const NodeId& node, wire::ChannelMessage type, Bytes body) override;
  void OnRelayAsked(const NodeId& node, RelayNumber relay, const ActorId& actor, uint32_t incarnation,
                    ProcessId caller) override;
  bool MayAnswer(LeaseNumber lease) const override { return leases_.Holds(lease); }
  size_t CallsAtOnceOf(const ActorId& actor) const override { return actors_->CallsAtOnceOf(actor); }
  void OnRelayEnded(ProcessId caller, const ActorId& actor, const Error* why) override;
  void OnCallerGone(WorkerId worker, ChannelId channel, ProcessId caller, const ActorId& actor) override;
  void OnStoredHere(ProcessId caller, const ObjectId& object) override;
  void OnUntold(uint32_t store_client, const ObjectId& object) override;
  void OnStoredThere(const NodeId& node, const ReplyRecord& reply, bool delivered) override;

  Loop& loop_;
  StoreLink& store_;
  PeerPost& post_;
  ProcessDoor& door_;
  WorkerHouse& house_;
  const HostLeases& leases_;
  EndNotices& end_notices_;
  const ActorHomes* actors_ = nullptr;    // null before Wire
  TravellingObjects* objects_ = nullptr;  // null before Wire
  ChannelBook book_;
  std::unique_ptr<ChannelRelay> relay_;  // null without other machines
  // The notices that wait until the relay from the actor to the caller has handed over all.
  std::map<std::pair<ProcessId, ActorId>, std::vector<Bytes>> held_back_;
};

}  // namespace raylet
