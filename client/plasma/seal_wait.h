// SealWait: the objects that one Get still waits for, and the wait for their seals. On the stack of the thread that
// waits. It remembers what it saw of each object's bucket, so that a look costs little where nothing was sealed.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "client/plasma/mapped_index.h"
#include "fbs/ids.h"

namespace raylet::client {

class SealWait {
 public:
  explicit SealWait(const MappedIndex& index) : index_(index) {}

  void Add(size_t place, const ObjectId& id) { missing_.push_back({place, &index_.SealsOf(id), 0}); }
  bool Empty() const { return missing_.empty(); }
  size_t first() const { return missing_.front().place; }

  // Calls look(place) -> Result<bool> for each object that is missing, or only for those whose buckets have changed
  // since the last call. True takes the object off; an error ends the look.
  template <class LookAt>
  Result<void> Look(bool all, const LookAt& look) {
    for (size_t i = 0; i < missing_.size();) {
      Missing& missing = missing_[i];
      // Read before the look: a seal after the look changes it, and the next wait returns at once.
      const uint32_t seals = missing.seals->load(std::memory_order_acquire);
      const bool changed = all || seals != missing.seen;
      missing.seen = seals;
      const Result<bool> found = changed ? look(missing.place) : Result<bool>(false);
      if (!found) return Fail(found.error());
      if (*found) {
        missing = missing_.back();
        missing_.pop_back();
      } else {
        ++i;
      }
    }
    return {};
  }

  // Looks at the buckets until `until`; true once one has changed.
  bool Spin(Deadline until) const;
  // Sleeps until a bucket changes, at most `timeout`. May return early. A sealer may wake this thread together with the
  // daemon, which is about to seal the object then: the bucket changes within a moment.
  void Park(Duration timeout) const;

 private:
  struct Missing {
    size_t place;
    const std::atomic<uint32_t>* seals;  // the word of the object's bucket
    uint32_t seen;
  };
  bool Changed() const;

  const MappedIndex& index_;
  std::vector<Missing> missing_;
};

}  // namespace raylet::client
