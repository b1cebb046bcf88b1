// PutRings: the rings through which clients post small objects, and when the daemon looks at them. Owned by the
// StoreServer; loop thread only.
// Right after a post the daemon looks at that ring again and again for a short while, since the next post is likely. It
// yields its core between looks, and serves the sockets every few microseconds. Where posts are rare, and after that
// while, it sleeps, and the client rings a bell (an eventfd).
// Always holds: an idle daemon uses no CPU. A turn carries out a bounded number of posts.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "base/clock.h"
#include "base/loop.h"
#include "base/shm_segment.h"
#include "base/unique_fd.h"
#include "store/put_posts.h"

namespace raylet::store {

class PutRings {
 public:
  // What a client gets; the daemon keeps its own of each.
  struct Opened {
    int memory = -1, bell = -1;
  };

  // All of them outlive this. Leases hold a sixteenth of the capacity at most.
  PutRings(Loop& loop, ObjectStore& store, uint64_t capacity_bytes);
  ~PutRings();
  // `carried_out` runs after posts of any client. `broken` runs when a client's posts make no sense, and may end it.
  void OnCarriedOut(std::function<void()> carried_out) { on_carried_out_ = std::move(carried_out); }
  void OnBroken(std::function<void(uint32_t client, const Error&)> broken) { on_broken_ = std::move(broken); }

  // `when_full` says what becomes of a post that finds no room. The client's later posts wait behind it. `waits` hears
  // when that begins and ends: the client's messages have to wait, too.
  void OnFull(std::function<PutPosts::WhenFull(uint64_t need_bytes)> when_full,
              std::function<void(uint32_t client, bool waits)> waits) {
    when_full_ = std::move(when_full);
    on_waits_ = std::move(waits);
  }
  // Tries the posts that wait. `last_try(client)`: refuses those that find no room now.
  void ServeWaiting(const std::function<bool(uint32_t client)>& last_try);
  bool HasWaiting() const { return waiting_ > 0; }
  bool Waits(uint32_t client) const;

  // A new ring, also for a client that has one. The descriptors are this object's. kLimit: there are as many rings as
  // the descriptor limit allows.
  Result<Opened> Open(uint32_t client, uint64_t frames);
  // The daemon has carried out `frames` messages of the client: carries out all posts that may come now.
  void Heard(uint32_t client, uint64_t frames);
  // Carries out what the client has posted, and frees what it leases. Before the store forgets the client.
  void Remove(uint32_t client);

 private:
  struct OfClient {
    uint32_t client = 0;
    UniqueFd memory_fd, bell;
    Mapping memory;
    std::optional<PutPosts> posts;
    uint64_t frames = 0;   // heard
    bool watched = false;  // in hot_
    FdWatcher rung;
  };

  void Rung(OfClient& ring);
  uint32_t CarryOut(OfClient& ring, uint32_t most);
  Result<uint32_t> CarryOutNow(OfClient& ring, uint32_t most, bool last_try);
  void CountLeases() { store_.counters().leased_bytes.store(leases_.leased_bytes(), std::memory_order_relaxed); }
  bool LookAtAll();
  void BusyTurn();
  void Sleep();

  Loop& loop_;
  ObjectStore& store_;
  WriteLeases leases_;
  std::map<uint32_t, std::unique_ptr<OfClient>> rings_;
  std::vector<OfClient*> hot_;  // that the daemon looks at without a bell
  TimePoint last_post_{};
  Duration recent_gap_{};  // moving average of the time between posts
  bool busy_ = false;
  uint32_t waiting_ = 0;  // rings that wait for room
  BusyTurns turns_;
  std::function<void()> on_carried_out_;
  std::function<void(uint32_t, const Error&)> on_broken_;
  std::function<PutPosts::WhenFull(uint64_t)> when_full_;
  std::function<void(uint32_t, bool)> on_waits_;
};

}  // namespace raylet::store
