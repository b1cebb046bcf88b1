#include "client/ray/local/local_groups.h"

#include <algorithm>

#include <ray/api/exceptions.h>

#include "base/strings.h"
#include "fbs/ids.h"

namespace raylet::client {
namespace {

using ray::PlacementGroup;
using ray::PlacementGroupState;
using ray::internal::RayException;

PlacementGroup WithState(const PlacementGroup& group, PlacementGroupState state) {
  return {group.GetID(), {group.GetName(), group.GetBundles(), group.GetStrategy()}, state};
}

}  // namespace

std::string LocalGroups::Create(const ray::PlacementGroupCreationOptions& options) {
  const std::string id = PlacementGroupId::FromRandom().binary();
  const MutexLock lock(mutex_);
  const bool taken = !options.name.empty() && std::any_of(groups_.begin(), groups_.end(), [&](const auto& each) {
    return each.second.GetName() == options.name && each.second.GetState() != PlacementGroupState::REMOVED;
  });
  if (taken) throw RayException(StrCat("a placement group named ", options.name, " exists already"));
  groups_.emplace(id, PlacementGroup(id, options, PlacementGroupState::CREATED));
  return id;
}

void LocalGroups::Remove(const std::string& id) {
  const MutexLock lock(mutex_);
  const auto found = groups_.find(id);
  if (found == groups_.end() || found->second.GetState() == PlacementGroupState::REMOVED) return;
  found->second = WithState(found->second, PlacementGroupState::REMOVED);
  removed_.push_back(id);
  if (removed_.size() <= kRemovedKeptMax) return;
  groups_.erase(removed_.front());
  removed_.pop_front();
}

bool LocalGroups::Await(const std::string& id) const {
  CheckUsable(id);
  return true;
}

void LocalGroups::CheckUsable(const std::string& id) const {
  const MutexLock lock(mutex_);
  const auto found = groups_.find(id);
  if (found == groups_.end())
    throw RayException(StrCat("there is no placement group ", PlacementGroupId::FromBinary(id).hex()));
  if (found->second.GetState() == PlacementGroupState::REMOVED)
    throw RayException(StrCat("placement group ", PlacementGroupId::FromBinary(id).hex(), " was removed"));
}

std::vector<PlacementGroup> LocalGroups::Find(const std::string& id, const std::string& name) const {
  std::vector<PlacementGroup> groups;
  const MutexLock lock(mutex_);
  for (const auto& [each, group] : groups_) {
    const bool named = name.empty() || (group.GetName() == name && group.GetState() != PlacementGroupState::REMOVED);
    if ((id.empty() || each == id) && named) groups.push_back(group);
  }
  return groups;
}

}  // namespace raylet::client
