// SpillTarget: what the flags say about spilling: to which folder, which objects, and how many bytes at most. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"

namespace raylet::store {

enum class SpillWhat {
  kOwned,  // what may not be evicted
  kAll,    // nothing is evicted
};

struct SpillTarget {
  std::string folder;
  SpillWhat what = SpillWhat::kOwned;
  std::string flag;  // which names the folder
  uint64_t bytes_max = 0;
};

// The texts of --spill-dir, -e and --spill-max, each empty where it is not said. Nothing: the store does not spill.
// kInvalid, with what to say instead.
Result<std::optional<SpillTarget>> ReadSpillFlags(const std::string& spill_dir, const std::string& external_store,
                                                  const std::string& spill_max);

}  // namespace raylet::store
