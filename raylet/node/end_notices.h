// EndNotices: tells the processes concerned that a process has ended, and that its end is settled. An end concerns
// those that have met the process (see acquaintances.h), and those that wait for an object of its. The loss of a
// machine is told to all. A service; it owns the Acquaintances. Owned by the Raylet; loop thread only.
// Always holds: a process may meet one that has ended. Then it hears of the end before anything that comes of the
// meeting. A process that has heard of an end also hears that it is settled.
#pragma once

#include <unordered_set>

#include "fbs/messages.h"
#include "fbs/process_ranges.h"
#include "raylet/node/peer_post.h"
#include "raylet/node/process_door.h"
#include "raylet/node/worker_house.h"
#include "raylet/objects/acquaintances.h"

namespace raylet {

class EndNotices {
 public:
  EndNotices(PeerPost& post, ProcessDoor& door, WorkerHouse& house) : post_(post), door_(door), house_(house) {}

  // `ours` is of this machine, and is about to run something for the other one, or the other way round.
  void Meet(ProcessId ours, ProcessId other);
  // A process of this machine waits for an object of `owner`, which is of this machine too.
  void WaitsFor(ProcessId ours, ProcessId owner);

  // ---- each returns those of our processes that have heard of it, or cannot hear any more and have not ended yet
  ProcessSet TellEnded(const ProcessSet& processes, const wire::ProcessNoticeT& notice);  // of one machine
  ProcessSet TellMachine(const wire::ProcessNoticeT& notice);                             // lost, or there again

  void TellPeers(const ProcessSet& processes, wire::ProcessNoticeT notice);  // ours have ended
  void MachineLost(MachineNumber machine);                                   // it settles no end any more
  // As in the notice: one may stand for a whole machine's.
  void TellSettled(const ProcessSet& processes);

  bool IsSettled(ProcessId process) const { return ended_.Contains(process) && !unsettled_.contains(process); }
  const Acquaintances& met() const { return met_; }  // for the status

 private:
  ProcessSet Tell(const ProcessSet& whom, const wire::ProcessNoticeT& notice);
  ProcessSet All() const;

  PeerPost& post_;
  ProcessDoor& door_;
  WorkerHouse& house_;
  Acquaintances met_;
  ProcessRanges ended_;                      // of all machines, for ever: somebody may meet one later
  std::unordered_set<ProcessId> unsettled_;  // of those
};

}  // namespace raylet
