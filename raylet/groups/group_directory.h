// GroupDirectory: the placement groups whose home is this raylet, from creation to removal. It decides which machine
// reserves which bundle. An attempt to place bundles asks every chosen machine to prepare its bundles, and commits them
// once all have; one refusal cancels the whole attempt. The caller carries the decisions out, here and on other
// machines. A core: events in, decisions out, no I/O; the raylet's loop thread. Always holds: a group has at most one
// attempt under way; a bundle has a place iff that machine has committed it. A removed group is remembered for a while.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "base/clock.h"
#include "raylet/groups/bundle_plan.h"
#include "raylet/scheduling/cluster_view.h"
#include "raylet/scheduling/task.h"

namespace raylet {

constexpr size_t kGroupsPerJobMax = 10'000;
constexpr size_t kRemovedGroupsKeptMax = 1'000;
constexpr Duration kPrepareMax = std::chrono::seconds(10);      // a machine that is slower loses the attempt
constexpr Duration kTryAgain = std::chrono::milliseconds(200);  // after a failed attempt

using GroupState = wire::PlacementGroupState;

struct PlacementGroup {
  PlacementGroupId id;
  JobId job = 0;
  std::string name;
  std::string group_namespace;  // of the name
  wire::PlacementStrategy strategy = wire::PlacementStrategy::Pack;
  std::vector<ResourceSet> bundles;
  std::vector<NodeId> places;  // of each bundle; nil: none
  GroupState state = GroupState::Pending;
  std::string reason;    // of a state that is not Created
  bool refused = false;  // it never began, and only its creator knows it
};

// ---- decisions
struct PrepareAt {
  NodeId node;
  PlacementGroupId group;
  uint64_t attempt = 0;
  std::vector<Bundle> bundles;
};
struct CommitAt {
  NodeId node;
  PlacementGroupId group;
  uint64_t attempt = 0;
};
struct ReturnAt {  // attempt 0: all that it has of the group
  NodeId node;
  PlacementGroupId group;
  uint64_t attempt = 0;
};
struct GroupMoved {  // its state or the place of a bundle has changed
  PlacementGroupId group;
};
using GroupDecision = std::variant<PrepareAt, CommitAt, ReturnAt, GroupMoved>;

// An attempt to place the bundles of a group that have no place.
struct GroupAttempt {
  uint64_t number = 0;
  std::map<NodeId, std::vector<uint32_t>> bundles;  // that each machine was asked for
  std::set<NodeId> unanswered;
  bool committing = false;
  TimePoint end{};
};

class GroupDirectory {
 public:
  explicit GroupDirectory(ClusterView& view) : view_(view) {}  // outlives this

  // ---- events. kAlreadyExists: the id or the name. kFull: a limit, named. `unnamed_yet`: the group waits for
  // NameTaken.
  Result<void> Create(PlacementGroup group, bool unnamed_yet);
  void NameTaken(const PlacementGroupId& group, const Result<void>& taken);
  // Refused before it began, which those that ask for it hear.
  void Refuse(PlacementGroup group, const std::string& why);
  void Remove(const PlacementGroupId& group, const std::string& why);
  void Prepared(const NodeId& node, const PlacementGroupId& group, uint64_t attempt, bool prepared);
  void Committed(const NodeId& node, const PlacementGroupId& group, uint64_t attempt);
  void MachineLost(const NodeId& node);  // the view knows
  void Tick(TimePoint now);              // now and then, while WantsTick
  bool WantsTick() const { return attempts_ > 0 || any_paused_; }
  void ClusterChanged() { ++cluster_changes_; }  // what machines have in total may be another
  // Tries to place what waits. `here` is this machine's ledger, and `leased_here` what its leased workers hold. What
  // leased workers hold counts as free where a group has no room without it: the leases end for it.
  void TryToPlace(const ResourceLedger& here, TimePoint now, const ResourceSet& leased_here = {});

  std::vector<GroupDecision> TakeDecisions() { return std::exchange(decisions_, {}); }

  // ---- queries
  const PlacementGroup* Find(const PlacementGroupId& id) const;  // removed ones too, while they are remembered
  const PlacementGroup* FindName(const std::string& group_namespace, const std::string& name, bool to_create) const;
  // The group that gives its name up to `rival`, which asks for the same name on another machine: a group that waits
  // for its name, too, and has the larger id. Null: there is none.
  const PlacementGroup* YieldingTo(const PlacementGroupId& rival, const std::string& group_namespace,
                                   const std::string& name) const;
  std::vector<const PlacementGroup*> All() const;  // removed ones too, but none that was refused
  std::vector<PlacementGroupId> OfJob(JobId job) const;
  bool AnyWaits() const { return !waiting_.empty(); }
  // The groups for which the cluster has not enough in total.
  const std::set<PlacementGroupId>& infeasible() const { return infeasible_; }

 private:
  struct Entry {
    PlacementGroup group;
    bool unnamed_yet = false;
    std::optional<GroupAttempt> attempt;
    TimePoint paused_until{};  // no attempt before
    uint64_t totals_seen = 0;  // cluster_changes_ when `feasible` was found
    bool feasible = false;
  };

  void Wait(Entry& entry);
  void StopWaiting(const PlacementGroupId& id);
  struct Here {
    const ResourceLedger& ledger;
    const ResourceSet& leased;
  };
  enum class Count { kFree, kFreeOrLeased, kTotal };  // of each resource
  bool Place(Entry& entry, const Here& here, TimePoint now);
  std::vector<BundleSpace> Spaces(const PlacementGroup& group, const Here& here, Count count) const;
  bool AnyLeased(const Here& here) const;
  void GiveUp(Entry& entry, const std::string& why);
  void Settle(Entry& entry);
  ResourceSet SumOf(const PlacementGroup& group, const std::vector<uint32_t>& bundles) const;
  void SetState(PlacementGroup& group, GroupState state, std::string reason);
  void Forget(PlacementGroup group);

  ClusterView& view_;
  std::map<PlacementGroupId, Entry> groups_;
  std::map<JobId, size_t> of_job_;
  std::map<std::pair<std::string, std::string>, PlacementGroupId> names_;  // by namespace and name
  std::map<uint64_t, PlacementGroupId> waiting_;                           // for an attempt, in order of creation
  std::map<PlacementGroupId, uint64_t> sequences_;                         // of all groups
  std::map<PlacementGroupId, PlacementGroup> removed_;
  std::deque<PlacementGroupId> removed_order_;  // oldest first
  std::set<PlacementGroupId> infeasible_;
  std::vector<GroupDecision> decisions_;
  uint64_t next_sequence_ = 1;
  uint64_t next_attempt_ = 1;
  size_t attempts_ = 0;  // under way
  uint64_t turn_ = 0;    // the last group that a pass has tried
  uint64_t cluster_changes_ = 1;
  bool any_paused_ = false;
  TimePoint now_{};  // of the last event that told it
};

}  // namespace raylet
