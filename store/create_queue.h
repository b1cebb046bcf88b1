// CreateQueue: creates that wait for room, in order of arrival. Pure; loop thread only.
// Always holds: the queue is bounded for each client, and holds no create of a client that has
// gone.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "fbs/ids.h"
#include "fbs/messages.h"
#include "store/object_store.h"

namespace raylet::store {

constexpr uint32_t kBlockedCreatesPerClientMax = 64;

struct BlockedCreate {
  uint32_t client = 0;
  uint64_t request_id = 0;
  ObjectId id;
  ObjectOptions options;
  bool seal = false;  // CreateAndSeal: data and metadata are copied in and sealed
  std::vector<uint8_t> data, metadata;
  TimePoint deadline = TimePoint::max();
};

class CreateQueue {
 public:
  // False when the client has as many blocked creates as it may.
  bool Push(BlockedCreate create) {
    uint32_t& count = of_client_[create.client];
    if (count >= kBlockedCreatesPerClientMax) return false;
    ++count;
    waiting_.push_back(std::move(create));
    return true;
  }
  bool Empty() const { return waiting_.empty(); }
  const BlockedCreate& Front() const { return waiting_.front(); }
  BlockedCreate PopFront() {
    BlockedCreate front = std::move(waiting_.front());
    waiting_.pop_front();
    Forget(front.client);
    return front;
  }
  // Removes and returns the creates whose deadline has passed, in order.
  std::vector<BlockedCreate> TakeExpired(TimePoint now) {
    return Take([now](const BlockedCreate& create) { return create.deadline <= now; });
  }
  // Removes and returns the client's creates of this object.
  std::vector<BlockedCreate> Cancel(uint32_t client, const ObjectId& id) {
    return Take([&](const BlockedCreate& create) { return create.client == client && create.id == id; });
  }
  void DropClient(uint32_t client) {
    std::erase_if(waiting_, [client](const BlockedCreate& create) { return create.client == client; });
    of_client_.erase(client);
  }
  // TimePoint::max() when no create has a deadline.
  TimePoint NextDeadline() const {
    TimePoint next = TimePoint::max();
    for (const BlockedCreate& create : waiting_) next = std::min(next, create.deadline);
    return next;
  }

 private:
  template <class Matches>
  std::vector<BlockedCreate> Take(const Matches& matches) {
    std::vector<BlockedCreate> taken;
    std::deque<BlockedCreate> left;
    for (BlockedCreate& create : waiting_) {
      if (!matches(create)) {
        left.push_back(std::move(create));
        continue;
      }
      Forget(create.client);
      taken.push_back(std::move(create));
    }
    waiting_.swap(left);
    return taken;
  }
  void Forget(uint32_t client) {
    if (const auto it = of_client_.find(client); it != of_client_.end() && --it->second == 0) of_client_.erase(it);
  }

  std::deque<BlockedCreate> waiting_;
  std::unordered_map<uint32_t, uint32_t> of_client_;
};

}  // namespace raylet::store
