// DeadFiles: spill files whose objects have all gone. A file that is written anew takes the place of one of them: a
// write over blocks and cached pages that are there costs half of a write to a new file or less. Pure. The Spiller owns
// it; loop thread only. Always holds: at most kDeadFilesMax files of kDeadBytesMax bytes, none for longer than
// kDeadFileKept.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

#include "base/clock.h"

namespace raylet::store {

constexpr size_t kDeadFilesMax = 1024;
constexpr uint64_t kDeadBytesMax = uint64_t{1} << 30;
constexpr std::chrono::seconds kDeadFileKept{5};

class DeadFiles {
 public:
  void Add(uint64_t file, uint64_t bytes, TimePoint now);
  // A file of `bytes` is to be written. The dead files that it replaces: the one first whose size fits, if any, and
  // others until at most `left_bytes_max` are left.
  std::vector<uint64_t> Replace(uint64_t bytes, uint64_t left_bytes_max);
  // Those that have been here for too long or are too many. They are to be removed.
  std::vector<uint64_t> TakeSurplus(TimePoint now);
  std::vector<uint64_t> TakeAll();
  uint64_t bytes() const { return bytes_; }
  bool Empty() const { return files_.empty(); }

 private:
  struct File {
    uint64_t number = 0;
    uint64_t bytes = 0;
    TimePoint since;
  };
  uint64_t Take(std::deque<File>::iterator file);

  std::deque<File> files_;  // the oldest first
  uint64_t bytes_ = 0;
};

}  // namespace raylet::store
