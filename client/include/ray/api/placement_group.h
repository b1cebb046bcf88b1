// Placement groups: resources that the cluster reserves together, in bundles, before any task or actor uses them. Tasks
// and actors run in a bundle with SetPlacementGroup.
#pragma once

#include <ray/internal/abi.h>

#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include <ray/internal/export.h>

namespace ray {

enum class PlacementStrategy {
  PACK = 0,           // on as few machines as possible
  SPREAD = 1,         // on as many as possible
  STRICT_PACK = 2,    // on one machine
  STRICT_SPREAD = 3,  // each on a machine of its own
  UNRECOGNIZED = -1,
};

enum PlacementGroupState {
  PENDING = 0,       // its resources are not free yet, or no machine has them
  PREPARED = 1,      // reserved, and about to be created
  CREATED = 2,       // tasks and actors run in it
  REMOVED = 3,       // by RemovePlacementGroup, or with its job
  RESCHEDULING = 4,  // a machine with some of its bundles is lost, and others are sought
  UNRECOGNIZED = -1,
};

struct PlacementGroupCreationOptions {
  std::string name;                                              // unique in the program's namespace; may be empty
  std::vector<std::unordered_map<std::string, double>> bundles;  // each reserved as a whole on one machine
  PlacementStrategy strategy;
};

// A value: what one call has told about a group. Copies refer to the same group.
class PlacementGroup {
 public:
  PlacementGroup() = default;
  PlacementGroup(std::string id, PlacementGroupCreationOptions options,
                 PlacementGroupState state = PlacementGroupState::UNRECOGNIZED)
      : id_(std::move(id)), options_(std::move(options)), state_(state) {}

  std::string GetID() const { return id_; }  // 20 bytes
  std::string GetName() const { return options_.name; }
  std::vector<std::unordered_map<std::string, double>> GetBundles() const { return options_.bundles; }
  // When GetPlacementGroup and its like returned; UNRECOGNIZED from CreatePlacementGroup, which does not wait.
  PlacementGroupState GetState() const { return state_; }
  PlacementStrategy GetStrategy() const { return options_.strategy; }
  // Whether the group is created within so many seconds. Throws RayException where it was removed.
  RAYLET_API bool Wait(int timeout_seconds) const;
  bool Empty() const { return id_.empty(); }
  size_t BundleCount() const { return options_.bundles.size(); }

 private:
  std::string id_;
  PlacementGroupCreationOptions options_{{}, {}, PlacementStrategy::UNRECOGNIZED};
  PlacementGroupState state_ = PlacementGroupState::UNRECOGNIZED;
};

// Never waits for resources. Throws RayException where a group of this name exists, or where the options make no sense.
// The group ends with the program's job, or with RemovePlacementGroup.
RAYLET_API PlacementGroup CreatePlacementGroup(const PlacementGroupCreationOptions& options);
// Ends the tasks and actors that run in it, and gives its resources back. Does nothing where it was removed before.
RAYLET_API void RemovePlacementGroup(const std::string& placement_group_id);
// Those of the whole cluster, and the last ones that were removed.
RAYLET_API std::vector<PlacementGroup> GetAllPlacementGroups();
// Empty where there is none.
RAYLET_API PlacementGroup GetPlacementGroupById(const std::string& id);
RAYLET_API PlacementGroup GetPlacementGroup(const std::string& name);  // in the program's namespace

namespace internal {

// Throws RayException where the group has no such bundle.
RAYLET_API void CheckBundle(const PlacementGroup& group, int bundle_index);

}  // namespace internal
}  // namespace ray
