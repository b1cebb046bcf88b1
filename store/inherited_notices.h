// InheritedNotices: the notices about ended clients that one heir has not had yet, in the order of the ends. Pure.
// Owned by the heir's session; loop thread only.
// Always holds: each inheritance added gives one sequence of notices. The sequence has a last notice, also when it has
// no objects.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

#include "fbs/messages.h"

namespace raylet::store {

constexpr size_t kIdsPerInheritedNotice = 10'000;  // 200 KB
// Objects and ended clients of which one heir has not been told yet. The largest index has this many entries.
constexpr size_t kInheritedWaitingMax = size_t{1} << 22;

class InheritedNotices {
 public:
  // False, and adds nothing, when the heir has to be told of too much already.
  bool Add(uint32_t client, std::vector<ObjectId> objects);
  bool Empty() const { return waiting_.empty(); }
  wire::InheritedNoticeT TakeNext();  // not when empty

 private:
  struct Left {
    uint32_t client = 0;
    std::vector<ObjectId> objects;
    size_t told = 0;
  };
  std::deque<Left> waiting_;
  size_t waiting_count_ = 0;  // of waiting_: its items, and their objects
};

}  // namespace raylet::store
