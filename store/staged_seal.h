// StagedSeal: with --isolation=strict, the copy of a large object out of its client's memory, in turns of the loop, so
// that other clients have their turns between. Owned by a ClientSession for the time of one seal; loop thread only.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <utility>

#include "base/loop.h"
#include "base/result.h"
#include "store/object_index.h"
#include "store/staging.h"

namespace raylet::store {

// In one turn. The kernel clears fresh pages at 0.3 to 1 GB/s.
constexpr uint64_t kCopiedInATurn = uint64_t{2} << 20;

// Bytes of an object in the arena, with its metadata.
constexpr uint64_t InArenaBytes(const ObjectIndex::Fields& object) {
  return object.metadata_bytes == 0 ? object.data_bytes : AlignUp(object.data_bytes) + object.metadata_bytes;
}

class StagedSeal {
 public:
  // `fd` has the client's memory. `still_there`: the object is unsealed, at the same offset. Its owner may end
  // meanwhile, and the object with it. `ended` runs once, with `there` when all of it was copied, and may destroy this.
  StagedSeal(Loop& loop, int fd, const ObjectIndex::Fields& object, std::byte* arena, std::function<bool()> still_there,
             std::function<void(Result<void> copied, bool there)> ended)
      : loop_(loop),
        fd_(fd),
        offset_(object.offset),
        bytes_(InArenaBytes(object)),
        arena_(arena),
        still_there_(std::move(still_there)),
        ended_(std::move(ended)) {
    NextTurn();
  }

 private:
  void NextTurn() {
    // A millisecond, which the last piece has taken: libuv runs a timer without delay again in the same turn.
    turn_ = Timer(loop_, std::chrono::milliseconds(1), {}, [this] { Turn(); });
  }
  void Turn();

  Loop& loop_;
  const int fd_;
  const uint64_t offset_, bytes_;
  std::byte* const arena_;
  const std::function<bool()> still_there_;
  const std::function<void(Result<void>, bool)> ended_;
  uint64_t done_ = 0;
  Timer turn_;
};

}  // namespace raylet::store
