// ArenaReport: the free runs of the arena, how broken up they are, and what stands between them. Pure.
// Always holds: runs are whole pages between objects. A slab's free places are none.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "tools/objstat/snapshot.h"
#include "tools/objstat/text.h"

namespace raylet::objstat {

struct ArenaRun {
  uint64_t offset = 0, bytes = 0;
  const Object* before = nullptr;  // null: the arena's start
  const Object* after = nullptr;   // null: the arena's end
};

struct ArenaReport {
  uint64_t arena_bytes = 0, physical_bytes = 0, waste_bytes = 0, lent_bytes = 0;
  uint64_t free_run_bytes = 0;
  std::vector<ArenaRun> runs;  // the longest first
  // The longest run if all that can be evicted went, and nothing moved.
  uint64_t run_bytes_after_eviction = 0;
  std::string picture;  // one letter for an equal part of the arena each: of what takes most of it; '.' is free
  uint64_t longest() const { return runs.empty() ? 0 : runs.front().bytes; }
};

ArenaReport MakeArenaReport(const Snapshot& snapshot);
std::string ArenaText(const Snapshot& snapshot, const ArenaReport& report, Look look);
nlohmann::json ArenaJson(const ArenaReport& report);

}  // namespace raylet::objstat
