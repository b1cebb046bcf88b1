// IdlePages: which free pages of the arena nobody has used for a while, and which of them have been given back to the
// machine. Pure. The Arena owns it where --decay asks for it, and does what this decides.
// Always holds: a page that was given back is in no free run until it is reserved again. Pages go back and come back by
// blocks of 1 MiB. So the notes are small and the calls few, and a block with one page in use has all its memory.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "store/page_runs.h"

namespace raylet::store {

class IdlePages {
 public:
  explicit IdlePages(uint64_t arena_bytes);

  // Somebody takes or gives these pages now.
  void Used(uint64_t offset, uint64_t bytes);
  // The blocks of the free runs that nobody has used since the last call, or was in no run then. They are given back
  // now: the caller takes them out of the runs.
  std::vector<PageRuns::Run> GiveBack(const std::map<uint64_t, uint64_t>& free_runs);
  // A piece that was given back and makes room for `bytes`, or all of them in turn where none is long enough. The
  // caller reserves it and adds it to the runs, or says Failed. Nothing: nothing is left.
  std::optional<PageRuns::Run> TakeFor(uint64_t bytes);
  void Failed(const PageRuns::Run& piece) { returned_[piece.offset] = piece.bytes; }
  uint64_t returned_bytes() const;

 private:
  std::vector<bool> used_;                 // by block, since the last GiveBack
  std::map<uint64_t, uint64_t> returned_;  // offset -> bytes
};

}  // namespace raylet::store
