// NoticeFeed: what one subscriber has still to be told, in order: first the objects that were sealed when it
// subscribed, then each seal and each end since. Owned by a Subscription; loop thread only. Pure. Always holds: a
// subscriber that is told everything in order knows exactly the sealed objects. An object that was there at first, and
// went before its turn, is not mentioned. At most kNoticesWaitingMax notices and changed entries wait.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <unordered_set>

#include "fbs/object_notice.h"

namespace raylet::store {

constexpr size_t kNoticesWaitingMax = 65536;  // 3 MiB of the daemon's memory

class NoticeFeed {
 public:
  // `entries`: those from here on were never used when the subscriber came.
  explicit NoticeFeed(uint32_t entries) : first_entries_(entries) {}

  // Both are false when more waits than the feed may hold: then it is of no use any more.
  [[nodiscard]] bool Sealed(uint32_t entry, const ObjectNotice& notice);
  [[nodiscard]] bool Gone(uint32_t entry, const ObjectId& id);

  // The next notice, which is not told again. `sealed(entry)` is the notice of the entry's object, if it is sealed now.
  template <class SealedAt>
  std::optional<ObjectNotice> Next(const SealedAt& sealed) {
    while (told_ < first_entries_) {
      const uint32_t entry = told_++;
      if (changed_.erase(entry) != 0) continue;  // what happened to it since waits behind
      if (std::optional<ObjectNotice> notice = sealed(entry)) return notice;
    }
    if (waiting_.empty()) return std::nullopt;
    const ObjectNotice notice = waiting_.front();
    waiting_.pop_front();
    return notice;
  }
  bool Empty() const { return told_ == first_entries_ && waiting_.empty(); }
  void Clear() {  // of use no more: nothing waits
    waiting_ = {};
    changed_ = {};
  }
  size_t waiting() const { return waiting_.size() + changed_.size(); }

 private:
  bool Untold(uint32_t entry) const { return entry >= told_ && entry < first_entries_; }

  const uint32_t first_entries_;
  uint32_t told_ = 0;                     // of the first entries, those below this have been told
  std::unordered_set<uint32_t> changed_;  // untold ones that are not what they were at first
  std::deque<ObjectNotice> waiting_;
};

}  // namespace raylet::store
