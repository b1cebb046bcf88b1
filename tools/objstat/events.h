// The store's last events in words and as JSON. Pure.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "tools/objstat/snapshot.h"
#include "tools/objstat/text.h"

namespace raylet::objstat {

const char* EventName(EventKind kind);
std::string EventSentence(const Event& event);
// The last one of this kind; null: none of those that the store remembers.
const Happened* LastEvent(const Snapshot& snapshot, EventKind kind);

std::string EventsText(const Snapshot& snapshot, size_t most,
                       Look look);  // the youngest `most`, the oldest of them first
nlohmann::json EventJson(const Happened& happened);
nlohmann::json EventsJson(const Snapshot& snapshot, size_t most);

}  // namespace raylet::objstat
