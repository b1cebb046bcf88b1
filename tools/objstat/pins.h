// Pins: who holds which object. Pure.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "tools/objstat/snapshot.h"
#include "tools/objstat/text.h"

namespace raylet::objstat {

// One object that one client holds.
struct Pin {
  const Object* object = nullptr;
  const Client* client = nullptr;
  // The longest that the pin can be there: since the object's create, and the client's Hello.
  uint64_t held_at_most_ms = 0;
};

// The largest objects first. Leaves out pins that are younger than `older_ms` for certain.
std::vector<Pin> PinsOf(const Snapshot& snapshot, uint64_t older_ms);

std::string PinsText(const Snapshot& snapshot, const std::vector<Pin>& pins, Look look);
nlohmann::json PinsJson(const std::vector<Pin>& pins);

}  // namespace raylet::objstat
