#include "raylet/scheduling/group_bundles.h"

#include <algorithm>
#include <utility>

namespace raylet {

bool GroupBundles::Prepare(const PlacementGroupId& id, uint64_t attempt, const NodeId& home,
                           const std::vector<Bundle>& bundles) {
  if (bundles.empty() || bundles_ + bundles.size() > kBundlesPerMachineMax) return false;
  const auto [entry, is_new] = groups_.try_emplace(id);
  Group& group = entry->second;
  const bool again = !is_new && group.attempt == attempt;
  if (again && std::all_of(bundles.begin(), bundles.end(), [&](const Bundle& bundle) {
        const auto found = group.bundles.find(bundle.index);
        return found != group.bundles.end() && found->second.attempt == attempt && found->second.bundle == bundle;
      }))
    return true;
  std::vector<Reserved> taken;
  bool fits = !group.closed && (is_new || attempt > group.attempt);
  for (const Bundle& bundle : bundles) {
    if (!fits) break;
    const auto needs = ledger_.ResolveAmounts(bundle.resources);
    fits = !group.bundles.contains(bundle.index) && ledger_.Fits(needs);
    if (!fits) break;
    ledger_.Take(*needs);
    taken.push_back({bundle, *needs, attempt, false});
  }
  if (!fits) {
    for (const Reserved& each : taken) ledger_.Give(each.needs);
    if (is_new) groups_.erase(entry);
    return false;
  }
  group.home = home;
  group.attempt = attempt;
  for (Reserved& each : taken) {
    const uint32_t index = each.bundle.index;
    group.bundles.emplace(index, std::move(each));
  }
  bundles_ += taken.size();
  return true;
}

bool GroupBundles::Commit(const PlacementGroupId& id, uint64_t attempt) {
  const auto found = groups_.find(id);
  if (found == groups_.end() || found->second.closed) return false;
  bool any = false;
  for (auto& [index, reserved] : found->second.bundles) {
    if (reserved.attempt != attempt) continue;
    any = true;
    if (std::exchange(reserved.committed, true)) continue;
    ledger_.AddToGroup(id, ResourcesOf(id, reserved.bundle));
  }
  return any;
}

void GroupBundles::GiveBack(std::map<uint32_t, Reserved>& bundles, std::map<uint32_t, Reserved>::iterator& at) {
  ledger_.Give(at->second.needs);
  at = bundles.erase(at);
  --bundles_;
}

void GroupBundles::Cancel(const PlacementGroupId& id, uint64_t attempt) {
  const auto found = groups_.find(id);
  if (found == groups_.end()) return;
  auto& bundles = found->second.bundles;
  for (auto each = bundles.begin(); each != bundles.end();) {
    if (each->second.attempt == attempt && !each->second.committed)
      GiveBack(bundles, each);
    else
      ++each;
  }
  if (!bundles.empty()) return;
  closed_ -= found->second.closed ? 1 : 0;
  groups_.erase(found);
}

void GroupBundles::Close(const PlacementGroupId& id) {
  const auto found = groups_.find(id);
  if (found == groups_.end() || std::exchange(found->second.closed, true)) return;
  ++closed_;
  ledger_.CloseGroup(id);
  Collect();
}

void GroupBundles::Collect() {
  if (closed_ == 0) return;
  for (auto group = groups_.begin(); group != groups_.end();) {
    if (!group->second.closed || !ledger_.AllIsBack(group->first)) {
      ++group;
      continue;
    }
    ledger_.DropGroup(group->first);
    auto& bundles = group->second.bundles;
    for (auto each = bundles.begin(); each != bundles.end();) GiveBack(bundles, each);
    --closed_;
    group = groups_.erase(group);
  }
}

std::vector<PlacementGroupId> GroupBundles::OfHome(const NodeId& home) const {
  std::vector<PlacementGroupId> ids;
  for (const auto& [id, group] : groups_)
    if (group.home == home) ids.push_back(id);
  return ids;
}

}  // namespace raylet
