// CreateQueue: creates that wait for room. Pure; loop thread only.
// Always holds: those that can be served are served in order of arrival. One that cannot be served now holds up nobody;
// it keeps its place, and is tried first once enough bytes are in reach. The queue is bounded, for each client and as a
// whole, and holds no create of a client that has gone.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <limits>
#include <memory>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "fbs/ids.h"
#include "fbs/messages.h"
#include "store/object_store.h"

namespace raylet::store {

constexpr uint32_t kBlockedCreatesPerClientMax = 64;
// Of the data that came with them.
constexpr uint64_t kBlockedBytesPerClientMax = uint64_t{4} << 20;
constexpr uint64_t kBlockedBytesMax = uint64_t{64} << 20;

struct BlockedCreate {
  uint32_t client = 0;
  uint64_t request_id = 0;
  ObjectId id;
  ObjectOptions options;
  bool seal = false;  // CreateAndSeal: data and metadata are copied in and sealed
  std::vector<uint8_t> data, metadata;
  // All of these instead, or none; `id` is the first one's, and the options count the bytes of all.
  std::shared_ptr<const wire::CreateAndSealBatchRequestT> batch;
  TimePoint deadline = TimePoint::max();
  bool while_disk_writes = false;  // it has no patience, but for the writes that make room
  uint64_t try_at = 0;             // with so many bytes in reach a try may succeed

  uint64_t need_bytes() const { return options.data_bytes + options.metadata_bytes; }
  uint64_t carried_bytes() const { return data.size() + metadata.size() + (batch ? batch->bytes.size() : 0); }
};

class CreateQueue {
 public:
  // The outcome of a try. One that failed says how many bytes were free or evictable then.
  struct Tried {
    bool done = false;
    uint64_t reached_bytes = 0;
  };

  // kFull names the bound that is reached.
  Result<void> Push(BlockedCreate create);
  bool Empty() const { return waiting_.empty(); }
  uint64_t FirstNeed() const { return waiting_.front().need_bytes(); }  // of the create that has waited the longest
  // No waiting create lacks what this one needs, so that it may be tried before them.
  bool MayOvertake(const BlockedCreate& create) const;

  // Tries those that may succeed, with `try_one(create) -> Tried`, and removes those that are done. `in_reach()` is
  // ObjectStore::bytes_in_reach(). While that does not grow, a call costs nothing, unless `anew`: pins may have been
  // released, of which nobody hears.
  template <class InReach, class TryOne>
  void Serve(bool anew, const InReach& in_reach, const TryOne& try_one);

  // Removes and returns the creates whose deadline has passed, in order.
  std::vector<BlockedCreate> TakeExpired(TimePoint now);
  // Removes and returns those that wait only while the disk writes.
  std::vector<BlockedCreate> TakeThoseForDisk();
  // Removes and returns the client's creates of this object.
  std::vector<BlockedCreate> Cancel(uint32_t client, const ObjectId& id);
  void DropClient(uint32_t client);
  // No create has an earlier one. TimePoint::max() when none has a deadline.
  TimePoint NextDeadline() const { return Empty() ? TimePoint::max() : next_deadline_; }

 private:
  struct OfClient {
    uint32_t creates = 0;
    uint64_t carried_bytes = 0;
  };
  static constexpr uint64_t kNever = std::numeric_limits<uint64_t>::max();

  template <class Matches>
  std::vector<BlockedCreate> Take(const Matches& matches);
  void Forget(const BlockedCreate& create);

  std::deque<BlockedCreate> waiting_;
  std::unordered_map<uint32_t, OfClient> of_client_;
  uint64_t carried_bytes_ = 0;
  uint64_t next_try_ = kNever;  // no create has a lower try_at
  TimePoint next_deadline_ = TimePoint::max();
};

template <class InReach, class TryOne>
void CreateQueue::Serve(bool anew, const InReach& in_reach, const TryOne& try_one) {
  if (waiting_.empty() || (!anew && in_reach() < next_try_)) return;
  std::deque<BlockedCreate> left;
  uint64_t pinned = 0;  // in reach but for pins, as the last failure found it
  // So large ones need no try, which reads all pins: without eviction, and with it.
  uint64_t fails_from[2] = {kNever, kNever};
  next_try_ = kNever;
  while (!waiting_.empty()) {
    BlockedCreate create = std::move(waiting_.front());
    waiting_.pop_front();
    const uint64_t need = create.need_bytes();
    const bool evicts = create.options.evict_if_full;
    if (need < fails_from[evicts] && (anew || in_reach() >= create.try_at)) {
      const Tried tried = try_one(create);
      if (tried.done) {
        Forget(create);
        continue;
      }
      pinned = in_reach() - std::min(in_reach(), tried.reached_bytes);
      fails_from[false] = std::min(fails_from[false], need);
      if (evicts) fails_from[true] = std::min({fails_from[true], need, tried.reached_bytes + 1});
    }
    // If enough is in reach, then no run of it is long enough.
    if (need >= fails_from[evicts]) create.try_at = std::max(need + pinned, in_reach() + 1);
    next_try_ = std::min(next_try_, create.try_at);
    left.push_back(std::move(create));
  }
  waiting_ = std::move(left);
}

}  // namespace raylet::store
