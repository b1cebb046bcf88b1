// The resources of placement groups. A bundle that a machine has reserved adds resources to the machine, as in Ray: of
// each resource one for the bundle and one for all bundles of the group there. A task in a group asks for these instead
// of the machine's own. Each bundle also has a resource by which tasks that ask for nothing find its machine. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "fbs/ids.h"
#include "raylet/scheduling/resources.h"

namespace raylet {

constexpr int32_t kAnyBundle = -1;
constexpr size_t kBundlesMax = 1000;  // of one group
// Of a resource in a bundle or of a task in a group: the whole name has kResourceNameBytesMax at most.
constexpr size_t kBundleResourceNameBytesMax = 180;
constexpr int64_t kBundleUnits = 1'000 * kUnitsPerWhole;  // of each bundle's own resource
constexpr int64_t kBundleUnitsOfTask = 10;

struct Bundle {
  uint32_t index = 0;  // within its group
  ResourceSet resources;
  friend bool operator==(const Bundle&, const Bundle&) = default;
};

// What the bundle adds to its machine. The amounts of the group as a whole are sums over its bundles there.
ResourceSet ResourcesOf(const PlacementGroupId& group, const Bundle& bundle);

// What a task that asks for `request` in this bundle asks its machine for.
ResourceSet WithinGroup(const ResourceSet& request, const PlacementGroupId& group, int32_t bundle);

// The parts of such a resource's name.
struct GroupResource {
  std::string_view base;  // empty: the bundle's own resource
  PlacementGroupId group;
  int32_t bundle = kAnyBundle;
};
// Nothing where the resource is of no placement group.
std::optional<GroupResource> ParseGroupResource(std::string_view name);

// "CPU 1 in bundle 0 of placement group 0123…" where it is a request within a group; otherwise as ToString.
std::string DescribeRequest(const ResourceSet& request);

// kInvalid, with a sentence: a name that only a placement group may have, or that is too long within one.
Result<void> CheckBundleResource(std::string_view name);

}  // namespace raylet
