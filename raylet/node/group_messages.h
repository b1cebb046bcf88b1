// Placement groups in messages: to the directory's records and back. Pure. What comes from outside is checked here.
#pragma once

#include <memory>
#include <vector>

#include "base/result.h"
#include "fbs/messages.h"
#include "raylet/groups/group_directory.h"

namespace raylet {

wire::PlacementGroupT ToWire(const PlacementGroup& group);

// A group as its home tells of it. kProtocolError: it makes no sense.
Result<PlacementGroup> FromWire(const wire::PlacementGroupT& message);

// A group that a process wants. kProtocolError: the message makes no sense. `sound` is kInvalid, with a sentence, where
// the request does not; the group then has no bundles.
struct WantedGroup {
  PlacementGroup group;
  Result<void> sound;
};
Result<WantedGroup> ParseWantedGroup(const wire::PlacementGroupT& message);

std::vector<std::unique_ptr<wire::BundleT>> ToWire(const std::vector<Bundle>& bundles);
Result<std::vector<Bundle>> FromWire(const std::vector<std::unique_ptr<wire::BundleT>>& bundles);  // kProtocolError

// As many of the groups as one message takes: those that are not removed first.
std::vector<std::unique_ptr<wire::PlacementGroupT>> ToWire(std::vector<const PlacementGroup*> groups);

// kProtocolError: nil.
Result<PlacementGroupId> CheckGroupId(const wire::Id20* id);

}  // namespace raylet
