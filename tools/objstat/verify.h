// Verify: reads the whole index, and says where it breaks its own rules. It reads shared memory only.
// Always holds: a finding was seen between two changes of the store, or in every one of several looks.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "tools/objstat/snapshot.h"
#include "tools/objstat/text.h"

namespace raylet::objstat {

struct Verification {
  bool consistent = false;  // one look saw no change under it
  uint64_t looks = 0, objects = 0, chains = 0;
  std::vector<std::string> findings;
};

Verification Verify(const OpenIndex& open);

std::string VerifyText(const Verification& verification, Look look);
nlohmann::json VerifyJson(const Verification& verification);

}  // namespace raylet::objstat
