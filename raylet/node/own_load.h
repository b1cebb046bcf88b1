// OwnLoad: this machine's load, as its heartbeats carry it. Loop thread only. Pure.
#pragma once

#include "raylet/objects/store_link.h"
#include "raylet/scheduling/cluster_view.h"
#include "raylet/scheduling/scheduler.h"

namespace raylet {

NodeLoad OwnLoad(const Scheduler& scheduler, const StoreLink& store);

}  // namespace raylet
