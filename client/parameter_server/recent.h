// RecentSequences: the numbers of the last gradients, so that one which is sent again counts once. One thread at a
// time.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <unordered_set>
#include <utility>
#include <vector>

namespace ray::ps::internal {

class RecentSequences {
 public:
  // A worker sends a gradient again when its shard has died or moved. Then each worker has some under way.
  static constexpr size_t kMax = 4096;

  RecentSequences() = default;
  // More than kMax: the last ones.
  explicit RecentSequences(const std::vector<uint64_t>& all) {
    for (const uint64_t sequence : all) Add(sequence);
  }

  bool Has(uint64_t sequence) const { return known_.count(sequence) > 0; }
  void Add(uint64_t sequence) {
    if (!known_.insert(sequence).second) return;
    if (all_.size() < kMax) {
      all_.push_back(sequence);
    } else {
      known_.erase(std::exchange(all_[next_], sequence));
      next_ = (next_ + 1) % kMax;
    }
  }
  const std::vector<uint64_t>& all() const { return all_; }
  // The oldest one first.
  std::vector<uint64_t> InOrder() const {
    std::vector<uint64_t> ordered(all_.begin() + static_cast<std::ptrdiff_t>(next_), all_.end());
    ordered.insert(ordered.end(), all_.begin(), all_.begin() + static_cast<std::ptrdiff_t>(next_));
    return ordered;
  }
  // Of those that a shard had lately, all others know whether they have them, too.
  std::vector<uint64_t> Newest() const {
    const size_t count = all_.size() < kMax / 2 ? all_.size() : kMax / 2;
    std::vector<uint64_t> newest;
    for (size_t i = 0; i < count; ++i) newest.push_back(all_[(next_ + all_.size() - 1 - i) % all_.size()]);
    return newest;
  }

 private:
  std::vector<uint64_t> all_;
  size_t next_ = 0;                     // the oldest one
  std::unordered_set<uint64_t> known_;  // the same as all_
};

// What several shards had, each in order: the newest ones of each at the end.
inline RecentSequences Together(const std::vector<std::vector<uint64_t>>& shards) {
  size_t most = 0;
  for (const auto& shard : shards) most = std::max(most, shard.size());
  RecentSequences together;
  for (size_t age = most; age > 0; --age)
    for (const auto& shard : shards)
      if (age <= shard.size()) together.Add(shard[shard.size() - age]);
  return together;
}

}  // namespace ray::ps::internal
