// WatchedChannels: the channels on which a process looks for replies. It spares a process with a thousand actors the
// look at a thousand rings for each call. Owned by ReplyPump; any thread watches, and one thread at a time visits.
// Always holds: a channel with a call under way is watched. A channel without a call is watched as long as few channels
// are. So calls one after the other do not change the list.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "base/mutex.h"

namespace raylet::client {

constexpr size_t kIdleChannelsWatchedMax = 16;

// Whether a channel is watched; a part of the channel.
class Watch {
 public:
  // After a call came under way. True: the caller has to hand the channel to WatchedChannels::Add.
  bool Begin() { return !watched_.load(std::memory_order_seq_cst) && !watched_.exchange(true); }
  // `busy` says whether calls are under way. True: the visitor has to let go of the channel. The order is seq_cst,
  // because some thread may begin a call and then find the channel watched. The second look sees that call.
  template <class Busy>
  bool End(Busy busy) {
    if (busy()) return false;
    watched_.store(false, std::memory_order_seq_cst);
    return !busy() || watched_.exchange(true);
  }

 private:
  std::atomic<bool> watched_{false};
};

// Channel: has watch(), HasReplies(), and pending(), whose loads and stores are seq_cst.
template <class Channel>
class WatchedChannels {
 public:
  using Ptr = std::shared_ptr<Channel>;

  void Add(Ptr channel) RAYLET_EXCLUDES(mutex_) {
    const MutexLock lock(mutex_);
    joining_.push_back(std::move(channel));
    changes_.fetch_add(1, std::memory_order_release);
  }
  // The next visit no longer visits the channel.
  void Remove(const Ptr& channel) RAYLET_EXCLUDES(mutex_) {
    const MutexLock lock(mutex_);
    leaving_.push_back(channel);
    changes_.fetch_add(1, std::memory_order_release);
  }
  bool never_used() const { return changes_.load(std::memory_order_acquire) == 0; }

  // ---- one thread at a time
  // Calls `take` for each watched channel that has replies. True: there was one.
  template <class Take>
  bool Visit(Take take) RAYLET_EXCLUDES(mutex_) {
    TakeChanges();
    bool any = false;
    for (size_t i = 0; i < watched_.size();) {
      Ptr& channel = watched_[i];
      if (channel->HasReplies()) {
        take(channel);
        any = true;
      } else if (watched_.size() > kIdleChannelsWatchedMax &&
                 channel->watch().End([&] { return channel->pending() > 0; })) {
        std::swap(channel, watched_.back());
        watched_.pop_back();
        continue;
      }
      ++i;
    }
    return any;
  }
  std::vector<Ptr> TakeAll() RAYLET_EXCLUDES(mutex_) {
    TakeChanges();
    return std::exchange(watched_, {});
  }
  size_t size() const { return watched_.size(); }

 private:
  void TakeChanges() RAYLET_EXCLUDES(mutex_) {
    const uint64_t changes = changes_.load(std::memory_order_acquire);
    if (changes == changes_taken_) return;
    std::vector<Ptr> joining;
    std::vector<Ptr> leaving;  // dropped once the lock is released
    {
      const MutexLock lock(mutex_);
      joining.swap(joining_);
      leaving.swap(leaving_);
    }
    changes_taken_ = changes;
    watched_.insert(watched_.end(), joining.begin(), joining.end());
    for (const Ptr& gone : leaving) std::erase(watched_, gone);
  }

  Mutex mutex_;  // no channel is dropped under it
  std::vector<Ptr> joining_ RAYLET_GUARDED_BY(mutex_);
  std::vector<Ptr> leaving_ RAYLET_GUARDED_BY(mutex_);
  std::atomic<uint64_t> changes_{0};  // of both lists: published with mutex_ held, read by visitors without it

  // Of the thread that visits.
  std::vector<Ptr> watched_;
  uint64_t changes_taken_ = 0;
};

}  // namespace raylet::client
