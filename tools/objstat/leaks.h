// Leaks: memory that nobody seems to need, and who keeps it. Pure. A suspicion, for a person to judge.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "tools/objstat/snapshot.h"
#include "tools/objstat/text.h"

namespace raylet::objstat {

enum class LeakKind {
  kUnsealed,   // begun long ago, and not sealed
  kDeleted,    // deleted, and held since
  kStopped,    // held or written by a stopped process
  kEnded,      // of a client whose process has ended, and which the store still counts
  kInherited,  // owned objects whose creator has ended
};
const char* LeakName(LeakKind kind);

struct Leak {
  LeakKind kind{};
  const Object* object = nullptr;
  uint32_t client = 0;  // that keeps the object; 0: nobody known
};

// Of objects that are at least `older_ms` old. The largest first, each once for each client that keeps it.
std::vector<Leak> FindLeaks(const Snapshot& snapshot, uint64_t older_ms);

std::string LeaksText(const Snapshot& snapshot, const std::vector<Leak>& leaks, uint64_t older_ms, Look look);
nlohmann::json LeaksJson(const Snapshot& snapshot, const std::vector<Leak>& leaks);

}  // namespace raylet::objstat
