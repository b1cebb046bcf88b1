#include "raylet/node/own_load.h"

#include <algorithm>

#include "raylet/scheduling/bundle_resources.h"

namespace raylet {

NodeLoad OwnLoad(const Scheduler& scheduler, const StoreLink& store) {
  NodeLoad load;
  const auto remote = scheduler.WorkByMachine();
  const ResourceSet leased = scheduler.leases().Held();
  for (const auto& line : scheduler.ledger().lines()) {
    int64_t queued_units = 0;
    for (const auto& [node, work] : remote)
      if (const auto queued = work.queued_units.find(line.name); queued != work.queued_units.end())
        AddUnits(queued_units, queued->second);
    load.lines.push_back({line.name, line.total_units, line.free_units, queued_units, leased.units(line.name)});
  }
  for (const auto& [node, work] : remote)
    for (const auto& [name, units] : work.units)
      if (!ParseGroupResource(name)) load.held[node].Accumulate(name, units);
  // What homes have reserved here, whoever uses it. Their view counts it as work of theirs.
  for (const auto& [id, group] : scheduler.bundles().groups())
    for (const auto& [index, reserved] : group.bundles)
      for (const auto& amount : reserved.bundle.resources.amounts())
        load.held[group.home].Accumulate(amount.name, amount.units);
  const StoreLink::Room room = store.room();
  load.store_capacity_bytes = room.capacity_bytes;
  load.store_free_bytes = room.free_bytes;
  load.queued_tasks = scheduler.queue().size() + scheduler.queue().held_tasks() + scheduler.dependencies().tasks();
  load.running_tasks = static_cast<uint64_t>(
      std::count_if(scheduler.workers().begin(), scheduler.workers().end(),
                    [](const auto& worker) { return worker.second.state == Scheduler::WorkerState::kBusy; }));
  return load;
}

}  // namespace raylet
