// Rates: how fast a store works, from two snapshots of it, and the clients that keep or make the most. Pure.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "tools/objstat/snapshot.h"
#include "tools/objstat/text.h"

namespace raylet::objstat {

// Each second.
struct Rates {
  uint64_t over_ms = 0;
  double creates = 0, seals = 0, deletes = 0, evictions = 0, evicted_bytes = 0, full_failures = 0;
  double spilled_bytes = 0, restored_bytes = 0;
};
// Without an earlier snapshot, or after a restart of the store: since its start.
Rates RatesBetween(const Snapshot* earlier, const Snapshot& now);
std::string RatesText(const Rates& rates);  // one line
nlohmann::json RatesJson(const Rates& rates);

struct TopRow {
  const Client* client = nullptr;
  uint64_t kept_bytes = 0;                // pinned, owned and unsealed; an object may count twice
  double creates = 0, created_bytes = 0;  // each second
};
// The clients that keep the most come first.
std::vector<TopRow> TopClients(const Snapshot* earlier, const Snapshot& now);
std::string TopText(const Snapshot* earlier, const Snapshot& now, size_t most, Look look);
nlohmann::json TopJson(const Snapshot* earlier, const Snapshot& now, size_t most);

}  // namespace raylet::objstat
