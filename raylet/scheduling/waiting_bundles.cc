#include "raylet/scheduling/waiting_bundles.h"

#include <algorithm>
#include <utility>

namespace raylet {

bool WaitingBundles::Prepare(const Request& request) {
  return bundles_.Prepare(request.group, request.attempt, request.home, request.bundles);
}

void WaitingBundles::Ask(Request request, TimePoint now) {
  const bool prepared = Prepare(request);
  if (!prepared && waiting_.size() < kWaitingMax) {
    ResourceSet sum;
    for (const Bundle& bundle : request.bundles)
      for (const auto& amount : bundle.resources.amounts()) sum.Accumulate(amount.name, amount.units);
    auto needs = ledger_.ResolveAmounts(sum);
    // What fits already was refused for another reason.
    if (needs && !ledger_.Fits(*needs) && leases_.WouldFit(*needs)) {
      waiting_.push_back({std::move(request), *std::move(needs), now + kWaitMax});
      return TellLeases();
    }
  }
  answers_.push_back({request.home, request.group, request.attempt, prepared});
}

void WaitingBundles::Cancelled(const PlacementGroupId& group, uint64_t attempt) {
  std::erase_if(waiting_,
                [&](const Waiting& each) { return each.request.group == group && each.request.attempt == attempt; });
  TellLeases();
}

void WaitingBundles::GroupEnded(const PlacementGroupId& group) {
  std::erase_if(waiting_, [&](const Waiting& each) { return each.request.group == group; });
  TellLeases();
}

void WaitingBundles::HomeLost(const NodeId& home) {
  std::erase_if(waiting_, [&](const Waiting& each) { return each.request.home == home; });
  TellLeases();
}

void WaitingBundles::Try(TimePoint now) {
  if (waiting_.empty()) return;
  std::erase_if(waiting_, [&](const Waiting& each) {
    const bool prepared = Prepare(each.request);
    const bool still = !prepared && each.end > now && !ledger_.Fits(each.needs) && leases_.WouldFit(each.needs);
    if (!still) answers_.push_back({each.request.home, each.request.group, each.request.attempt, prepared});
    return !still;
  });
  TellLeases();
}

void WaitingBundles::TellLeases() {
  std::vector<ResourceNeeds> wanted;
  for (const Waiting& each : waiting_) wanted.push_back(each.needs);
  leases_.SetWantedBundles(std::move(wanted));
}

}  // namespace raylet
