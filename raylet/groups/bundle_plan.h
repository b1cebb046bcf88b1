// PlanBundles: which machine gets which bundle of a placement group. Pure. The plan is exact for groups and clusters of
// a usual size: it tries machine after machine for each bundle, and goes back where that ends nowhere. A bound on the
// tries keeps large ones short; then a group may wait although a plan exists.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "fbs/ids.h"
#include "fbs/messages.h"
#include "raylet/scheduling/bundle_resources.h"

namespace raylet {

struct BundleSpace {
  NodeId node;
  std::map<std::string, int64_t> free;  // units by resource
  size_t taken = 0;                     // bundles that the group has there already
};

// For each bundle the index of its space; nothing where they do not fit. Spaces that come first are preferred.
std::optional<std::vector<size_t>> PlanBundles(wire::PlacementStrategy strategy, const std::vector<Bundle>& bundles,
                                               const std::vector<BundleSpace>& spaces);

}  // namespace raylet
