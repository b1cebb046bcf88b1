// The snapshot as JSON, for programs. Pure.
#pragma once

#include <string>

#include "tools/objstat/snapshot.h"

namespace raylet::objstat {

std::string DefaultJson(const Snapshot& snapshot);
std::string ObjectsJson(const Snapshot& snapshot);
std::string ClientsJson(const Snapshot& snapshot);

}  // namespace raylet::objstat
