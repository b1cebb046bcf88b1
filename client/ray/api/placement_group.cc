#include <ray/api/exceptions.h>
#include <ray/api/placement_group.h>
#include <ray/api/task_options.h>
#include <ray/internal/runtime.h>

#include "base/counted.h"
#include "base/strings.h"

namespace ray {
namespace {

using internal::CurrentRuntime;
using internal::RayException;
using raylet::StrCat;

constexpr size_t kIdBytes = internal::kIdBytes;

PlacementGroup OneOf(std::vector<PlacementGroup> groups) {
  return groups.empty() ? PlacementGroup() : std::move(groups.front());
}

void CheckOptions(const PlacementGroupCreationOptions& options) {
  if (options.bundles.empty()) throw RayException("a placement group needs at least one bundle");
  for (size_t i = 0; i < options.bundles.size(); ++i) {
    if (options.bundles[i].empty()) throw RayException(StrCat("bundle ", i, " of a placement group asks for nothing"));
    internal::CheckTaskOptions(options.bundles[i]);
  }
  switch (options.strategy) {
    case PlacementStrategy::PACK:
    case PlacementStrategy::SPREAD:
    case PlacementStrategy::STRICT_PACK:
    case PlacementStrategy::STRICT_SPREAD: return;
    case PlacementStrategy::UNRECOGNIZED: break;
  }
  throw RayException(StrCat("a placement group has strategy ", static_cast<int>(options.strategy),
                            ", and needs PACK, SPREAD, STRICT_PACK or STRICT_SPREAD"));
}

}  // namespace

bool PlacementGroup::Wait(int timeout_seconds) const {
  if (Empty()) throw RayException("an empty placement group is nothing to wait for");
  return CurrentRuntime().AwaitPlacementGroup(id_, timeout_seconds);
}

PlacementGroup CreatePlacementGroup(const PlacementGroupCreationOptions& options) {
  CheckOptions(options);
  return {CurrentRuntime().CreatePlacementGroup(options), options};
}

void RemovePlacementGroup(const std::string& placement_group_id) {
  if (placement_group_id.size() != kIdBytes)
    throw RayException(
        StrCat("the id of a placement group has ", kIdBytes, " bytes, and this one has ", placement_group_id.size()));
  CurrentRuntime().RemovePlacementGroup(placement_group_id);
}

std::vector<PlacementGroup> GetAllPlacementGroups() { return CurrentRuntime().FindPlacementGroups({}, {}); }

PlacementGroup GetPlacementGroupById(const std::string& id) {
  if (id.size() != kIdBytes) return {};
  return OneOf(CurrentRuntime().FindPlacementGroups(id, {}));
}

PlacementGroup GetPlacementGroup(const std::string& name) {
  if (name.empty()) return {};
  return OneOf(CurrentRuntime().FindPlacementGroups({}, name));
}

namespace internal {

void CheckBundle(const PlacementGroup& group, int bundle_index) {
  const bool known = group.Empty() || group.BundleCount() == 0 ||
                     (bundle_index < 0 || static_cast<size_t>(bundle_index) < group.BundleCount());
  if (bundle_index >= -1 && known) return;
  throw RayException(StrCat("bundle ", bundle_index, " of a placement group with ",
                            raylet::Counted(group.BundleCount(), "bundle"),
                            ": give one of them, from 0, or -1 for any"));
}

}  // namespace internal
}  // namespace ray
