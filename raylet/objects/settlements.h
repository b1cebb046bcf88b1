// Settlements: the ends of processes that are not settled yet. All processes that hear of an end
// claim what they still hold through the one that has ended, and then say so. The end is *settled*
// once all have said so, and nobody needs to keep anything for the dead any more. A process that
// ends before it has said so makes the older end wait for its own. A core with the caller's time.
// Owned by the ClaimDesk; loop thread only.
//
// The machine of the processes that ended settles their end for all: it waits for its own processes
// and for the other machines. Each of those waits for its own processes, and then answers.
// Always holds: an end is settled kSettlePatience after it was opened at the latest.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "fbs/ids.h"
#include "raylet/scheduling/task.h"

namespace raylet {

// A process that is stopped for so long loses what it held through a dead one.
constexpr Duration kSettlePatience = std::chrono::seconds(30);

class Settlements {
 public:
  struct End {
    ProcessSet processes;              // that have ended; or one number that stands for a whole machine's
    ProcessSet asked;                  // of this machine, which have not answered
    std::set<NodeId> machines;         // likewise
    std::optional<NodeId> settled_by;  // another machine, which is answered; none: settled here
    TimePoint not_before{};            // so that machines that hear of it later can claim as well
  };

  // `key` names the end on all machines: one of its processes.
  void Open(ProcessId key, End end, TimePoint now);
  void Answered(ProcessId key, ProcessId by);
  void MachineAnswered(ProcessId key, const NodeId& node);
  // These processes of this machine have ended, which is the end `key`. Before Open(key).
  void ProcessesEnded(const ProcessSet& processes, ProcessId key);
  void MachineGone(const NodeId& node);
  void Force(ProcessId key);  // settled as it is, with the next TakeSettled

  // Those that wait for nothing any more, or too long.
  std::vector<std::pair<ProcessId, End>> TakeSettled(TimePoint now);
  std::optional<TimePoint> NextTime() const;  // when TakeSettled has something that no event brings
  size_t open() const { return open_.size(); }

 private:
  struct OpenEnd {
    End end;
    TimePoint deadline;
    std::set<ProcessId> ends;  // that are to be settled first
  };
  static bool Waits(const OpenEnd& each) {
    return !each.end.asked.empty() || !each.end.machines.empty() || !each.ends.empty();
  }

  std::map<ProcessId, OpenEnd> open_;
};

}  // namespace raylet
