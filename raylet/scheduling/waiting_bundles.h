// WaitingBundles: bundles that homes of placement groups have asked this machine to reserve, and that have no room
// until leased workers give back what they hold. The leases end for them. Pure; the raylet's loop thread. Always holds:
// each is answered within kWaitMax, unless its home cancels it first. It is refused as soon as leases are not all it
// lacks.
#pragma once

#include <utility>
#include <vector>

#include "base/clock.h"
#include "raylet/scheduling/group_bundles.h"
#include "raylet/scheduling/worker_leases.h"

namespace raylet {

class WaitingBundles {
 public:
  static constexpr Duration kWaitMax = std::chrono::seconds(2);
  static constexpr size_t kWaitingMax = 1'000;

  struct Request {
    NodeId home;
    PlacementGroupId group;
    uint64_t attempt = 0;
    std::vector<Bundle> bundles;
  };
  struct Answer {
    NodeId home;
    PlacementGroupId group;
    uint64_t attempt = 0;
    bool prepared = false;
  };

  // All outlive this.
  WaitingBundles(const ResourceLedger& ledger, GroupBundles& bundles, WorkerLeases& leases)
      : ledger_(ledger), bundles_(bundles), leases_(leases) {}

  // Reserves them now, refuses them, or has them wait for leases. Answers the first two at once.
  void Ask(Request request, TimePoint now);
  void Cancelled(const PlacementGroupId& group, uint64_t attempt);
  void GroupEnded(const PlacementGroupId& group);
  void HomeLost(const NodeId& home);
  // Call it when something has come back, and now and then while any wait.
  void Try(TimePoint now);

  bool Any() const { return !waiting_.empty(); }
  std::vector<Answer> TakeAnswers() { return std::exchange(answers_, {}); }

 private:
  struct Waiting {
    Request request;
    ResourceNeeds needs;  // of all its bundles
    TimePoint end{};
  };

  bool Prepare(const Request& request);
  void TellLeases();

  const ResourceLedger& ledger_;
  GroupBundles& bundles_;
  WorkerLeases& leases_;
  std::vector<Waiting> waiting_;  // oldest first
  std::vector<Answer> answers_;
};

}  // namespace raylet
