#include "client/ray/cluster/reply_pump.h"

#include <optional>
#include <utility>

namespace raylet::client {
namespace {

// A parked wait looks again after this long without a ring. A safeguard only: replies, messages of the raylet, its end
// and Stop all ring.
constexpr Duration kParkSlice = std::chrono::seconds(1);

thread_local int waits_of_this_thread = 0;

}  // namespace

bool ReplyPump::WaitUntil(Deadline deadline, const std::function<bool()>& ready) {
  Drain();
  if (ready()) return true;
  link_.CheckUsable();
  thread_local SpinPark park;
  std::optional<BlockedThreads::Scope> blocked;
  const bool done = Park(park, deadline, ready, [&] { blocked.emplace(blocked_); });
  blocked.reset();
  if (!done) link_.CheckUsable();
  return done;
}

bool ReplyPump::Park(SpinPark& park, Deadline deadline, const std::function<bool()>& ready,
                     const std::function<void()>& before_park) {
  const auto step = [this, &ready] {
    Drain();
    return ready();
  };
  const auto alive = [this] { return link_.Alive(); };
  // seq_cst: a thread that makes an object ready and then reads waiters_ sees us, or we see the ready object.
  waiters_.fetch_add(1, std::memory_order_seq_cst);
  ++waits_of_this_thread;
  const bool done = park.WaitUntil(link_.doorbell(), deadline, step, alive, before_park, kParkSlice);
  --waits_of_this_thread;
  waiters_.fetch_sub(1, std::memory_order_seq_cst);
  return done;
}

void ReplyPump::WakeWaiters() {
  const auto own = waits_of_this_thread > 0 ? 1u : 0u;
  if (waiters_.fetch_add(0, std::memory_order_seq_cst) > own) Ring(link_.doorbell());
}

void ReplyPump::Drain() {
  if (watched_.never_used()) return;
  if (!drain_lock_.TryAcquire()) return;
  DrainChannels();
  drain_lock_.Release(link_.doorbell());
}

void ReplyPump::DrainAll() {
  if (watched_.never_used()) return;
  drain_lock_.Acquire(link_.doorbell());
  DrainChannels();
  drain_lock_.Release(link_.doorbell());
}

void ReplyPump::DrainChannels() {
  const bool any = watched_.Visit([this](const std::shared_ptr<CallChannel>& channel) {
    if (const auto drained = channel->Drain(); !drained)
      Break(channel, drained.error());
    else if (const auto owner = channel->owner().lock(); owner != nullptr)
      owner->AfterReplies();
  });
  if (any) WakeWaiters();
}

void ReplyPump::Break(const std::shared_ptr<CallChannel>& channel, const Error& nonsense) {
  Remove(channel);
  if (const auto owner = channel->owner().lock(); owner != nullptr) return owner->ChannelBroken(*channel, nonsense);
  channel->FailPending(FailureOf(nonsense, "a channel is broken"));
}

void ReplyPump::Add(std::shared_ptr<CallChannel> channel) {
  const MutexLock lock(mutex_);
  channels_.push_back(std::move(channel));
}

// The reply may have come and rung before the channel was in the list.
void ReplyPump::WatchAnew(const std::shared_ptr<CallChannel>& channel) {
  watched_.Add(channel);
  WakeWaiters();
}

void ReplyPump::Remove(const std::shared_ptr<CallChannel>& channel) {
  watched_.Remove(channel);
  const MutexLock lock(mutex_);
  std::erase(channels_, channel);
}

void ReplyPump::TakeLast(const std::shared_ptr<CallChannel>& channel, const std::function<void()>& last) {
  drain_lock_.Acquire(link_.doorbell());
  static_cast<void>(channel->Drain());  // what came before the end counts
  last();
  drain_lock_.Release(link_.doorbell());
  Ring(link_.doorbell());
}

void ReplyPump::Close(const std::shared_ptr<CallChannel>& channel, const FailurePtr& failure) {
  drain_lock_.Acquire(link_.doorbell());
  static_cast<void>(channel->Drain());  // replies from before the actor's death count
  channel->FailPending(failure);
  drain_lock_.Release(link_.doorbell());
  Remove(channel);
  Ring(link_.doorbell());
}

void ReplyPump::Stop(const FailurePtr& failure) {
  std::vector<std::shared_ptr<CallChannel>> copy;
  std::vector<std::shared_ptr<CallChannel>> channels;
  drain_lock_.Acquire(link_.doorbell());
  copy = watched_.TakeAll();
  {
    const MutexLock lock(mutex_);
    channels.swap(channels_);
  }
  drain_lock_.Release(link_.doorbell());
  for (const auto& channel : channels) channel->FailPending(failure);
}

}  // namespace raylet::client
