// The version of a shard, in memory that processes of its machine map. So they see without a call that a version is
// unchanged. VersionCell is the shard's end: its only writer. ReadCell is a reader's end. The memory has no name and
// goes with the last process that has it. A ReadCell outlives the shard. So a reader asks now and then all the same.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>

#include <ray/api/msgpack.h>

namespace ray::ps::internal {

// How readers find the memory: a descriptor of the shard's process. `mark` is a random number that is in the memory.
struct CellPlace {
  int64_t pid = 0;
  int fd = -1;  // there is none
  uint64_t mark = 0;
  MSGPACK_DEFINE(pid, fd, mark)
};

struct CellMemory;

class VersionCell {
 public:
  VersionCell();  // without memory where the system gives none
  ~VersionCell();
  VersionCell(const VersionCell&) = delete;
  VersionCell& operator=(const VersionCell&) = delete;

  void Set(uint64_t version);
  const CellPlace& place() const { return place_; }

 private:
  CellPlace place_;
  CellMemory* memory_ = nullptr;
};

// Thread-safe.
class ReadCell {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;
  // After this time without a call, a reader makes one. So it hears of a shard that died, and of a deadline.
  static constexpr std::chrono::milliseconds kTrusted{50};

  // The cell at this place; each thread keeps those that it has mapped. Null where it cannot be mapped: the shard is on
  // another machine, or belongs to another user.
  static std::shared_ptr<const ReadCell> At(const CellPlace& place);
  ReadCell(const ReadCell&) = delete;
  ReadCell& operator=(const ReadCell&) = delete;
  ~ReadCell();

  // True: the shard had this version a moment ago.
  bool StillAt(uint64_t version, TimePoint now) const;
  void Asked(TimePoint now) const { asked_.store(now.time_since_epoch().count(), std::memory_order_relaxed); }

 private:
  explicit ReadCell(const CellMemory* memory) : memory_(memory) {}
  static std::shared_ptr<const ReadCell> Map(const CellPlace& place);

  const CellMemory* const memory_;
  // When a call last had an answer. It orders nothing: a reader that sees an older time asks once more.
  mutable std::atomic<TimePoint::rep> asked_{0};
};

}  // namespace ray::ps::internal
