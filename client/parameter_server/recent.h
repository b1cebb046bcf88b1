// RecentSequences: the numbers of the last gradients, so that one which is sent again counts once. One thread at a
// time.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace ray::ps::internal {

class RecentSequences {
 public:
  // A worker sends a gradient again when its shard has died. Then each worker has one or a few under way.
  static constexpr size_t kMax = 256;

  RecentSequences() = default;
  explicit RecentSequences(std::vector<uint64_t> all) : all_(std::move(all)) {}

  bool Has(uint64_t sequence) const { return std::find(all_.begin(), all_.end(), sequence) != all_.end(); }
  void Add(uint64_t sequence) {
    if (all_.size() < kMax) {
      all_.push_back(sequence);
    } else {
      all_[next_] = sequence;
      next_ = (next_ + 1) % kMax;
    }
  }
  const std::vector<uint64_t>& all() const { return all_; }

 private:
  std::vector<uint64_t> all_;
  size_t next_ = 0;  // the oldest one
};

}  // namespace ray::ps::internal
