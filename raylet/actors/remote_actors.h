// RemoteActors: the actors of other homes that processes of this machine have asked for. For each actor it knows which
// processes wait for a channel, and which hear of changes. Pure; owned by the Raylet; loop thread only.
// Always holds: a process that has asked waits until the home answers, the process ends, or the home is lost. A process
// that was told of an actor's death no longer watches it.
#pragma once

#include <chrono>
#include <map>
#include <set>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "fbs/ids.h"
#include "raylet/scheduling/task.h"

namespace raylet {

// How long after its failure, and how often, a granted channel is asked for again. It fails when its host is lost or
// its worker is about to end.
constexpr Duration kAskAgainAfter = std::chrono::milliseconds(200);
constexpr size_t kAsksMax = 100;

class RemoteActors {
 public:
  struct Ask {
    ActorId actor;
    ProcessId caller = 0;
    uint64_t request_id = 0;
    size_t times = 1;
    TimePoint again = TimePoint::max();  // when the home is asked again
  };
  struct Watcher {
    ActorId actor;
    ProcessId process = 0;
  };
  struct Lost {
    std::vector<Ask> asks;
    std::vector<Watcher> watchers;
  };

  // kFull: kOpensPerCallerMax.
  Result<void> Open(const ActorId& actor, ProcessId caller, uint64_t request_id);
  void Watch(const ActorId& actor, ProcessId process);
  // The home has answered. False: no process waits for the answer any more.
  bool Answered(const ActorId& actor, ProcessId caller, uint64_t request_id);
  // The granted channel failed. False: it has failed too often, and the request ends.
  bool AskAgain(const ActorId& actor, ProcessId caller, uint64_t request_id, TimePoint when);
  std::vector<Ask> TakeDue(TimePoint now);  // requests to make again now
  bool AnyToAskAgain() const;
  void Dead(const ActorId& actor, ProcessId process);  // the process has been told
  void ProcessGone(ProcessId process);
  // The machine with their home is lost, and no process waits for these actors or watches them any more. TakeLost
  // returns those that did, of actors that have `least` of them together, or of all that are left.
  void HomeLost(MachineNumber home);
  Lost TakeLost(MachineNumber home, size_t least);

  size_t size() const;

 private:
  struct Actor {
    std::set<ProcessId> watchers;
    std::vector<Ask> asks;
  };
  using Actors = std::unordered_map<ActorId, Actor>;  // each is watched or asked for
  static MachineNumber HomeOf(const ActorId& actor) { return MachineOf(CreatorOf(actor)); }
  Actor* Find(const ActorId& actor);
  Ask* Find(const ActorId& actor, ProcessId caller, uint64_t request_id);
  void ForgetUnlessWanted(const ActorId& actor);

  std::map<MachineNumber, Actors> by_home_;  // none is empty
  std::map<MachineNumber, Actors> lost_;     // what TakeLost has still to return
};

}  // namespace raylet
