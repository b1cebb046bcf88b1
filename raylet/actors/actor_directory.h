// ActorDirectory: every actor whose home this node is, because one of its processes created the
// actor. It holds the actor's state and name, where it runs, who watches it and who waits for a
// channel. No other part decides about these actors. A core: events in, decisions out, no I/O; the
// raylet's loop thread.
// Always holds: a name is taken iff an actor that is neither Dead nor leaving has it. Only an Alive
// actor's channel is granted. A Dead actor stays Dead, and DeadActors remembers the reason for late
// callers.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "base/spread_map.h"
#include "fbs/messages.h"
#include "raylet/actors/dead_actors.h"
#include "raylet/scheduling/task.h"

namespace raylet {

constexpr size_t kActorsMax = 100'000;
constexpr size_t kOpensPerCallerMax = 64;  // requests of one caller that wait for one actor

using Failure = wire::FailureT;

// Decisions, which the edge carries out in this order.
struct CreateActorNow {  // submit the creation to the scheduler
  TaskPtr creation;
  uint32_t incarnation = 1;
  TimePoint not_before{};  // the incarnation before it may serve so long
};
struct CancelCreation {
  TaskId creation;
};
struct EndActorWorker {
  ActorId actor;
  Place place;
  bool at_once = false;  // SIGKILL; otherwise Exit, and SIGKILL after the grace time
};
struct TellActorChanged {
  ProcessId process = 0;
  ActorId actor;
  wire::ActorState state = wire::ActorState::Pending;
  uint32_t restarts = 0;
  std::shared_ptr<const Failure> failure;  // Restarting, Dead: never null; otherwise null
  uint32_t ended = 0;                      // Restarting, Dead: the incarnation that has ended
  bool host_lost = false;                  // and its host has not said so
};
struct GrantChannel {
  ActorId actor;
  Place place;
  ProcessId process = 0;  // the worker's process
  ProcessId caller = 0;
  uint64_t request_id = 0;
  uint32_t incarnation = 0;
};
struct RefuseChannel {
  ActorId actor;
  ProcessId caller = 0;
  uint64_t request_id = 0;
  std::shared_ptr<const Failure> failure;  // never null
};
struct NameFreed {  // the actor may belong to another home
  ActorId actor;
};
struct ActorMoved {  // the actor runs there now, or (nowhere) no longer runs
  ActorId actor;
  Place place;
  uint64_t start = 0;  // number of the start, from 1
};
struct LastDetachedEnded {  // the job has no other detached actor, so it may end for good
  JobId job = 0;
};
using ActorDecision = std::variant<CreateActorNow, CancelCreation, EndActorWorker, TellActorChanged, GrantChannel,
                                   RefuseChannel, NameFreed, ActorMoved, LastDetachedEnded>;

class ActorDirectory {
 public:
  struct PendingOpen {
    ProcessId caller = 0;
    uint64_t request_id = 0;
  };
  struct Actor {
    ActorId id;
    TaskPtr creation;     // run again at every restart
    ProcessId owner = 0;  // 0: none; a detached actor outlives its creator
    wire::ActorState state = wire::ActorState::Pending;
    bool awaits_name = false;  // no process finds the name, and the actor does not begin
    uint32_t restarts = 0;
    int32_t restarts_left = 0;          // -1: no limit
    Place place;                        // from placement until its worker's death
    ProcessId process = 0;              // Alive: the worker's process
    std::optional<Failure> restarting;  // why its worker was killed in order to restart it
    std::optional<Failure> leaving;     // why it leaves: its worker finishes its calls; its name is free already
    std::set<ProcessId> watchers;       // processes that hold a handle or a channel
    std::vector<PendingOpen> opens;

    const ActorSettings& settings() const { return *creation->actor; }
    uint32_t incarnation() const { return restarts + 1; }  // the one that runs, or is about to
  };

  // ---- events. Each leaves its decisions for TakeDecisions.
  // kAlreadyExists: the id, or the name (the message says which actor has it). kFull: kActorsMax.
  // With `name_is_to_be_taken` the control store must grant the name too: the actor begins at
  // NameTaken, or ends at CreationLost.
  Result<void> Create(TaskPtr creation, bool name_is_to_be_taken = false);
  bool NameTaken(const ActorId& id);                       // false: the actor has ended meanwhile, or has left
  void NameLost(const ActorId& id);                        // the name belongs to another actor now
  void Placed(const ActorId& id, const Place& place);      // the constructor is about to run there
  void Returned(const ActorId& id, const NodeId& node);    // that machine refused it: it is queued here again
  void Constructed(const ActorId& id, ProcessId process);  // in that process
  void ConstructorFailed(const ActorId& id, const Failure& failure);
  void CreationLost(const ActorId& id, const Failure& failure);  // no worker could be started
  void WorkerGone(const ActorId& id, const Place& place, const Failure& failure);
  // The actors that ran on that machine are lost, and those of its jobs end, as by JobEnded. Its processes no
  // longer watch or wait. One call looks through one part of the actors, of kParts, and returns how many have ended.
  struct LostMachine {
    NodeId node;
    MachineNumber machine{};
    std::string address, why;          // for people
    TimePoint serves_until{};          // its actors may serve callers so long, so none starts again before
    ProcessSet ended;                  // of this machine, with the jobs of that one
    std::map<JobId, ProcessSet> jobs;  // these jobs, and the processes that outlive each
  };
  static constexpr size_t kParts = SpreadMap<ActorId, int>::kParts;
  size_t MachineLost(const LostMachine& lost, size_t part);
  size_t SizeOfPart(size_t part) const { return living_.SizeOfPart(part); }
  // A restart that had to wait may begin. False: the actor has ended meanwhile.
  bool MayRestart(const ActorId& id, uint32_t incarnation) const;
  Result<void> Open(const ActorId& id, ProcessId caller, uint64_t request_id);  // kFull: kOpensPerCallerMax
  // A grant could not be carried out, because the worker is about to end. The caller keeps waiting.
  void GrantFailed(const ActorId& id, ProcessId caller, uint64_t request_id);
  void Kill(const ActorId& id, bool no_restart);
  void Release(const ActorId& id, ProcessId by);  // the owner holds no handle any more; other processes are ignored
  void Exited(const ActorId& id);                 // the actor ends itself
  Result<ActorId> Find(const std::string& name, const std::string& actor_namespace, ProcessId asker);
  void Watch(const ActorId& id, ProcessId process);  // the process hears of its changes, and at once where it is dead
  bool BearsName(const ActorId& id) const;
  // The processes watch and wait no longer; one pass for many. Actors that one of them created go on until
  // OwnersSettled.
  void ProcessesGone(const ProcessSet& processes);
  // Ends the actors that these processes created, except the kept ones, of which other processes hold handles.
  void OwnersSettled(const ProcessSet& processes, const std::function<bool(const ActorId&)>& is_kept = {});
  // The job's actors end, except detached ones and those that one of `survivors` created. Others may hold handles, and
  // the creator may have ended before.
  void JobEnded(JobId job, const ProcessSet& survivors);
  void LetGo(const ActorId& id);  // its creator has ended, and no process holds a handle any more

  std::vector<ActorDecision> TakeDecisions() { return std::exchange(decisions_, {}); }

  // ---- queries
  std::vector<ActorId> CreatedBy(const ProcessSet& processes) const;  // that live, and end with their handles
  const Actor* Get(const ActorId& id) const;                          // living ones only
  const SpreadMap<ActorId, Actor>& living() const { return living_; }
  size_t dead() const { return dead_.size(); }
  bool HasDetached(JobId job) const { return detached_.contains(job); }

 private:
  using Name = std::pair<std::string, std::string>;  // namespace, name
  Actor* Find(const ActorId& id);
  void Grant(const Actor& actor, const PendingOpen& open);
  // How the end of an incarnation came to be known.
  struct End {
    bool host_lost = false;    // its host has not said so,
    TimePoint serves_until{};  // and lets it serve so long
  };
  void Ended(Actor& actor, const Failure& failure, const End& end);
  void Restart(Actor& actor, TimePoint not_before);
  void Leave(Actor& actor, Failure failure);
  void Die(Actor& actor, Failure failure, bool host_lost = false);
  void FreeName(const Actor& actor);
  void Tell(const Actor& actor, std::shared_ptr<const Failure> failure, bool host_lost = false);
  Failure WhyDead(const ActorId& id) const;

  static bool EndsWithJob(const Actor& actor, const ProcessSet& survivors) {
    return !actor.settings().detached && !survivors.contains(actor.owner);
  }
  void EndWith(Actor& actor, std::string_view ended, std::string_view outlived);  // words for people
  void EndWithJob(Actor& actor);

  SpreadMap<ActorId, Actor> living_;
  std::unordered_map<JobId, size_t> detached_;  // of living_, by job
  std::map<Name, ActorId> names_;
  DeadActors dead_;
  std::vector<ActorDecision> decisions_;
};

// A failure of an actor, with the fields filled in that need no worker.
Failure ActorFailure(const Task& creation, std::string message, std::string hint);

}  // namespace raylet
