#include "client/ray/cluster/actor_link.h"

#include <algorithm>
#include <utility>

#include "base/strings.h"
#include "client/ray/cluster/actor_table.h"
#include "client/ray/cluster/progress.h"
#include "client/ray/cluster/raylet_link.h"
#include "client/ray/cluster/reply_pump.h"

namespace raylet::client {

ActorLink::Outcome::~Outcome() {
  for (const auto& [lend, process] : lent) {
    if (process != 0)
      ownership.SetBorrower(lend, process);
    else
      const Holds ended = ownership.EndLend(lend);
  }
  for (auto& [object, failure] : failed) object->FulfilFailed(failure);
}

ClusterObjectPtr ActorLink::Submit(const std::string& method, CallArguments arguments,
                                   const ray::internal::CallOptions& options) {
  Call call;  // goes after the lock
  call.function = method;
  call.name = options.name;
  call.retries_left = options.max_retries;
  call.exception_retries = options.retry_exceptions ? options.max_retries : 0;
  call.arguments = std::move(arguments);
  call.result = std::make_shared<ClusterObject>(parts_, parts_.link.NewId(), /*owned=*/true);
  ClusterObjectPtr result = call.result;
  result->MarkOfCall();
  for (;;) {
    std::shared_ptr<CallChannel> full;
    {
      Outcome outcome(parts_.ownership);
      bool open = false;
      {
        const MutexLock lock(mutex_);
        if (state_ == State::kDead) {
          outcome.failed.emplace_back(result, AsActorDied(*dead_, false));
          return result;
        }
        if (queue_.empty() && state_ == State::kOpen && (call.resolved || call.arguments.FirstUnready() == nullptr)) {
          if (TrySend(call, outcome) == Sent::kDone) return result;
          full = channel_;
        } else if (queue_.size() < kCallsInFlightMax && queued_bytes_ < kQueuedCallBytesMax) {
          Queue(std::move(call), /*first=*/false);
          open = state_ == State::kNew;
        } else {
          full = channel_;
        }
      }
      if (open) EnsureOpen();
    }
    if (call.result == nullptr) {  // queued
      Flush();
      return result;
    }
    // Back-pressure: the actor is 65536 calls, a full ring, or 16 MiB of queued arguments behind.
    // Short slices: a release of a lend may hold the room, and no reply announces its end.
    const uint64_t taken = full != nullptr ? full->taken() : 0;
    pump_.WaitUntil(Deadline::After(std::chrono::milliseconds(1)),
                    [&] { return full != nullptr && full->taken() != taken; });
  }
}

ActorLink::Whereabouts ActorLink::Cancel(const ClusterObject& result) {
  std::shared_ptr<CallChannel> channel;
  bool waits = false;
  {
    const MutexLock lock(mutex_);
    channel = channel_;
    waits = std::any_of(queue_.begin(), queue_.end(), [&](const Call& call) { return call.result.get() == &result; });
  }
  if (waits) {
    Flush();  // the first call waits for its arguments no longer
    FinishIfDone();
    return Whereabouts::kWaits;
  }
  return channel != nullptr && channel->NumberOf(result) != 0 ? Whereabouts::kSent : Whereabouts::kNotHere;
}

void ActorLink::Queue(Call call, bool first) {
  queued_bytes_ += call.arguments.inline_bytes();
  if (call.owned_function.empty()) call.owned_function = call.function;
  Call& queued = first ? queue_.emplace_front(std::move(call)) : queue_.emplace_back(std::move(call));
  queued.function = queued.owned_function;
  SetQueued(true);
}

ActorLink::Sent ActorLink::TrySend(Call& call, Outcome& outcome) {
  if (call.result->ready()) {  // cancelled
    if (call.lend != 0) outcome.lent.emplace_back(call.lend, 0);
    return Sent::kDone;
  }
  if (!call.resolved) {
    call.views.swap(spare_views_);
    if (FailurePtr failure = call.arguments.Resolve(call.views); failure != nullptr) {
      outcome.failed.emplace_back(call.result, std::move(failure));
      return Sent::kDone;
    }
    // Lent to no process yet: if this process of the actor dies, a call that finds no room now goes to the next one.
    Holds holds = call.arguments.TakeHolds();
    if (call.retries_left != 0) call.holds = holds;
    call.lend = parts_.ownership.Lend(0, std::move(holds));
    call.resolved = true;
  }
  CallRecord record;
  record.lend = call.lend;
  record.result_id = call.result->id();
  record.exception_retries = call.exception_retries;
  record.function = call.function;
  record.arguments.swap(call.views);
  std::shared_ptr<ActorCall> again;
  if (call.retries_left != 0 || !call.name.empty()) {
    again = std::make_shared<ActorCall>();
    again->result = call.result;
    again->name = call.name;
    again->owned_function = call.function;
    again->function = again->owned_function;
  }
  PendingCall pending{std::move(call.result), call.lend, nullptr, again};
  const auto sent = channel_->TryCall(record, pending);
  record.arguments.swap(call.views);
  if (sent == CallChannel::Sent::kYes) {
    pump_.Watch(channel_);
    if (call.lend != 0) outcome.lent.emplace_back(call.lend, channel_->process());
    if (again != nullptr) {  // nobody looks at these without mutex_
      again->arguments = std::move(call.arguments);
      again->resolved = true;
      again->views = std::move(call.views);
      again->holds = std::move(call.holds);
      again->retries_left = call.retries_left;
      again->exception_retries = call.exception_retries;
    } else {
      call.views.swap(spare_views_);
    }
    return Sent::kDone;
  }
  call.result = std::move(pending.result);
  if (sent == CallChannel::Sent::kFull) return Sent::kFull;
  if (call.lend != 0) outcome.lent.emplace_back(call.lend, 0);
  outcome.failed.emplace_back(
      call.result, MakeFailure(wire::FailureKind::ActorDied, StrCat("the channel to actor ", id_.hex(),
                                                                    " is broken: its other side wrote nonsense")));
  return Sent::kDone;
}

void ActorLink::Flush() {
  for (;;) {
    Outcome outcome(parts_.ownership);
    ClusterObjectPtr unready;
    {
      const MutexLock lock(mutex_);
      while (!queue_.empty() && state_ == State::kOpen) {
        Call& head = queue_.front();
        if (!head.resolved && !head.result->ready() && (unready = head.arguments.FirstUnready()) != nullptr) break;
        const size_t bytes = head.arguments.inline_bytes();
        if (TrySend(head, outcome) == Sent::kFull) break;
        queued_bytes_ -= bytes;
        outcome.done.push_back(std::move(head));
        queue_.pop_front();
      }
      if (queue_.empty()) SetQueued(false);
      if (unready == nullptr || waiting_for_ == unready.get()) return;
      waiting_for_ = unready.get();
    }
    unready->OnReady([weak = weak_from_this(), object = unready.get()] {
      const ActorLinkPtr self = weak.lock();
      if (self != nullptr) self->WaitedFor(object);
    });
    return;
  }
}

void ActorLink::WaitedFor(const ClusterObject* object) {
  {
    const MutexLock lock(mutex_);
    if (waiting_for_ == object) waiting_for_ = nullptr;
  }
  Flush();
  FinishIfDone();
}

void ActorLink::SetQueued(bool queued) {
  if (queued_.exchange(queued) == queued) return;
  if (queued)
    parts_.progress.Add();
  else
    parts_.progress.Remove();
}

void ActorLink::SetCreating() {
  const MutexLock lock(mutex_);
  state_ = State::kCreating;
}

void ActorLink::Created(LendId creation_lend) {
  bool open = false;
  Holds ended;
  {
    const MutexLock lock(mutex_);
    if (state_ == State::kDead) {  // the raylet refused it already
      ended = parts_.ownership.EndLend(creation_lend);
      return;
    }
    creation_lend_ = creation_lend;
    if (state_ == State::kCreating) state_ = State::kNew;
    open = state_ == State::kNew && !queue_.empty();
  }
  if (open) EnsureOpen();
}

void ActorLink::EnsureOpen() {
  {
    const MutexLock lock(mutex_);
    if (state_ != State::kNew) return;
    state_ = State::kOpening;
  }
  wire::OpenChannelRequestT request;
  request.actor = std::make_unique<wire::Id20>(ToWire(id_));
  parts_.link.Request(wire::RayletMessage::OpenChannel, Encode(request),
                      [weak = weak_from_this()](Result<Frame> reply, std::vector<UniqueFd>& fds) {
                        if (const ActorLinkPtr self = weak.lock(); self != nullptr)
                          self->OnChannelReply(std::move(reply), fds);
                        else
                          fds.clear();  // at most one channel came, and no other message brings descriptors
                      });
}

void ActorLink::OnChannelReply(Result<Frame> frame, std::vector<UniqueFd>& fds) {
  const auto lost = [&](const Error& error) {
    Die(MakeFailure(wire::FailureKind::ActorDied,
                    StrCat("no channel to actor ", id_.hex(), " could be opened: ", error.message)));
  };
  if (!frame) return lost(frame.error());
  const auto reply = Parse<wire::OpenChannelReplyT>(frame->body);
  if (!reply) return lost(reply.error());
  if (reply->failure != nullptr) return Die(AsActorDied(*reply->failure, false));
  if (const auto status = FromStatus(*reply->status); !status) return lost(status.error());
  auto taken = TakeChannelFds(fds);
  if (!taken) return lost(taken.error());
  auto memory =
      ChannelMemory::Attach(taken->channel, std::move(taken->bell), reply->relayed, ChannelMemory::End::kCaller);
  if (!memory) return lost(memory.error());
  const auto lease = parts_.link.Lease(reply->lease);
  if (!lease) return lost(lease.error());
  const CallChannel::Other other{reply->process, reply->incarnation, *lease};
  auto channel = std::make_shared<CallChannel>(parts_, weak_from_this(), other, *std::move(memory));
  bool replaced = false;
  {
    const MutexLock lock(mutex_);
    if (state_ != State::kOpening) return;
    replaced = reply->incarnation <= replaced_;
    state_ = replaced ? State::kNew : State::kOpen;
    if (!replaced) channel_ = channel;
  }
  if (replaced) return EnsureOpen();
  pump_.Add(std::move(channel));
  Flush();
  FinishIfDone();
}

void ActorLink::Killed() {
  const MutexLock lock(mutex_);
  if (state_ == State::kOpen) state_ = State::kClosing;
}

void ActorLink::Restarting(const Failure& failure, uint32_t ended) {
  std::shared_ptr<CallChannel> channel;
  bool open = false;
  {
    const MutexLock lock(mutex_);
    replaced_ = std::max(replaced_, ended);
    // An open under way is answered when the actor is back.
    if (state_ != State::kOpen && state_ != State::kClosing) return;
    if (ended != 0 && channel_->incarnation() > ended) return;  // late: of one that has been replaced already
    channel = std::move(channel_);
    channel_ = nullptr;
    state_ = State::kOpening;  // calls wait until those that are repeated stand before them
    repeats_ = true;
  }
  std::deque<Call> again = TakeUnanswered(channel, AsActorDied(failure, true));
  FailurePtr dead;
  {
    const MutexLock lock(mutex_);
    repeats_ = false;
    dead = dead_;
    if (state_ == State::kOpening) {
      for (; !again.empty(); again.pop_back()) Queue(std::move(again.back()), /*first=*/true);
      state_ = State::kNew;
      open = !queue_.empty();
    }
  }
  if (!again.empty()) FailNeverRun(std::move(again), AsActorDied(*dead, true));  // it has died meanwhile
  if (open) EnsureOpen();
  FinishIfDone();
}

// Takes the channel's last replies. Returns the calls that are to be repeated, and fails the others.
std::deque<ActorLink::Call> ActorLink::TakeUnanswered(const std::shared_ptr<CallChannel>& channel,
                                                      const FailurePtr& failure) {
  std::vector<PendingCall> unanswered;
  pump_.TakeLast(channel, [&] {
    unanswered = channel->TakeBack(0);
    channel->FailPending(failure);  // none is left: wakes callers that wait for room
  });
  pump_.Remove(channel);
  std::deque<Call> again;
  for (PendingCall& call : unanswered) {
    if (call.again == nullptr || call.again->retries_left == 0) {
      call.result->FulfilFailed(FailureOfCall(failure, call.again.get()));
      continue;
    }
    Call& repeated = *call.again;
    if (repeated.retries_left > 0) --repeated.retries_left;
    // The process that has died may have passed on what it was lent: its end, once settled, ends that lend.
    repeated.lend = parts_.ownership.Lend(0, Holds(repeated.holds));
    again.push_back(std::move(repeated));
    again.back().function = again.back().owned_function;
  }
  pump_.WakeWaiters();
  return again;
}

void ActorLink::FailNeverRun(std::deque<Call> calls, const FailurePtr& failure) {
  for (Call& call : calls) {
    if (call.lend != 0) const Holds ended = parts_.ownership.EndLend(call.lend);
    call.result->FulfilFailed(FailureOfCall(failure, &call));
  }
  pump_.WakeWaiters();
}

void ActorLink::Die(const FailurePtr& failure) {
  std::shared_ptr<CallChannel> channel;
  std::deque<Call> calls;
  Holds creation;
  {
    const MutexLock lock(mutex_);
    if (state_ == State::kDead) return;
    state_ = State::kDead;
    dead_ = failure;
    channel = std::move(channel_);
    channel_ = nullptr;
    calls.swap(queue_);
    queued_bytes_ = 0;
    SetQueued(false);
    if (creation_lend_ != 0) creation = parts_.ownership.EndLend(std::exchange(creation_lend_, 0));
  }
  if (channel != nullptr) pump_.Close(channel, AsActorDied(*failure, true));
  FailNeverRun(std::move(calls), AsActorDied(*failure, false));
  FinishIfDone();
}

void ActorLink::ChannelBroken(CallChannel& channel, const Error& nonsense) {
  const bool ours = nonsense.code == ErrorCode::kUnavailable;
  auto failure = std::make_shared<Failure>(*MakeFailure(
      wire::FailureKind::ActorDied,
      StrCat(ours ? "the actor takes no more calls of this process, which wrote nonsense into its channel: "
                  : "the actor's process wrote nonsense into its channel: ",
             nonsense.message),
      "something overwrote shared memory: run the program under a sanitizer"));
  failure->may_have_run = true;
  channel.FailPending(failure);
  {
    const MutexLock lock(mutex_);
    channel_ = nullptr;
    broken_ = true;
    if (state_ == State::kOpen || state_ == State::kClosing) state_ = State::kOpening;  // Die comes next
  }
  Die(failure);
}

bool ActorLink::Idle() const {
  return queue_.empty() && !repeats_ && (channel_ == nullptr || channel_->pending() == 0);
}

void ActorLink::AfterReplies() {
  if (queued_.load()) Flush();
  FinishIfDone();
}

// Called wherever the last call after the last handle may have ended.
void ActorLink::FinishIfDone() {
  if (!lingers_.load()) return;
  ActorLinkPtr self;
  ray::internal::Hold lend;
  bool last = false;
  {
    const MutexLock lock(mutex_);
    if (!Idle()) return;
    self = std::exchange(lingering_, nullptr);
    if (self == nullptr) return;
    lend = std::exchange(lingering_lend_, nullptr);
    lingers_.store(false);
    last = handles_ == 0;  // none has come meanwhile
  }
  parts_.progress.Remove();
  if (last) Finish();
}

void ActorLink::AddHandle() {
  const MutexLock lock(mutex_);
  ++handles_;
}

void ActorLink::DropHandle(ray::internal::Hold lend) {
  if (!parts_.link.Usable()) return;
  {
    const MutexLock lock(mutex_);
    if (--handles_ > 0) return;
    if (!Idle()) {
      std::swap(lingering_lend_, lend);  // an older one goes after the lock
      if (lingering_ != nullptr) return;
      lingering_ = shared_from_this();
      lingers_.store(true);
      parts_.progress.Add();
      return;
    }
  }
  Finish();
}

void ActorLink::Finish() {
  std::shared_ptr<CallChannel> channel;
  Holds creation;
  bool release = false;
  {
    const MutexLock lock(mutex_);
    if (handles_ > 0 || finished_) return;
    finished_ = true;
    channel = std::move(channel_);
    channel_ = nullptr;
    release = ends_with_handles_ && (state_ != State::kDead || broken_);
    state_ = State::kDead;
    if (dead_ == nullptr)
      dead_ = MakeFailure(wire::FailureKind::ActorDied, "the last handle of this actor is gone, and it ended with it");
    if (creation_lend_ != 0) creation = parts_.ownership.EndLend(std::exchange(creation_lend_, 0));
  }
  table_.Forget(*this);
  if (channel != nullptr) {
    channel->TakeNoMoreReleases();
    pump_.Remove(channel);
  }
  if (!release) return;
  wire::ActorRequestT request;
  request.actor = std::make_unique<wire::Id20>(ToWire(id_));
  parts_.link.Post(wire::RayletMessage::ReleaseActor, request);  // a raylet that is gone ended it
}

}  // namespace raylet::client
