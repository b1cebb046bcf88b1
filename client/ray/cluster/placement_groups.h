// PlacementGroups: what this process asks its raylet about placement groups. Owned by ClusterRuntime; any thread. The
// raylet decides; nothing about a group is kept here.
#pragma once

#include <string>
#include <vector>

#include <ray/api/placement_group.h>

#include "client/ray/cluster/raylet_link.h"
#include "client/ray/cluster/reply_pump.h"

namespace raylet::client {

class PlacementGroups {
 public:
  // Both outlive this.
  PlacementGroups(RayletLink& link, ReplyPump& pump) : link_(link), pump_(pump) {}

  // All throw RayException.
  std::string Create(const ray::PlacementGroupCreationOptions& options);  // its id
  void Remove(const std::string& id);
  bool Await(const std::string& id, int timeout_seconds);
  // That of the id, that of the name, or all.
  std::vector<ray::PlacementGroup> Find(const std::string& id, const std::string& name);

 private:
  RayletLink& link_;
  ReplyPump& pump_;
};

}  // namespace raylet::client
