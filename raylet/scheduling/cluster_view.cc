#include "raylet/scheduling/cluster_view.h"

#include <algorithm>

namespace raylet {
namespace {

const NodeLoad::Line* FindLine(const NodeLoad& load, std::string_view name) {
  const auto found = std::find_if(load.lines.begin(), load.lines.end(),
                                  [name](const NodeLoad::Line& line) { return line.name == name; });
  return found == load.lines.end() ? nullptr : &*found;
}

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
  found->second.in_flight_units.clear();
  found->second.in_flight_tasks = 0;
}

void ClusterView::Sent(const NodeId& id, const ResourceSet& needs) {
  const auto found = nodes_.find(id);
  if (found == nodes_.end() || found->second.state == NodeState::kDead) return;
  for (const auto& amount : needs.amounts()) AddUnits(found->second.in_flight_units[amount.name], amount.units);
  ++found->second.in_flight_tasks;
}

void ClusterView::Ended(const NodeId& id, const ResourceSet& needs) {
  const auto found = nodes_.find(id);
  if (found == nodes_.end() || found->second.in_flight_tasks == 0) return;
  for (const auto& amount : needs.amounts()) {
    int64_t& units = found->second.in_flight_units[amount.name];
    units = std::max<int64_t>(0, units - amount.units);
  }
  --found->second.in_flight_tasks;
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
  return node != nullptr && node->state == NodeState::kUp && !node->load.lines.empty();
}

bool ClusterView::AnyUsable() const {
  return std::any_of(nodes_.begin(), nodes_.end(), [this](const auto& node) { return Usable(node.first); });
}

int64_t ClusterView::FreeAt(const Node& node, const NodeLoad::Line& line) const {
  int64_t free = line.free_units - line.queued_units;  // tasks that wait there go first
  // The report counts our work of that moment. The view counts our present work instead.
  if (const auto held = node.load.held.find(own_); held != node.load.held.end()) free += held->second.units(line.name);
  if (const auto ours = node.in_flight_units.find(line.name); ours != node.in_flight_units.end()) free -= ours->second;
  return std::min(free, line.total_units);
}

bool ClusterView::Feasible(const Node& node, const ResourceSet& needs) const {
  if (node.state == NodeState::kDead || node.load.lines.empty()) return false;
  return std::all_of(needs.amounts().begin(), needs.amounts().end(), [&](const ResourceSet::Amount& amount) {
    const NodeLoad::Line* const line = FindLine(node.load, amount.name);
    return line != nullptr && line->total_units >= amount.units;
  });
}

bool ClusterView::Fits(const Node& node, const ResourceSet& needs) const {
  if (node.state != NodeState::kUp || node.in_flight_tasks >= kInFlightPerNodeMax || !Feasible(node, needs))
    return false;
  return std::all_of(needs.amounts().begin(), needs.amounts().end(), [&](const ResourceSet::Amount& amount) {
    return FreeAt(node, *FindLine(node.load, amount.name)) >= amount.units;
  });
}

double ClusterView::Utilization(const Node& node, const ResourceSet& needs) const {
  double fullest = 0;
  for (const NodeLoad::Line& line : node.load.lines) {
    if (line.total_units <= 0 || (!needs.empty() && needs.units(line.name) == 0)) continue;
    const auto used = static_cast<double>(line.total_units - FreeAt(node, line));
    fullest = std::max(fullest, std::clamp(used / static_cast<double>(line.total_units), 0.0, 1.0));
  }
  return fullest;
}

}  // namespace raylet
