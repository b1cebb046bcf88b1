// ReplyPump: this process's call channels, and the threads that wait for replies. No thread exists for replies alone. A
// thread that waits takes the replies off all channels with calls under way, for itself and for the others. Owned by
// ClusterParts; any thread. A channel is in the list from Add until Remove or Close, and one thread at a time takes its
// replies.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <vector>

#include "base/mutex.h"
#include "base/waiter.h"
#include "client/ray/cluster/blocked_threads.h"
#include "client/ray/cluster/call_channel.h"
#include "client/ray/cluster/drain_lock.h"
#include "client/ray/cluster/raylet_link.h"

namespace raylet::client {

class ReplyPump {
 public:
  ReplyPump(RayletLink& link, BlockedThreads& blocked) : link_(link), blocked_(blocked) {}
  // Empties the list. Every call without a reply fails with `failure`. Call it after RayletLink::Stop.
  void Stop(const FailurePtr& failure) RAYLET_EXCLUDES(drain_lock_, mutex_);

  // ---- channels
  void Add(std::shared_ptr<CallChannel> channel) RAYLET_EXCLUDES(mutex_);
  void Remove(const std::shared_ptr<CallChannel>& channel) RAYLET_EXCLUDES(mutex_);
  // A call is under way on the channel: takes the channel's replies from now on.
  void Watch(const std::shared_ptr<CallChannel>& channel) {
    if (channel->watch().Begin()) WatchAnew(channel);
  }
  // Takes its last replies, and then calls `last` under the drain lock. The channel is not forgotten.
  void TakeLast(const std::shared_ptr<CallChannel>& channel, const std::function<void()>& last)
      RAYLET_EXCLUDES(drain_lock_, mutex_);
  // Takes its last replies, fails the rest of its calls, and forgets it.
  void Close(const std::shared_ptr<CallChannel>& channel, const FailurePtr& failure)
      RAYLET_EXCLUDES(drain_lock_, mutex_);

  // ---- waiting
  // Takes the replies that have arrived on all channels, unless another thread does so right now.
  void Drain() RAYLET_EXCLUDES(drain_lock_, mutex_);
  // As above, and once it returns they are taken, whoever did it.
  void DrainAll() RAYLET_EXCLUDES(drain_lock_, mutex_);
  // True once ready() is true, false at the deadline. Takes replies meanwhile. Throws when the raylet is gone or this
  // process stops. A worker's thread counts as blocked from its first park.
  bool WaitUntil(Deadline deadline, const std::function<bool()>& ready);
  // As above, for a thread of the library: throws nothing, does not count as blocked, and ends when the link does.
  bool Park(SpinPark& park, Deadline deadline, const std::function<bool()>& ready,
            const std::function<void()>& before_park = {});
  // Call it after an object became ready. Makes a system call only if another thread sleeps.
  void WakeWaiters();

 private:
  void WatchAnew(const std::shared_ptr<CallChannel>& channel);
  void DrainChannels() RAYLET_REQUIRES(drain_lock_) RAYLET_EXCLUDES(mutex_);
  void Break(const std::shared_ptr<CallChannel>& channel, const Error& nonsense) RAYLET_EXCLUDES(mutex_);

  RayletLink& link_;
  BlockedThreads& blocked_;
  std::atomic<uint32_t> waiters_{0};  // threads inside Park

  Mutex mutex_;  // no hold is dropped under it
  std::vector<std::shared_ptr<CallChannel>> channels_ RAYLET_GUARDED_BY(mutex_);

  DrainLock drain_lock_;
  WatchedChannels<CallChannel> watched_;  // visited under drain_lock_
};

}  // namespace raylet::client
