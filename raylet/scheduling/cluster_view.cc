#include "raylet/scheduling/cluster_view.h"

#include <algorithm>
#include <utility>

#include "raylet/scheduling/bundle_resources.h"

namespace raylet {
namespace {

const NodeLoad::Line* FindLine(const NodeLoad& load, std::string_view name) {
  const auto found = std::find_if(load.lines.begin(), load.lines.end(),
                                  [name](const NodeLoad::Line& line) { return line.name == name; });
  return found == load.lines.end() ? nullptr : &*found;
}

bool Usable(const ClusterView::Node& node) { return node.state == NodeState::kUp && !node.load.lines.empty(); }

}  // namespace

void ClusterView::Up(const NodeId& id, uint64_t epoch, MachineNumber machine, std::string address, TimePoint now) {
  if (id == own_) return;
  Node& node = nodes_[id];
  if (node.epoch != epoch) {
    by_machine_.erase(node.machine);
    node = Node();
  }
  node.id = id;
  node.epoch = epoch;
  node.machine = machine;
  node.address = std::move(address);
  node.state = NodeState::kUp;
  node.why_dead.clear();
  node.heard = now;
  by_machine_[machine] = id;
}

void ClusterView::Heard(const NodeId& id, NodeLoad load, TimePoint now) {
  const auto found = nodes_.find(id);
  if (found == nodes_.end() || found->second.state == NodeState::kDead) return;
  found->second.state = NodeState::kUp;
  found->second.heard = now;
  found->second.load = std::move(load);
}

void ClusterView::Silent(const NodeId& id) {
  const auto found = nodes_.find(id);
  if (found != nodes_.end() && found->second.state == NodeState::kUp) found->second.state = NodeState::kSilent;
}

void ClusterView::Dead(const NodeId& id, std::string why) {
  const auto found = nodes_.find(id);
  if (found == nodes_.end()) return;
  found->second.state = NodeState::kDead;
  found->second.why_dead = std::move(why);
  found->second.in_flight = {};
  found->second.groups.clear();
  found->second.in_flight_tasks = 0;
}

void ClusterView::Sent(const NodeId& id, const ResourceSet& needs) {
  Reserve(id, needs);
  const auto found = nodes_.find(id);
  if (found != nodes_.end() && found->second.state != NodeState::kDead) ++found->second.in_flight_tasks;
}

void ClusterView::Ended(const NodeId& id, const ResourceSet& needs) {
  const auto found = nodes_.find(id);
  if (found == nodes_.end() || found->second.in_flight_tasks == 0) return;
  Unreserve(id, needs);
  --found->second.in_flight_tasks;
}

void ClusterView::Reserve(const NodeId& id, const ResourceSet& resources) {
  const auto found = nodes_.find(id);
  if (found == nodes_.end() || found->second.state == NodeState::kDead) return;
  for (const auto& amount : resources.amounts()) found->second.in_flight.Accumulate(amount.name, amount.units);
}

void ClusterView::Unreserve(const NodeId& id, const ResourceSet& resources) {
  const auto found = nodes_.find(id);
  if (found == nodes_.end()) return;
  for (const auto& amount : resources.amounts()) found->second.in_flight.Deduct(amount.name, amount.units);
}

void ClusterView::SetGroup(const NodeId& id, const PlacementGroupId& group, ResourceSet resources) {
  const auto found = nodes_.find(id);
  if (found == nodes_.end() || found->second.state == NodeState::kDead) return;
  if (resources.empty())
    found->second.groups.erase(group);
  else
    found->second.groups[group] = std::move(resources);
}

void ClusterView::DropGroup(const PlacementGroupId& group) {
  for (auto& [id, node] : nodes_) node.groups.erase(group);
}

const ClusterView::Node* ClusterView::Find(const NodeId& id) const {
  const auto found = nodes_.find(id);
  return found == nodes_.end() ? nullptr : &found->second;
}

const ClusterView::Node* ClusterView::NodeOf(ProcessId process) const {
  const auto found = by_machine_.find(MachineOf(process));
  return found == by_machine_.end() ? nullptr : Find(found->second);
}

bool ClusterView::Usable(const NodeId& id) const {
  const Node* const node = Find(id);
  return node != nullptr && raylet::Usable(*node);
}

bool ClusterView::AnyUsable() const {
  return std::any_of(nodes_.begin(), nodes_.end(), [](const auto& node) { return raylet::Usable(node.second); });
}

int64_t ClusterView::FreeAt(const Node& node, const std::string& name, const Amounts& amounts) const {
  int64_t free = amounts.free_units;
  // The report counts our work of that moment. The view counts our present work instead.
  if (const auto held = node.load.held.find(own_); held != node.load.held.end()) free += held->second.units(name);
  return std::min(free - node.in_flight.units(name), amounts.total_units);
}

std::optional<ClusterView::Amounts> ClusterView::AmountsOf(const Node& node, const std::string& name) const {
  // Tasks that wait there go first.
  if (const NodeLoad::Line* const line = FindLine(node.load, name))
    return Amounts{line->total_units, line->free_units - line->queued_units};
  if (node.groups.empty()) return std::nullopt;
  const auto parsed = ParseGroupResource(name);
  const auto group = parsed ? node.groups.find(parsed->group) : node.groups.end();
  const int64_t units = group == node.groups.end() ? 0 : group->second.units(name);
  return units == 0 ? std::nullopt : std::optional(Amounts{units, units});
}

bool ClusterView::Feasible(const Node& node, const ResourceSet& needs) const {
  if (node.state == NodeState::kDead || node.load.lines.empty()) return false;
  return std::all_of(needs.amounts().begin(), needs.amounts().end(), [&](const ResourceSet::Amount& amount) {
    const auto has = AmountsOf(node, amount.name);
    return has && has->total_units >= amount.units;
  });
}

bool ClusterView::Fits(const Node& node, const ResourceSet& needs) const {
  if (node.state != NodeState::kUp || node.in_flight_tasks >= kInFlightPerNodeMax || node.load.lines.empty())
    return false;
  return std::all_of(needs.amounts().begin(), needs.amounts().end(), [&](const ResourceSet::Amount& amount) {
    const auto has = AmountsOf(node, amount.name);
    return has && FreeAt(node, amount.name, *has) >= amount.units;
  });
}

std::map<std::string, int64_t> ClusterView::FreeOf(const Node& node) const {
  std::map<std::string, int64_t> free;
  for (const NodeLoad::Line& line : node.load.lines)
    free[line.name] = FreeAt(node, line.name, {line.total_units, line.free_units - line.queued_units});
  return free;
}

double ClusterView::Utilization(const Node& node, const ResourceSet& needs) const {
  double fullest = 0;
  const auto count = [&](const NodeLoad::Line& line) {
    if (line.total_units <= 0) return;
    const auto used = static_cast<double>(
        line.total_units - FreeAt(node, line.name, {line.total_units, line.free_units - line.queued_units}));
    fullest = std::max(fullest, std::clamp(used / static_cast<double>(line.total_units), 0.0, 1.0));
  };
  if (needs.empty()) std::for_each(node.load.lines.begin(), node.load.lines.end(), count);
  for (const auto& amount : needs.amounts())
    if (const NodeLoad::Line* const line = FindLine(node.load, amount.name)) count(*line);
  return fullest;
}

}  // namespace raylet
