// Doctor: looks for what goes wrong with stores, and says what helps. Pure, but for Examine, which asks the kernel.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "tools/objstat/processes.h"
#include "tools/objstat/snapshot.h"
#include "tools/objstat/text.h"
#include "tools/objstat/verify.h"

namespace raylet::objstat {

enum class Health { kFine, kWarning, kFault };

struct Check {
  const char* name = "";
  Health health = Health::kFine;
  std::string finding;  // one sentence
  std::string remedy;   // empty: nothing needs doing
};

// All that the checks need.
struct Examined {
  Snapshot snapshot;
  Verification verification;
  std::optional<DescriptorUse> descriptors;     // of the daemon; nothing where it is dead
  std::optional<uint64_t> shared_memory_bytes;  // free in /dev/shm
};

Examined Examine(const OpenIndex& open);
std::vector<Check> Diagnose(const Examined& examined);

std::string DoctorText(const std::vector<Check>& checks, Look look);
nlohmann::json DoctorJson(const std::vector<Check>& checks);

}  // namespace raylet::objstat
