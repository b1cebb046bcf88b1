// ActorLink: one actor as this process reaches it: its channel, the calls that wait for a channel, and its state. The
// handles of this process (ClusterActor) share it. It keeps itself alive while calls are under way. Any thread. Calls
// run in the order in which they were submitted here. A call waits in queue_ while its arguments are not ready or there
// is no channel, and the later calls wait behind it. When the actor starts again, unanswered calls that have retries go
// first.
#pragma once

#include <atomic>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "client/ray/cluster/actor_call.h"
#include "client/ray/cluster/call_channel.h"

namespace raylet::client {

class ActorTable;
class ReplyPump;

constexpr size_t kQueuedCallBytesMax = size_t{16} << 20;  // inline arguments of the calls in one actor's queue_

class ActorLink final : public ChannelOwner, public std::enable_shared_from_this<ActorLink> {
 public:
  ActorLink(const ObjectParts& parts, ReplyPump& pump, ActorTable& table, const ActorId& id, bool ends_with_handles)
      : use_(parts.link.uses()),
        parts_(parts),
        pump_(pump),
        table_(table),
        id_(id),
        ends_with_handles_(ends_with_handles) {}

  const ActorId& id() const { return id_; }
  const void* session() const { return &parts_; }

  // Returns the result's object; waits only where the channel is full.
  ClusterObjectPtr Submit(const std::string& method, CallArguments arguments, const ray::internal::CallOptions& options)
      RAYLET_EXCLUDES(mutex_);

  // Of a call whose result is failed already. It never leaves, where it waits here.
  enum class Whereabouts { kNotHere, kWaits, kSent };
  Whereabouts Cancel(const ClusterObject& result) RAYLET_EXCLUDES(mutex_);

  void SetCreating() RAYLET_EXCLUDES(mutex_);  // calls wait until Created
  // The creation is on its way to the raylet. The lend of its arguments lasts as long as the actor.
  void Created(LendId creation_lend) RAYLET_EXCLUDES(mutex_);
  void Killed() RAYLET_EXCLUDES(mutex_);  // the raylet will report its death; later calls are for the next incarnation
  // `ended`: the incarnation that has ended; 0: only the channel has.
  void Restarting(const Failure& failure, uint32_t ended) RAYLET_EXCLUDES(mutex_);
  void Die(const FailurePtr& failure) RAYLET_EXCLUDES(mutex_);
  void ChannelBroken(CallChannel& channel, const Error& nonsense) override RAYLET_EXCLUDES(mutex_);

  // Call it under the drain lock, after replies came. Sends queued calls for which there is room now, and ends the link
  // after the last reply if the last handle has gone.
  void AfterReplies() override RAYLET_EXCLUDES(mutex_);
  void AddHandle() RAYLET_EXCLUDES(mutex_);
  // `lend` keeps the actor, where the handle was borrowed. Once the last handle goes it stays until the last reply.
  void DropHandle(ray::internal::Hold lend) RAYLET_EXCLUDES(mutex_);

 private:
  enum class State { kCreating, kNew, kOpening, kOpen, kClosing, kDead };
  using Call = ActorCall;
  struct Outcome {  // the work for calls that left the queue under mutex_, done once mutex_ is released
    explicit Outcome(Ownership& of) : ownership(of) {}
    ~Outcome();
    Ownership& ownership;
    std::vector<std::pair<ClusterObjectPtr, FailurePtr>> failed;
    std::vector<std::pair<LendId, ProcessId>> lent;  // to the process that got the call; 0: the call failed
    std::vector<Call> done;
  };

  enum class Sent { kDone, kFull };
  Sent TrySend(Call& call, Outcome& outcome) RAYLET_REQUIRES(mutex_);
  void Queue(Call call, bool first) RAYLET_REQUIRES(mutex_);
  std::deque<Call> TakeUnanswered(const std::shared_ptr<CallChannel>& channel, const FailurePtr& failure)
      RAYLET_EXCLUDES(mutex_);
  void FailNeverRun(std::deque<Call> calls, const FailurePtr& failure);
  void Flush() RAYLET_EXCLUDES(mutex_);
  void WaitedFor(const ClusterObject* object) RAYLET_EXCLUDES(mutex_);
  void EnsureOpen() RAYLET_EXCLUDES(mutex_);
  void OnChannelReply(Result<Frame> reply, std::vector<UniqueFd>& fds) RAYLET_EXCLUDES(mutex_);
  void SetQueued(bool queued) RAYLET_REQUIRES(mutex_);
  bool Idle() const RAYLET_REQUIRES(mutex_);
  void FinishIfDone() RAYLET_EXCLUDES(mutex_);
  void Finish() RAYLET_EXCLUDES(mutex_);

  const LinkUse use_;  // first: the parts stay until the other fields have gone
  const ObjectParts& parts_;
  ReplyPump& pump_;
  ActorTable& table_;
  const ActorId id_;
  const bool ends_with_handles_;  // this process created it, without a name, and it is not detached

  Mutex mutex_;  // no hold is dropped under it
  State state_ RAYLET_GUARDED_BY(mutex_) = State::kNew;
  std::shared_ptr<CallChannel> channel_ RAYLET_GUARDED_BY(mutex_);  // iff kOpen or kClosing
  std::deque<Call> queue_ RAYLET_GUARDED_BY(mutex_);                // at most kCallsInFlightMax
  // The memory of the last call's views: a call that is sent at once allocates none.
  std::vector<ValueView> spare_views_ RAYLET_GUARDED_BY(mutex_);
  // The bytes of the queued calls' arguments. Past kQueuedCallBytesMax a caller waits.
  size_t queued_bytes_ RAYLET_GUARDED_BY(mutex_) = 0;
  // The object that the first queued call waits for.
  const ClusterObject* waiting_for_ RAYLET_GUARDED_BY(mutex_) = nullptr;
  uint32_t replaced_ RAYLET_GUARDED_BY(mutex_) = 0;  // no channel to this incarnation, or an earlier one, is taken
  FailurePtr dead_ RAYLET_GUARDED_BY(mutex_);
  LendId creation_lend_ RAYLET_GUARDED_BY(mutex_) = 0;
  size_t handles_ RAYLET_GUARDED_BY(mutex_) = 0;
  bool finished_ RAYLET_GUARDED_BY(mutex_) = false;
  bool repeats_ RAYLET_GUARDED_BY(mutex_) = false;  // calls are on their way back into queue_
  bool broken_ RAYLET_GUARDED_BY(mutex_) = false;   // kDead here, while the raylet takes the actor for alive
  // Both from the last handle until the last reply: this link, and that handle's lend.
  std::shared_ptr<ActorLink> lingering_ RAYLET_GUARDED_BY(mutex_);
  ray::internal::Hold lingering_lend_ RAYLET_GUARDED_BY(mutex_);
  std::atomic<bool> queued_{false};   // set under mutex_: queue_ has calls; read without it by AfterReplies
  std::atomic<bool> lingers_{false};  // likewise: lingering_ is set
};
using ActorLinkPtr = std::shared_ptr<ActorLink>;

// ClusterActor: one handle of the user, or a copy of it.
class ClusterActor final : public ray::internal::ActorState {
 public:
  ClusterActor(ActorLinkPtr link, ray::internal::Hold lend)
      : ActorState(link->session()), link_(std::move(link)), lend_(std::move(lend)) {
    link_->AddHandle();
  }
  ~ClusterActor() override { link_->DropHandle(std::move(lend_)); }
  const ActorLinkPtr& link() const { return link_; }

 private:
  const ActorLinkPtr link_;
  ray::internal::Hold lend_;  // a borrowed handle keeps the lender's hold
};

// The link behind a handle. Throws where it is of an earlier session.
inline ActorLink& LinkOf(const ObjectParts& parts, const ray::internal::ActorHandleState& handle) {
  ray::internal::CheckSession(*handle, &parts);
  return *static_cast<const ClusterActor&>(*handle).link();
}

}  // namespace raylet::client
