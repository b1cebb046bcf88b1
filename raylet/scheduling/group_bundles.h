// GroupBundles: the bundles of placement groups that this machine has reserved, for homes here and on other machines. A
// bundle is prepared, which takes its resources from the machine, and then committed, which gives them to the tasks of
// the group. Pure; the raylet's loop thread. Always holds: what bundles have taken is what the machine lacks for them.
// A closed group gives its resources back once no worker holds any of them.
#pragma once

#include <map>
#include <vector>

#include "raylet/scheduling/bundle_resources.h"
#include "raylet/scheduling/resources.h"

namespace raylet {

class GroupBundles {
 public:
  static constexpr size_t kBundlesPerMachineMax = 10'000;

  explicit GroupBundles(ResourceLedger& ledger) : ledger_(ledger) {}  // outlives this

  // Takes what all of these need, or nothing. The same attempt again has the same answer. An older one has none of its
  // bundles here any more.
  bool Prepare(const PlacementGroupId& group, uint64_t attempt, const NodeId& home, const std::vector<Bundle>& bundles);
  // False: there is no such attempt, because it was cancelled or the group is closed.
  bool Commit(const PlacementGroupId& group, uint64_t attempt);
  // Gives back what the attempt has prepared, unless it was committed.
  void Cancel(const PlacementGroupId& group, uint64_t attempt);
  // No task begins in it any more.
  void Close(const PlacementGroupId& group);
  void Collect();  // gives back what closed groups do not use any more

  struct Reserved {
    Bundle bundle;
    ResourceNeeds needs;  // of the machine
    uint64_t attempt = 0;
    bool committed = false;
  };
  struct Group {
    NodeId home;
    bool closed = false;
    uint64_t attempt = 0;                  // the last one
    std::map<uint32_t, Reserved> bundles;  // by index
  };
  const std::map<PlacementGroupId, Group>& groups() const { return groups_; }
  bool Has(const PlacementGroupId& group) const { return groups_.contains(group); }
  std::vector<PlacementGroupId> OfHome(const NodeId& home) const;

 private:
  void GiveBack(std::map<uint32_t, Reserved>& bundles, std::map<uint32_t, Reserved>::iterator& at);

  ResourceLedger& ledger_;
  std::map<PlacementGroupId, Group> groups_;  // with at least one bundle
  size_t bundles_ = 0;
  size_t closed_ = 0;  // of groups_
};

}  // namespace raylet
