// Settlements: the ends of processes that are not settled yet. Each process that an end concerns hears of it. It claims
// the objects that it still holds through the dead process, and then answers. The end is *claimed* once all have
// answered, on all machines. A core with the caller's time. Owned by the ClaimDesk; loop thread only.
//
// One who would claim may have ended as well, and then another end stands for what it would have claimed. So an end is
// *settled* when it is claimed, and so are all other ends that may stand between it and a living process. These are the
// ends that a machine had when it claimed: its own processes' that were not claimed then, and so on for each of those.
// After that nothing need be kept for the dead any more.
//
// The machine of the processes that ended settles their end for all. Every other machine claims it: it tells that
// machine when its own processes have answered, which waits for no other machine. Messages of one machine to another
// come in order, so whoever hears of a claim has heard of the ends before it.
// A lost machine settles nothing, so each other machine settles its end for itself, and tells nobody. An end that waits
// for it is told of later: when the lost machine's is claimed here, what that one waits for takes its place.
// Always holds: an end is settled kSettlePatience after it was opened at the latest. Until then no living process that
// may hold something through it, or through others that have ended, has still to claim.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "fbs/ids.h"
#include "fbs/process_ranges.h"
#include "raylet/scheduling/task.h"

namespace raylet {

// A process that is stopped for so long loses the objects that it held through a dead one.
constexpr Duration kSettlePatience = std::chrono::seconds(30);

class Settlements {
 public:
  using Keys = std::set<ProcessId>;
  struct End {
    ProcessSet processes;              // that have ended; or one number that stands for a whole machine's
    ProcessSet asked;                  // of this machine, which have not answered
    std::set<NodeId> machines;         // which have not claimed; empty where another machine settles it
    std::optional<NodeId> settled_by;  // the machine that is told of the claim; none: settled here
    TimePoint not_before{};            // leaves time for machines that hear of the end later
  };
  struct Step {
    enum Kind {      // a step names no lost machine but with kSettled
      kClaimedHere,  // the machine that settles it is to hear that this one has claimed it
      kClaimed,      // all machines have; they are to hear so, and what it waits for
      kSettled,
    } kind;
    ProcessId key = 0;
    End end;
    Keys waits_for;  // other ends
  };

  // `key` names the end on all machines: one of its processes.
  void Open(ProcessId key, End end, TimePoint now);
  void Answered(ProcessId key, ProcessId by);
  void MachineClaimed(ProcessId key, const NodeId& node);
  // The machine that settles it says that all have claimed it. It waits for these others.
  void ClaimedElsewhere(ProcessId key, const Keys& waits_for);
  void SettledElsewhere(ProcessId key);
  // These processes of this machine have ended, and answer nothing any more. Their own end is opened next.
  void ProcessesEnded(const ProcessSet& processes);
  // A lost machine claims and settles nothing any more. `key` names the end of its processes, which is opened next.
  // MachineLost may come before: an end that is opened meanwhile waits for that.
  void MachineLost(const NodeId& node) { lost_.insert(node); }
  void LossTold(const NodeId& node, ProcessId key);
  void Force(ProcessId key);  // it waits for nothing any more

  // The steps to take now, in this order.
  std::vector<Step> TakeSteps(TimePoint now);
  std::optional<TimePoint> NextTime() const;  // when to call TakeSteps although no event came
  size_t open() const { return open_.size(); }

 private:
  struct OpenEnd {
    End end;
    TimePoint deadline;
    Keys waits_for;             // not claimed yet; perhaps not even heard of
    bool claimed_here = false;  // by this machine's processes
    bool claimed = false;       // by all
    bool told = false;          // the last step that there was to take
    bool forced = false;
  };
  OpenEnd* Find(ProcessId key);
  void WaitForEndsOf(const std::optional<NodeId>& machine, ProcessId key, OpenEnd& each);
  void Claimed(ProcessId key, const Keys& waits_for);
  void Advance(ProcessId key, OpenEnd& each, TimePoint now);

  std::map<ProcessId, OpenEnd> open_;
  std::set<NodeId> lost_;  // machines that are lost, and the end of whose processes is to be opened
  ProcessRanges over_;     // whose ends are not open any more
};

}  // namespace raylet
