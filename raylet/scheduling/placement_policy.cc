#include "raylet/scheduling/placement_policy.h"

#include <algorithm>

namespace raylet {
namespace {

uint64_t BytesAt(const ArgumentBytes& arguments, const NodeId& node) {
  const auto found = arguments.find(node);
  return found == arguments.end() ? 0 : found->second;
}

}  // namespace

double Utilization(const ResourceLedger& ledger, const ResourceSet& needs) {
  double fullest = 0;
  for (const auto& line : ledger.lines()) {
    if (line.total_units <= 0 || (!needs.empty() && needs.units(line.name) == 0)) continue;
    const auto used = static_cast<double>(line.total_units - line.free_units);
    fullest = std::max(fullest, std::clamp(used / static_cast<double>(line.total_units), 0.0, 1.0));
  }
  return fullest;
}

Placement PlacementPolicy::Choose(const ResourceSet& needs, const std::optional<ResourceNeeds>& resolved,
                                  const ResourceLedger& here, const ArgumentBytes& arguments) const {
  const bool fits_here = here.Fits(resolved);
  const double load_here = Utilization(here, needs);
  const ClusterView::Node* best = nullptr;
  double best_load = 0;
  const ClusterView::Node* nearest = nullptr;  // to the arguments
  uint64_t nearest_bytes = BytesAt(arguments, view_.own());
  for (const auto& [id, node] : view_.nodes()) {
    if (!view_.Fits(node, needs)) continue;
    const double load = view_.Utilization(node, needs);
    if (best == nullptr || load < best_load) {
      best = &node;
      best_load = load;
    }
    if (const uint64_t bytes = BytesAt(arguments, id); bytes >= kLargeArgumentBytes && bytes > nearest_bytes) {
      nearest = &node;
      nearest_bytes = bytes;
    }
  }
  if (nearest != nullptr) return {Placement::Where::kThere, nearest->id};
  const bool arguments_are_here = nearest_bytes >= kLargeArgumentBytes;
  if (fits_here && (arguments_are_here || load_here < kHalfFull || best == nullptr || load_here <= best_load))
    return {Placement::Where::kHere, {}};
  if (best != nullptr) return {Placement::Where::kThere, best->id};
  const bool feasible =
      resolved.has_value() || std::any_of(view_.nodes().begin(), view_.nodes().end(),
                                          [&](const auto& each) { return view_.Feasible(each.second, needs); });
  return {feasible ? Placement::Where::kNowhereYet : Placement::Where::kInfeasible, {}};
}

}  // namespace raylet
