// PullsUnderWay: how many objects are pulled, with how many bytes and from which machines, and whether another pull may
// start. A core; owned by the PullQueue.
// Always holds: the pulls stay within the limits, except that an object larger than the limit goes alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <unordered_map>

#include "base/clock.h"
#include "fbs/ids.h"

namespace raylet {

enum class PullPriority : uint8_t { kGet = 0, kWait = 1, kArgument = 2 };  // served in this order

struct PullLimits {
  size_t objects_max = 1'000'000;  // wanted at a time
  size_t pulls_max = 64;           // under way; the last quarter is not for arguments, the last eighth only for gets
  // The same where the next object is small. A pull of one takes as long as the machines take to answer, and its bytes
  // are few.
  size_t small_pulls_max = 512;
  uint64_t small_bytes = uint64_t{16} << 10;
  uint64_t bytes_max = uint64_t{512} << 20;     // of the objects under way, with the same shares
  uint64_t unknown_bytes = uint64_t{64} << 10;  // counted while nobody has said how large an object is
  Duration back_off_first = std::chrono::milliseconds(20);
  Duration back_off_max = std::chrono::seconds(2);
  // An object counts as lost once none of its holders could be reached for so long, although its owner may still reach
  // them. Attempts for other objects count, too, so of many objects behind a cut only the first ones wait. A stall of
  // this raylet does not count.
  Duration give_up_after = std::chrono::seconds(30);
  Duration unreached_forgotten_after = std::chrono::seconds(10);  // without another failure
};

class PullsUnderWay {
 public:
  explicit PullsUnderWay(const PullLimits& limits) : limits_(limits) {}

  // `bytes` are those of an object. 0: nobody has said yet.
  bool MayStart(uint64_t bytes, PullPriority priority) const;
  // Returns what it counts, which the caller keeps for Resize and End.
  uint64_t Begin(const NodeId& from, uint64_t bytes);
  uint64_t Resize(uint64_t counted_bytes, uint64_t bytes);
  void End(const NodeId& from, uint64_t counted_bytes);

  size_t count() const { return count_; }
  size_t From(const NodeId& node) const;
  uint64_t counted_bytes() const { return counted_bytes_; }

 private:
  uint64_t Counted(uint64_t bytes) const { return bytes != 0 ? bytes : limits_.unknown_bytes; }

  PullLimits limits_;
  size_t count_ = 0;
  uint64_t counted_bytes_ = 0;
  std::unordered_map<NodeId, size_t> from_;
};

}  // namespace raylet
