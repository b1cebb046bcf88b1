// Settlements: the ends of processes that are not settled yet. Each process that an end concerns hears of it, claims
// the objects that it still holds through the one that has ended, and then says so. The end is *settled* once all have
// said so. Then nothing need be kept for the dead any more. A process may end before it has said so; then the older end
// waits for the end of this process to be settled. A core with the caller's time. Owned by the ClaimDesk; loop thread
// only.
//
// The machine of the processes that ended settles their end for all: it waits for its own processes
// and for the other machines. Each of those waits for its own processes, and then answers.
// Always holds: an end is settled kSettlePatience after it was opened at the latest. Until then it is settled only when
// every process of this machine that an older open end asks has answered that one. What such a process is about to
// claim may be kept alive by nothing but what was lent to the one that ended last.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "fbs/ids.h"
#include "raylet/scheduling/task.h"

namespace raylet {

// A process that is stopped for so long loses the objects that it held through a dead one.
constexpr Duration kSettlePatience = std::chrono::seconds(30);

class Settlements {
 public:
  struct End {
    ProcessSet processes;              // that have ended; or one number that stands for a whole machine's
    ProcessSet asked;                  // of this machine, which have not answered
    std::set<NodeId> machines;         // likewise
    std::optional<NodeId> settled_by;  // the machine that gets the answer; none: settled here
    TimePoint not_before{};            // leaves time for machines that hear of the end later
  };

  // `key` names the end on all machines: one of its processes.
  void Open(ProcessId key, End end, TimePoint now);
  void Answered(ProcessId key, ProcessId by);
  void MachineAnswered(ProcessId key, const NodeId& node);
  // These processes of this machine have ended; `key` names their end. Call it before Open(key).
  void ProcessesEnded(const ProcessSet& processes, ProcessId key);
  void MachineGone(const NodeId& node);
  void Force(ProcessId key);  // the next TakeSettled returns it as it is

  // The ends that wait for nothing any more, or have waited too long.
  std::vector<std::pair<ProcessId, End>> TakeSettled(TimePoint now);
  std::optional<TimePoint> NextTime() const;  // when to call TakeSettled although no event came
  size_t open() const;

 private:
  struct OpenEnd {
    ProcessId key = 0;
    End end;
    TimePoint deadline;
    std::set<ProcessId> ends;  // that must be settled before it
    bool forced = false;
    bool over = false;  // it is settled without a word; younger ends still wait for its answers
    bool Waits() const { return !end.asked.empty() || (!over && (!end.machines.empty() || !ends.empty())); }
  };
  OpenEnd* Find(ProcessId key);

  std::map<uint64_t, OpenEnd> open_;  // the oldest first
  std::unordered_map<ProcessId, uint64_t> by_key_;
  uint64_t next_ = 1;
};

}  // namespace raylet
