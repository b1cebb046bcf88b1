// Acquaintances: which processes may have lent something to one another. A lend goes between the process that runs a
// call and the process that it runs it for, in either direction. So two processes *meet* when a raylet brings them
// together, before the first lend: the raylet of the one that runs the call sees it. What is passed on makes a lend of
// its own, between two that have met. Whoever has not met a process neither lends to it nor holds anything through it.
// A core. Owned by EndNotices; loop thread only.
// Always holds: to have met is mutual. One of two that have met is of this machine.
#pragma once

#include <cstddef>
#include <unordered_map>

#include "fbs/ids.h"
#include "raylet/scheduling/task.h"

namespace raylet {

class Acquaintances {
 public:
  // One may stand for all processes of another machine.
  void Meet(ProcessId one, ProcessId other);
  // Those that have met one of these; among them may be one that stands for all processes of its machine.
  ProcessSet Of(const ProcessSet& processes) const;
  void Forget(const ProcessSet& processes);
  // That machine may be reached again, with the same processes: one stands for all of them from now on.
  void MachineLost(MachineNumber machine);
  size_t pairs() const { return pairs_; }

 private:
  void Part(ProcessId one, ProcessId other);

  std::unordered_map<ProcessId, ProcessSet> met_;
  size_t pairs_ = 0;
};

}  // namespace raylet
