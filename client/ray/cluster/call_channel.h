// A call channel: two rings and the other side's doorbell, brokered by the raylet.
// ChannelMemory: what both ends share.
// CallChannel: the caller's end, owned by ReplyPump's list and its ActorLink. Any thread pushes
// calls; one thread at a time takes replies, under ReplyPump's drain lock.
#pragma once

#include <atomic>
#include <deque>
#include <memory>
#include <vector>

#include "base/bell.h"
#include "base/mutex.h"
#include "base/ring.h"
#include "base/shm_segment.h"
#include "base/unique_fd.h"
#include "client/ray/cluster/ownership.h"
#include "client/ray/cluster/pending_call.h"
#include "client/ray/cluster/raylet_link.h"
#include "client/ray/cluster/watched_channels.h"
#include "fbs/call_gate.h"
#include "fbs/call_record.h"

namespace raylet::client {

struct ChannelMemory {
  enum class End { kCaller, kActor };
  // `relayed`: the other side is the raylet, and `bell` its eventfd.
  static Result<ChannelMemory> Attach(const UniqueFd& channel, UniqueFd bell, bool relayed, End end);
  // Of a leased worker's channel. kActor: the worker's end.
  static Result<ChannelMemory> AttachLease(const UniqueFd& channel, UniqueFd bell, End end);

  Mapping memory;
  CallGate* gate = nullptr;  // in `memory`; null: an actor's channel has none
  bool relayed = false;
  Bell bell;  // the other side's
  RingProducer producer;
  RingConsumer consumer;

 private:
  static Result<ChannelMemory> AttachRings(Mapping memory, Bell bell, End end);
};

// The descriptors of a channel, out of those that came with its message; fails where there are
// fewer.
struct ChannelFds {
  UniqueFd channel;
  UniqueFd bell;
};
Result<ChannelFds> TakeChannelFds(std::vector<UniqueFd>& fds);

class CallChannel;

// ChannelOwner: what a caller's end of a channel belongs to: an ActorLink, or a lease.
class ChannelOwner {
 public:
  virtual ~ChannelOwner() = default;
  // Both under the drain lock. After replies came, or after the gate was shut.
  virtual void AfterReplies() = 0;
  // The other side's words make no sense (kProtocolError), or it says that ours do not (kUnavailable). The channel has
  // left the pump.
  virtual void ChannelBroken(CallChannel& channel, const Error& nonsense) = 0;
};

constexpr size_t kCallsInFlightMax = 65536;  // of one channel

class CallChannel : public std::enable_shared_from_this<CallChannel> {
 public:
  // The one incarnation that it leads to.
  struct Other {
    ProcessId process = 0;
    uint32_t incarnation = 0;
    LeaseView lease;
  };
  CallChannel(const ObjectParts& parts, std::weak_ptr<ChannelOwner> owner, const Other& other, ChannelMemory memory)
      : use_(parts.link.uses()),
        link_(parts.link),
        ownership_(parts.ownership),
        borrowings_(parts.borrowings),
        owner_(std::move(owner)),
        other_(other),
        memory_(std::move(memory.memory)),
        gate_(memory.gate),
        bell_(std::move(memory.bell)),
        replies_(memory.consumer),
        calls_(memory.producer),
        takes_releases_(memory.gate == nullptr && !memory.relayed) {}

  ProcessId process() const { return other_.process; }
  uint32_t incarnation() const { return other_.incarnation; }

  enum class Sent { kYes, kFull, kBroken };
  // Numbers the record and pushes it. Wakes the actor's process if it sleeps. kYes: `pending` has been moved from.
  Sent TryCall(CallRecord& record, PendingCall& pending) RAYLET_EXCLUDES(calls_mutex_, pending_mutex_);
  // False: no room, or no more releases. Say it through the raylet.
  bool TryReleaseLend(LendId lend) RAYLET_EXCLUDES(calls_mutex_);
  // The caller lets go of the channel. The actor reads what lies in it, but nothing that comes after another channel.
  void TakeNoMoreReleases() RAYLET_EXCLUDES(calls_mutex_);

  // Under the drain lock. None while the lease does not hold: the actor may run on another machine by now. A process
  // that was stopped between its look at the lease and its word answers all the same.
  bool HasReplies() const {
    if (gate_ != nullptr && raylet::IsShut(*gate_) && !shut_heard_.load(std::memory_order_relaxed)) return true;
    return !replies_.Empty() && other_.lease.Holds();
  }
  // The number of records taken. kProtocolError when the other side wrote nonsense, kUnavailable when it says that we
  // did.
  Result<size_t> Drain();  // wakes an actor whose replies had no room
  // Fails every call that has no reply yet. After the last Drain.
  void FailPending(const FailurePtr& failure) RAYLET_EXCLUDES(pending_mutex_);
  size_t pending() const { return pending_count_.load(std::memory_order_seq_cst); }
  Watch& watch() { return watch_; }
  uint64_t taken() const { return taken_.load(std::memory_order_acquire); }
  const std::weak_ptr<ChannelOwner>& owner() const { return owner_; }

  // The calls after `begun` that have no answer; with 0, all of them.
  std::vector<PendingCall> TakeBack(uint64_t begun) RAYLET_EXCLUDES(pending_mutex_);

  // ---- of a leased worker's channel
  bool IsShut() const { return raylet::IsShut(*gate_); }
  uint64_t Shut();  // returns the last call that has begun
  uint64_t LastBegun() const { return raylet::LastBegun(*gate_); }
  // The number of the call without an answer that has this result; 0: none.
  uint64_t NumberOf(const ClusterObject& result) RAYLET_EXCLUDES(pending_mutex_);

 private:
  Result<size_t> TakeRecords();
  Result<void> TakeReply(std::span<const std::byte> bytes) RAYLET_EXCLUDES(pending_mutex_);

  const LinkUse use_;  // first: the parts are there until all else has gone
  RayletLink& link_;
  Ownership& ownership_;
  Borrowings& borrowings_;
  const std::weak_ptr<ChannelOwner> owner_;
  const Other other_;
  const Mapping memory_;                 // of both rings
  CallGate* const gate_;                 // in memory_; null: an actor's channel has none
  std::atomic<bool> shut_heard_{false};  // the owner knows that the gate is shut; a number alone
  Bell bell_;
  RingConsumer replies_;  // under the drain lock

  Mutex calls_mutex_;  // no hold is dropped under it
  RingProducer calls_ RAYLET_GUARDED_BY(calls_mutex_);
  // Never for a lease, whose channel the worker reads no longer than the lease lasts. Nor for a relay: what is on its
  // way is lost when the caller opens another one.
  bool takes_releases_ RAYLET_GUARDED_BY(calls_mutex_);
  uint64_t next_call_ RAYLET_GUARDED_BY(calls_mutex_) = 1;

  Mutex pending_mutex_;  // a leaf
  std::deque<PendingCall> waiting_
      RAYLET_GUARDED_BY(pending_mutex_);  // by number, from first_ on; null results are done
  uint64_t first_ RAYLET_GUARDED_BY(pending_mutex_) = 1;
  std::atomic<size_t> pending_count_{0};  // seq_cst: see Watch
  Watch watch_;
  std::atomic<uint64_t> taken_{0};
};

}  // namespace raylet::client
