// ActorLink: one actor as this process reaches it: its channel, the calls that wait for one, and what became of it.
// Shared
// by the handles of this process (ClusterActor) and, while calls are under way, by itself. Any thread.
// Calls run in the order in which they were submitted here: a call whose arguments are not ready, or that finds no
// channel, waits in queue_, and the later ones behind it.
#pragma once

#include <atomic>
#include <deque>
#include <memory>
#include <mutex>
#include <string>

#include "client/ray/cluster/call_arguments.h"
#include "client/ray/cluster/call_channel.h"

namespace raylet::client {

class ClusterCore;

constexpr size_t kQueuedCallBytesMax = size_t{16} << 20;  // inline arguments of the calls in one actor's queue_

class ActorLink : public std::enable_shared_from_this<ActorLink> {
 public:
  ActorLink(ClusterCore& core, const ActorId& id, bool ends_with_handles)
      : core_(core), id_(id), ends_with_handles_(ends_with_handles) {}

  const ActorId& id() const { return id_; }

  // The result; waits only where the channel is full.
  ClusterObjectPtr Submit(const std::string& method, CallArguments arguments);

  // The creation is on its way to the raylet from here on; before, calls wait.
  void SetCreating() { state_ = State::kCreating; }
  void Created(LendId creation_lend);
  void Killed();  // its death is on its way: calls from here on are for the next incarnation
  void Restarting(const Failure& failure);
  void Die(const FailurePtr& failure);
  void ChannelBroken(const FailurePtr& failure);  // under the drain lock

  void AfterReplies();  // under the drain lock: room for queued calls; the last reply after the last handle
  void AddHandle();
  void DropHandle();

 private:
  enum class State { kCreating, kNew, kOpening, kOpen, kClosing, kDead };
  struct Call {
    std::string_view function;
    std::string owned_function;  // what `function` refers to once queued
    CallArguments arguments;
    bool resolved = false;
    std::vector<ValueView> views;
    LendId lend = 0;
    ClusterObjectPtr result;
  };
  struct Outcome {  // of calls that failed under mutex_: told once it is released
    std::vector<std::pair<ClusterObjectPtr, FailurePtr>> failed;
    std::vector<Call> done;
    ~Outcome();
  };

  enum class Sent { kDone, kFull };
  Sent TrySend(Call& call, Outcome& outcome);
  void Flush();
  void EnsureOpen();
  void OnChannelReply(Result<Frame> reply, std::vector<UniqueFd>& fds);
  void SetQueued(bool queued);
  bool Idle();
  void Finish();

  ClusterCore& core_;
  const ActorId id_;
  const bool ends_with_handles_;  // this process created it, and it is not detached

  std::mutex mutex_;  // guards what follows; no hold is dropped under it
  State state_ = State::kNew;
  std::shared_ptr<CallChannel> channel_;        // iff kOpen or kClosing
  std::deque<Call> queue_;                      // at most kCallsInFlightMax
  size_t queued_bytes_ = 0;                     // of their arguments; past kQueuedCallBytesMax a caller waits
  const ClusterObject* waiting_for_ = nullptr;  // what the head of the queue waits for
  FailurePtr dead_;
  LendId creation_lend_ = 0;
  size_t handles_ = 0;
  bool finished_ = false;
  bool broken_ = false;                   // kDead here, while the raylet takes it for alive
  std::shared_ptr<ActorLink> lingering_;  // itself, from the last handle until the last reply
  std::atomic<bool> queued_{false};
  std::atomic<bool> lingers_{false};
};
using ActorLinkPtr = std::shared_ptr<ActorLink>;

// What a user's handles share.
class ClusterActor final : public ray::internal::ActorState {
 public:
  ClusterActor(ActorLinkPtr link, ray::internal::Hold lend) : link_(std::move(link)), lend_(std::move(lend)) {
    link_->AddHandle();
  }
  ~ClusterActor() override { link_->DropHandle(); }
  const ActorLinkPtr& link() const { return link_; }

 private:
  const ActorLinkPtr link_;
  const ray::internal::Hold lend_;  // a borrowed handle keeps its lender's
};

}  // namespace raylet::client
