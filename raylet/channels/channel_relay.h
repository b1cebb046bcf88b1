// ChannelRelay: call channels between a process of this machine and one of another. Each raylet shares a channel with
// its own process and plays the other side there. Records from one ring travel in batches through the numbered session
// into the other ring. Owned by the Raylet; loop thread only.
// Always holds: records arrive once and in order, as the session's messages do. At most kRelayWindowBytes of each
// direction are under way, and one record more. The rest stays in the sender's ring, where it holds that process back.
// The relay hands over all records that a process wrote before its end. Only then it tells its own end. A relay leads
// to one incarnation. While the lease of that incarnation does not hold, its replies stay in its ring. They are dropped
// if its worker ends meanwhile.
#pragma once

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/loop.h"
#include "fbs/call_record.h"
#include "fbs/ids.h"
#include "fbs/messages.h"
#include "raylet/channels/relay_table.h"

namespace raylet {

class ChannelRelay {
 public:
  class Events {
   public:
    virtual ~Events() = default;
    virtual void TellPeer(const NodeId& node, wire::ChannelMessage type, Bytes body) = 0;
    // A process of `node` wants a channel to an actor that runs here. Answer by Host or Refuse
    // before this returns.
    virtual void OnRelayAsked(const NodeId& node, RelayNumber relay, const ActorId& actor, uint32_t incarnation,
                              ProcessId caller) = 0;
    // Whether that lease holds, so that answers given under it may be handed out.
    virtual bool MayAnswer(LeaseNumber lease) const = 0;
    // How many calls an actor that runs here runs at a time, at most.
    virtual size_t CallsAtOnceOf(const ActorId& actor) const = 0;
    // Tells the opener that the caller has every record, and that no more will come. `why`: the channel could not be
    // made, or the machine is lost. A null `why`: the actor's worker has gone, and the actor's home reports its end.
    virtual void OnRelayEnded(ProcessId caller, const ActorId& actor, const Error* why) = 0;
    // Tells the host that the worker has to let go of the channel. The worker answers with
    // ChannelReleased.
    virtual void OnCallerGone(WorkerId worker, ChannelId channel, ProcessId caller, const ActorId& actor) = 0;
    // A result lies in this machine's store, and `caller`, of another machine, owns it. The caller
    // may have gone meanwhile.
    virtual void OnStoredHere(ProcessId caller, const ObjectId& object) = 0;
    // The worker that is this client of the store has gone. It may have sealed this result, which it did not report.
    virtual void OnUntold(uint32_t store_client, const ObjectId& object) = 0;
    // A result lies in the other machine's store. `delivered`: its owner hears of the result; otherwise it never will.
    virtual void OnStoredThere(const NodeId& node, const ReplyRecord& reply, bool delivered) = 0;
  };

  // Both outlive it.
  ChannelRelay(Loop& loop, Events& events);
  ~ChannelRelay();

  // ---- the caller's side
  // Returns the caller's end, on which it may call at once. Closes a channel that the caller already had to this actor.
  // Sends OpenRelay to `host`.
  Result<RelayEnd::Descriptors> Open(const NodeId& host, const ActorId& actor, uint32_t incarnation, ProcessId caller,
                                     const UniqueFd& callers_doorbell);
  bool IsOpen(ProcessId caller, const ActorId& actor) const { return relays_.Opened(caller, actor) != nullptr; }
  // That incarnation has been replaced, and its host may not know: what it still answers is dropped.
  // Does nothing where the relay leads to a later one.
  void Cut(ProcessId caller, const ActorId& actor, uint32_t incarnation);
  void CallerGone(ProcessId caller);

  // ---- the actor's side
  // Returns the worker's end. The actor serves under `lease`. kAlreadyExists, kFull.
  Result<RelayEnd::Descriptors> Host(const NodeId& node, RelayNumber relay, const ActorId& actor, ProcessId caller,
                                     WorkerId worker, ChannelId channel, LeaseNumber lease,
                                     const UniqueFd& workers_doorbell);
  // A good `why` means that the actor is not here any more, which its home reports.
  void Refuse(const NodeId& node, RelayNumber relay, const Result<void>& why);
  void ChannelReleased(WorkerId worker, ChannelId channel);
  void WorkerGone(WorkerId worker, uint32_t store_client);

  // ---- the other raylets
  Result<void> OnMessage(const NodeId& node, const Frame& frame);
  // That machine is lost: from now on its relays carry nothing. Each ends in a call of EndLost, which ends `most` of
  // them and returns how many; 0: there are no more. The machine is not heard before that.
  void MachineLost(const NodeId& node);
  size_t EndLost(const NodeId& node, const Error& why, size_t most);

  size_t open() const { return relays_.size(); }

 private:
  Result<void> OnOpenRelay(const NodeId& node, const Frame& frame);
  Result<void> OnRecords(const NodeId& node, const Frame& frame);
  Result<void> OnCredit(const NodeId& node, const Frame& frame);
  Result<void> OnCloseRelay(const NodeId& node, const Frame& frame);
  Result<void> OnEnded(const NodeId& node, const Frame& frame);
  Relay* Find(const NodeId& node, RelayNumber relay, bool to_actor) const;

  void Rung(Relay& relay);
  void Send(Relay& relay);
  void SendBatch(Relay& relay, std::vector<uint8_t>& records);
  Result<void> CheckCall(const Relay& relay, const RelayRecord& record);
  Result<void> CheckReply(Relay& relay, const RelayRecord& record);
  void RefuseProcess(Relay& relay, const Error& nonsense);
  void HandOver(Relay& relay);
  void Close(Relay& relay);
  void CloseHosted(Relay& relay);
  void EndWhenDone(Relay& relay);
  void Retire(Relay& relay);
  void RetrySoon(Relay& relay);
  void Retry();

  Loop& loop_;
  Events& events_;
  RelayTable relays_;
  std::vector<RelayTable::RelayPtr> retired_;  // destroyed at the end of the turn: one of them may be calling us
  bool clear_posted_ = false;
  struct LostRelay {
    bool opened = false;
    RelayNumber number = 0;
  };
  std::map<NodeId, std::vector<LostRelay>> lost_;  // what EndLost has still to end, or has ended meanwhile
  std::set<Relay*> stuck_;                         // relays whose process has a full ring
  Timer retry_;
  std::chrono::milliseconds retry_after_{1};
  RelayNumber next_ = 1;
  CallRecord scratch_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace raylet
