// A call channel: two rings and the other side's doorbell, brokered by the raylet.
// ChannelMemory: what both ends share. CallChannel: the caller's end, owned by the core's list and its ActorLink; calls
// are pushed by any thread (producer_mutex), replies are drained by one thread at a time (the core's drain lock).
#pragma once

#include <atomic>
#include <deque>
#include <memory>
#include <mutex>
#include <vector>

#include "base/bell.h"
#include "base/ring.h"
#include "base/shm_segment.h"
#include "base/unique_fd.h"
#include "client/ray/cluster/cluster_object.h"
#include "client/ray/cluster/lends.h"
#include "fbs/call_record.h"

namespace raylet::client {

struct ChannelMemory {
  enum class End { kCaller, kActor };
  // `relayed`: the other side is the raylet, and `bell` its eventfd.
  static Result<ChannelMemory> Attach(const UniqueFd& channel, UniqueFd bell, bool relayed, End end);

  Mapping memory;
  Bell bell;  // the other side's
  RingProducer producer;
  RingConsumer consumer;
};

// The descriptors of a channel, out of those that came with its message; fails where there are fewer.
struct ChannelFds {
  UniqueFd channel;
  UniqueFd bell;
};
Result<ChannelFds> TakeChannelFds(std::vector<UniqueFd>& fds);

class ActorLink;
class ClusterCore;

constexpr size_t kCallsInFlightMax = 65536;  // of one channel

struct PendingCall {
  ClusterObjectPtr result;
  LendId lend = 0;
};

class CallChannel : public std::enable_shared_from_this<CallChannel> {
 public:
  CallChannel(ClusterCore& core, std::weak_ptr<ActorLink> actor, ProcessId process, ChannelMemory memory)
      : core_(core), actor_(std::move(actor)), process_(process), memory_(std::move(memory)) {}

  ProcessId process() const { return process_; }

  enum class Sent { kYes, kFull, kBroken };
  // Numbers the record and pushes it. Wakes the actor's process if it sleeps.
  Sent TryCall(CallRecord& record, PendingCall pending);
  bool TryReleaseLend(LendId lend);  // false: no room; say it through the raylet

  // Under the drain lock. The number of records taken; kProtocolError when the other side wrote nonsense, kUnavailable
  // when it says that we did.
  bool HasReplies() const { return !memory_.consumer.Empty(); }
  Result<size_t> Drain();
  // Fails every call that has no reply yet. After the last Drain.
  void FailPending(const FailurePtr& failure);
  size_t pending() const { return pending_count_.load(std::memory_order_acquire); }
  uint64_t taken() const { return taken_.load(std::memory_order_acquire); }
  const std::weak_ptr<ActorLink>& actor() const { return actor_; }

 private:
  Result<void> TakeReply(std::span<const std::byte> bytes);

  ClusterCore& core_;
  const std::weak_ptr<ActorLink> actor_;
  const ProcessId process_;
  ChannelMemory memory_;
  std::mutex producer_mutex_;  // guards memory_.producer and next_call_; no hold is dropped under it
  uint64_t next_call_ = 1;
  std::mutex pending_mutex_;         // a leaf
  std::deque<PendingCall> waiting_;  // by number, from first_ on; null results are done
  uint64_t first_ = 1;
  std::atomic<size_t> pending_count_{0};
  std::atomic<uint64_t> taken_{0};
};

// What the value of a result refers to is lent by another process: going back tells it.
class RemoteLend {
 public:
  RemoteLend(ClusterCore& core, ProcessId lender, LendId lend, std::weak_ptr<CallChannel> channel)
      : core_(core), lender_(lender), lend_(lend), channel_(std::move(channel)) {}
  ~RemoteLend();

 private:
  ClusterCore& core_;
  const ProcessId lender_;
  const LendId lend_;
  const std::weak_ptr<CallChannel> channel_;
};

}  // namespace raylet::client
