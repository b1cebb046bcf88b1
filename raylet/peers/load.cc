#include "raylet/peers/load.h"

#include <algorithm>

#include "base/strings.h"

namespace raylet {
namespace {

tl::unexpected<Error> LoadMakesNoSense(std::string_view what) {
  return Fail(ErrorCode::kProtocolError, StrCat("a heartbeat tells ", what));
}

}  // namespace

wire::PeerHeartbeatT ToWire(const NodeLoad& load) {
  wire::PeerHeartbeatT heartbeat;
  for (const NodeLoad::Line& line : load.lines) {
    if (heartbeat.lines.size() == kLoadLinesMax) break;
    auto& out = *heartbeat.lines.emplace_back(std::make_unique<wire::PeerResourceLineT>());
    out.name = line.name;
    out.total_units = line.total_units;
    out.free_units = line.free_units;
    out.queued_units = std::min(line.queued_units, kUnitsMax);
    out.leased_units = std::min(line.leased_units, line.total_units);
  }
  heartbeat.queued_tasks = load.queued_tasks;
  heartbeat.running_tasks = load.running_tasks;
  heartbeat.store_capacity_bytes = load.store_capacity_bytes;
  heartbeat.store_free_bytes = load.store_free_bytes;
  for (const auto& [node, resources] : load.held) {
    if (heartbeat.held.size() == kLoadHeldMax) break;
    auto& out = *heartbeat.held.emplace_back(std::make_unique<wire::PeerHeldT>());
    out.node = std::make_unique<wire::Id20>(ToWire(node));
    for (const ResourceSet::Amount& amount : resources.amounts()) {
      auto& resource = *out.resources.emplace_back(std::make_unique<wire::ResourceT>());
      resource.name = amount.name;
      resource.units = amount.units;
    }
  }
  return heartbeat;
}

Result<NodeLoad> FromWire(const wire::PeerHeartbeatT& heartbeat) {
  if (heartbeat.lines.size() > kLoadLinesMax || heartbeat.held.size() > kLoadHeldMax)
    return LoadMakesNoSense("of more resources or nodes than there may be");
  NodeLoad load;
  for (const auto& line : heartbeat.lines) {
    if (line->name.empty() || line->name.size() > kResourceNameBytesMax || line->total_units < 0 ||
        line->total_units > kUnitsMax || line->free_units > line->total_units || line->free_units < -kUnitsMax ||
        line->queued_units < 0 || line->queued_units > kUnitsMax || line->leased_units < 0 ||
        line->leased_units > line->total_units)
      return LoadMakesNoSense("a resource that makes no sense");
    load.lines.push_back({line->name, line->total_units, line->free_units, line->queued_units, line->leased_units});
  }
  load.queued_tasks = heartbeat.queued_tasks;
  load.running_tasks = heartbeat.running_tasks;
  load.store_capacity_bytes = heartbeat.store_capacity_bytes;
  load.store_free_bytes = heartbeat.store_free_bytes;
  for (const auto& held : heartbeat.held) {
    if (held->resources.size() > kLoadLinesMax) return LoadMakesNoSense("of more resources than there may be");
    ResourceSet& resources = load.held[FromWire<NodeId>(*held->node)];
    for (const auto& resource : held->resources) {
      // A sum of many tasks' needs: no request of ours, so only the amount's range counts.
      if (resource->name.empty() || resource->name.size() > kResourceNameBytesMax || resource->units <= 0 ||
          resource->units > kUnitsMax)
        return LoadMakesNoSense("an amount in use that makes no sense");
      resources.Accumulate(resource->name, resource->units);
    }
  }
  return load;
}

}  // namespace raylet
