// GroupFinder: answers what processes of this machine ask about placement groups: by id, by name, all of them, and
// whether one is created. Where the answer lies on other machines it asks all of them, or waits for the group's home. A
// service of the GroupDesk; loop thread only. Always holds: each question has one answer, unless its process ends
// first. Each has a deadline. A machine that is lost answers nothing, and nobody waits for it.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "raylet/groups/group_directory.h"
#include "raylet/node/services.h"

namespace raylet {

class GroupFinder {
 public:
  using Asker = std::pair<ProcessId, uint64_t>;  // a process and its request
  // What the GroupDesk knows.
  class Groups {
   public:
    virtual ~Groups() = default;
    // Null: unknown here. A group of another home may be known although its home has not told its state yet.
    virtual const PlacementGroup* Know(const PlacementGroupId& group) const = 0;
    // Whether the state of the group will be known here, since its home lives.
    virtual bool WillKnow(const PlacementGroupId& group) = 0;
    virtual const GroupDirectory& at_home() const = 0;
  };

  // All outlive it.
  GroupFinder(Groups& groups, const Services& services);

  // ---- messages of processes
  Result<void> OnFind(ProcessSession& session, const Frame& frame);
  Result<void> OnAwait(ProcessSession& session, const Frame& frame);
  // ---- messages of other machines
  Result<void> OnFindGroups(const NodeId& node, const Frame& frame);
  Result<void> OnGroupsFound(const NodeId& node, const Frame& frame);

  // Whether no other machine has a group of this name. `answer` comes later. kAlreadyExists, or kUnavailable where a
  // machine does not answer. Of several groups that ask for one name at a time the one with the smallest id gets it:
  // where a machine hears of such a group, its own gives up.
  void AskForName(const PlacementGroup& group, std::function<void(const Result<void>&)> answer);

  void ReplyStatus(const Asker& asker, const Result<void>& outcome);

  // ---- events
  void Changed(const PlacementGroup& group);  // as Know tells it
  void ProcessesGone(const ProcessSet& processes);
  void MachineLost(const NodeId& node);

 private:
  struct Wait {
    PlacementGroupId group;
    bool until_created = false;  // otherwise until its state is known
    Timer end;
  };
  struct Search {
    PlacementGroupId creating;  // the group that asks for its name; nil: another question
    std::set<NodeId> unanswered;
    std::vector<PlacementGroup> found;
    std::function<void(Search&)> done;
    Timer end;
  };

  void Reply(const Asker& asker, const std::vector<const PlacementGroup*>& groups);
  // Whether that answers the one who waits.
  bool Answer(const Asker& asker, const Wait& wait, const PlacementGroup* group);
  Result<void> WaitFor(const Asker& asker, const PlacementGroupId& group, bool until_created, uint64_t timeout_ms);
  void SearchElsewhere(const wire::FindGroupsRequestT& request, std::function<void(Search&)> done);
  void EndIfAnswered(uint64_t number);
  void GiveNameUp(const PlacementGroup& loser);

  Groups& groups_;
  Loop& loop_;
  PeerPost& post_;
  ProcessDoor& door_;
  Jobs& jobs_;
  DecisionLoop& decisions_;
  std::map<Asker, Wait> waits_;
  std::map<uint64_t, Search> searches_;
  uint64_t next_search_ = 1;
};

}  // namespace raylet
