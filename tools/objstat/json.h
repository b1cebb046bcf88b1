// The snapshot as JSON, for programs: docs/objstat.md explains each field. Pure.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "tools/objstat/rates.h"
#include "tools/objstat/snapshot.h"

namespace raylet::objstat {

nlohmann::json DefaultJson(const Snapshot& snapshot, const Rates& rates);
nlohmann::json ObjectJson(const Object& object);
nlohmann::json ObjectsJson(const std::vector<const Object*>& objects);
nlohmann::json ClientsJson(const Snapshot& snapshot);

// One line, or several for people. Bytes that are no UTF-8 become U+FFFD, for names come from other processes.
std::string JsonText(const nlohmann::json& value, bool one_line);

}  // namespace raylet::objstat
