// The machine of this process, as a number: shards tell it, and workers compare it with their own.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include <ray/api/nodes.h>

namespace ray::ps::internal {

// The same in all processes of a machine. Asks the raylet: a call of some time.
inline uint64_t ThisMachine() {
  for (const NodeInfo& node : ray::Nodes())
    if (node.is_this_node) return std::hash<std::string>()(node.id);
  return 0;
}

}  // namespace ray::ps::internal
