// RemoteActors: actors of other homes that processes of this machine have asked for: who waits for a channel, and who
// is to hear what becomes of them. Pure; owned by the Raylet; loop thread only. Always holds: who has asked waits until
// its home answers, it ends itself, or its home is lost; whoever has been told that an actor is dead watches it no
// more.
#pragma once

#include <chrono>
#include <set>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "fbs/ids.h"
#include "raylet/scheduling/task.h"

namespace raylet {

// How long a channel that was granted and is not to be had (its host is lost, or its worker is about to be) is asked
// for again, and how often.
constexpr Duration kAskAgainAfter = std::chrono::milliseconds(200);
constexpr size_t kAsksMax = 100;

class RemoteActors {
 public:
  struct Ask {
    ActorId actor;
    ProcessId caller = 0;
    uint64_t request_id = 0;
    size_t times = 1;
    TimePoint again = TimePoint::max();  // then its home is asked again
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
  Result<void> Open(const NodeId& home, const ActorId& actor, ProcessId caller, uint64_t request_id);
  void Watch(const NodeId& home, const ActorId& actor, ProcessId process);
  // Its home has answered. False: nobody waits for that any more.
  bool Answered(const ActorId& actor, ProcessId caller, uint64_t request_id);
  // What it was granted cannot be had. False: it has been asked for often enough, and waits no more.
  bool AskAgain(const ActorId& actor, ProcessId caller, uint64_t request_id, TimePoint when);
  std::vector<Ask> TakeDue(TimePoint now);  // to be asked again now
  bool AnyToAskAgain() const;
  void Dead(const ActorId& actor, ProcessId process);  // it has been told
  void ProcessGone(ProcessId process);
  Lost HomeGone(const NodeId& home);

  size_t size() const { return actors_.size(); }

 private:
  struct Actor {
    NodeId home;
    std::set<ProcessId> watchers;
    std::vector<Ask> asks;
  };
  Ask* Find(const ActorId& actor, ProcessId caller, uint64_t request_id);

  std::unordered_map<ActorId, Actor> actors_;  // each is watched or asked for
};

}  // namespace raylet
