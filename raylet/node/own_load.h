// OwnLoad: what this machine says of itself in its heartbeats. Loop thread only. Pure.
#pragma once

#include "raylet/objects/store_link.h"
#include "raylet/scheduling/cluster_view.h"
#include "raylet/scheduling/scheduler.h"

namespace raylet {

NodeLoad OwnLoad(const Scheduler& scheduler, const StoreLink& store);

}  // namespace raylet
