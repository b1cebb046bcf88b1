// GroupDesk: placement groups. It is the home of those that processes of this machine create, reserves bundles here for
// homes on every machine, and knows the groups of other homes in which tasks of this machine run. A desk. It owns the
// GroupDirectory, which decides about the groups at home here, and the GroupFinder. Owned by the TaskDesk, whose
// scheduler keeps the bundles of this machine; loop thread only. Always holds: a machine that is lost has no bundle, as
// its homes see it, and this machine keeps no bundle for a home that is lost.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "raylet/groups/group_directory.h"
#include "raylet/node/group_finder.h"
#include "raylet/node/services.h"
#include "raylet/scheduling/scheduler.h"
#include "raylet/scheduling/stuck_work.h"

namespace raylet {

class GroupDesk final : public GroupFinder::Groups {
 public:
  // Both outlive it.
  GroupDesk(Scheduler& scheduler, const Services& services);

  // ---- messages of processes
  Result<void> OnCreate(ProcessSession& session, const Frame& frame);
  Result<void> OnRemove(ProcessSession& session, const Frame& frame);
  GroupFinder& finder() { return finder_; }  // hears questions
  // ---- messages of a home to a machine that reserves bundles
  Result<void> OnPrepareBundles(const NodeId& node, const Frame& frame);
  Result<void> OnCommitBundles(const NodeId& node, const Frame& frame);
  Result<void> OnReturnBundles(const NodeId& node, const Frame& frame);
  Result<void> OnGroupChanged(const NodeId& node, const Frame& frame);
  // ---- messages to a home
  Result<void> OnBundlesPrepared(const NodeId& node, const Frame& frame);
  Result<void> OnBundlesCommitted(const NodeId& node, const Frame& frame);
  Result<void> OnWatchGroup(const NodeId& node, const Frame& frame);
  Result<void> OnRemoveGroup(const NodeId& node, const Frame& frame);

  // Whether a task of a process of this machine may wait for its placement group. kNotFound: the group is no more, or
  // never was. kInvalid: it has no such bundle.
  Result<void> Admit(const Task& task);
  // Why the task's group is no more; empty where it is not.
  std::string WhyEnded(const Task& task) const;

  // ---- ends (see ends.h)
  // The job's driver has gone. Groups that `survivors` have created stay.
  void JobEnded(JobId job, const ProcessSet& survivors);
  void ProcessesGone(const ProcessSet& processes);
  void MachineLost(const NodeId& node);
  void ClusterChanged();

  // ---- decisions. False: there were none.
  bool CarryOut();
  void CarriedOut();  // at the end of a turn

  std::vector<StuckCause> StuckCauses() const;
  const GroupDirectory& directory() const { return directory_; }

 private:
  // A group of another home.
  struct Known {
    PlacementGroup group;
    bool told = false;  // by its home
  };

  const PlacementGroup* Know(const PlacementGroupId& group) const override;
  bool WillKnow(const PlacementGroupId& group) override;
  const GroupDirectory& at_home() const override { return directory_; }

  void Prepare(const PrepareAt& prepare);
  bool AnswerHomes();
  void Commit(const CommitAt& commit);
  void Return(const ReturnAt& give_back);
  void Moved(const PlacementGroupId& group);
  void Apply(const PlacementGroup& group);
  void End(const PlacementGroupId& group);
  void TellEnd(Known& known, GroupState how, const std::string& why);
  bool IsHome(const PlacementGroupId& group) const { return post_.IsOurs(CreatorOf(group)); }
  Result<PlacementGroupId> GroupOf(const NodeId& node, const wire::Id20* id) const;

  Scheduler& scheduler_;
  Loop& loop_;
  const Clock& clock_;
  PeerPost& post_;
  WorkerHouse& house_;
  Jobs& jobs_;
  DecisionLoop& decisions_;
  GroupDirectory directory_;
  GroupFinder finder_;
  std::map<PlacementGroupId, std::set<NodeId>> watchers_;  // of groups at home here
  std::map<PlacementGroupId, Known> known_;
  std::deque<PlacementGroupId> ended_;  // of known_, oldest first
  uint64_t gives_seen_ = 0;             // of the ledger, when groups were last tried
  bool changed_ = false;                // something else than the ledger may let a group be placed
  Timer ticker_;
};

}  // namespace raylet
