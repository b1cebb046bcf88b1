// IndexChains: the writer of the shared index's chains (fbs/segment_layout.h): which entry holds an
// id. Owned by the ObjectIndex; loop thread only; readers are other processes.
// Always holds: a reader that starts now finds each linked entry, whatever change is under way and
// even if the daemon is killed in the middle of it. A reader that a change leads astray sees that a
// head has changed. Chains have one object each on average.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>

#include "fbs/ids.h"
#include "fbs/segment_layout.h"

namespace raylet::store {

constexpr uint32_t kChainsAtFirst = 4096;  // few enough to stay in the cache

class IndexChains {
 public:
  // `header` is a fresh index (InitIndexSegment), or one that another daemon has left; it outlives this.
  IndexChains(IndexHeader* header, uint32_t chains_at_first);

  std::optional<uint32_t> Find(const ObjectId& id) const;
  void Prefetch(uint64_t hash) const { __builtin_prefetch(&HeadOf(ChainOf(hash, chain_count_)), /*rw=*/1); }
  void Link(uint32_t entry, uint64_t hash);
  void Unlink(uint32_t entry, uint64_t hash);
  // Makes chains until there are `objects` of them, or chains_max.
  void Spread(uint32_t objects, uint32_t chains_max);

  // After the end of a daemon in the middle of a change: ends a split that it had begun. Calls `linked` with each entry
  // of each chain. False where these are no chains: a link leads out of the index, in a circle, or to another chain.
  bool Repair(const std::function<bool(uint32_t entry)>& linked);

  static ObjectId IdOf(const IndexEntry& entry);

 private:
  std::atomic<uint64_t>& HeadOf(uint32_t chain) const { return header_->chains[static_cast<std::ptrdiff_t>(chain)]; }
  IndexEntry& Linked(uint32_t link) const { return header_->entries[static_cast<std::ptrdiff_t>(link) - 1]; }
  void Publish(uint32_t chain, uint32_t first_link, uint8_t filter);
  void Split();
  void EndSplit(uint32_t new_chain);

  IndexHeader* header_;
  uint32_t chain_count_;
};

}  // namespace raylet::store
