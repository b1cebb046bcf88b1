#include "store/staged_seal.h"

#include <algorithm>

namespace raylet::store {

void StagedSeal::Turn() {
  const auto ended = ended_;  // which may destroy this
  if (!still_there_()) return ended({}, false);
  const uint64_t piece = std::min(kCopiedInATurn, bytes_ - done_);
  auto copied = Staging::Copy(fd_, offset_ + done_, piece, arena_);
  done_ += piece;
  if (copied && done_ < bytes_) return NextTurn();
  ended(std::move(copied), true);
}

}  // namespace raylet::store
