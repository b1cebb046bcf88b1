// A node's load as it travels in heartbeats. Pure. It bounds the load of another raylet: the number
// of resources, and their names. Amounts that make no sense are an error.
#pragma once

#include "base/result.h"
#include "fbs/messages.h"
#include "raylet/scheduling/cluster_view.h"

namespace raylet {

constexpr size_t kLoadLinesMax = 1024;  // resources of a node
constexpr size_t kLoadHeldMax = 4096;   // nodes whose work it runs

wire::PeerHeartbeatT ToWire(const NodeLoad& load);
Result<NodeLoad> FromWire(const wire::PeerHeartbeatT& heartbeat);  // kProtocolError

}  // namespace raylet
