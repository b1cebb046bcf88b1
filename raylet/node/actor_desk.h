// ActorDesk: actors from their creation to their death. It has the actors whose home is here, with their names, and the
// actors of other homes that run here. A desk. It owns the ActorDirectory, which decides about the actors at home here,
// HostedActors and the ActorFinder. Owned by the Raylet; loop thread only. Always holds: an actor's home alone decides
// about it; a host tells the home what became of it, once.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <vector>

#include "raylet/actors/actor_directory.h"
#include "raylet/actors/actor_names.h"
#include "raylet/actors/hosted_actors.h"
#include "raylet/node/actor_calls.h"
#include "raylet/node/actor_finder.h"
#include "raylet/node/claimed_things.h"
#include "raylet/node/creations.h"
#include "raylet/node/services.h"

namespace raylet {

class ActorDesk final : public CreationEvents, public ActorHomes, public ClaimedActors {
 public:
  explicit ActorDesk(const Services& services);
  // Call it before anything else. All arguments outlive the desk. `job_may_end` is called
  // once a job has no detached actor any more.
  void Wire(CreationQueue& queue, ActorCallEvents& calls, std::function<void()> job_may_end);
  void ShareNames(ControlLink& control);  // from now on; it lives as long as the desk

  // ---- messages of processes
  Result<void> OnCreateActor(ProcessSession& session, const Frame& frame);
  Result<void> OnKillActor(ProcessSession& session, const Frame& frame);
  Result<void> OnReleaseActor(ProcessSession& session, const Frame& frame);
  Result<void> OnActorExited(ProcessSession& session, const Frame& frame);

  // ---- messages of a home to the actor's host
  Result<void> OnEndActor(const NodeId& node, const Frame& frame);
  // ---- messages to an actor's home
  Result<void> OnActorGone(const NodeId& node, const Frame& frame);
  Result<void> OnActorLeaves(const NodeId& node, const Frame& frame);
  Result<void> OnKillRemote(const NodeId& node, const Frame& frame);
  ActorFinder& finder() { return finder_; }  // by name

  // ---- what the task desk and the channel desk say
  void OnCreationCame(const TaskPtr& creation) override;
  std::optional<Begins> OnCreationPlaced(const Task& creation, const Place& place) override;
  void OnConstructed(const ActorId& actor, ProcessId process) override;
  void OnConstructorFailed(const ActorId& actor, const Failure& failure) override;
  void OnCreationReturned(const ActorId& actor, const NodeId& node) override { actors_.Returned(actor, node); }
  void OnCreationLost(const Task& creation, Failure failure) override;
  Result<void> OpenActor(const ActorId& actor, ProcessId caller, uint64_t request_id) override;
  void GrantFailed(const ActorId& actor, ProcessId caller, uint64_t request_id) override;
  WorkerId WorkerOf(const ActorId& actor) const override;
  LeaseNumber LeaseOf(const ActorId& actor) const override;
  size_t CallsAtOnceOf(const ActorId& actor) const override;

  // ---- ends (see ends.h)
  void WorkerGone(const GoneWorker& gone);
  void ProcessesGone(const ProcessSet& processes) { actors_.ProcessesGone(processes); }
  // As ActorDirectory::JobEnded. `ended`: processes of the job that end with it.
  void JobEnded(JobId job, const ProcessSet& ended, const ProcessSet& survivors);
  // ---- for the claim desk
  bool Lives(const ActorId& actor) const override { return actors_.Get(actor) != nullptr; }
  std::vector<ObjectId> StoredArgumentsOf(const ActorId& actor) const override;
  std::vector<ActorId> CreatedBy(const ProcessSet& processes) const override { return actors_.CreatedBy(processes); }
  void CreatorsSettled(const ProcessSet& processes, const std::function<bool(const ActorId&)>& is_kept) override;
  void LetGo(const ActorId& actor) override;
  void MachineLost(const NodeId& node) { hosted_.HomeLost(node); }  // at once: its actors here are no more
  // As ActorDirectory::MachineLost.
  size_t TellMachineLost(const ActorDirectory::LostMachine& lost, size_t part) {
    return actors_.MachineLost(lost, part);
  }

  // ---- decisions
  std::vector<ActorDecision> TakeDecisions() { return actors_.TakeDecisions(); }
  void CarryOut(const std::vector<ActorDecision>& decisions);

  const ActorDirectory& directory() const { return actors_; }
  const HostedActors& hosted() const { return hosted_; }

 private:
  void NameTaken(const ActorId& id, const Result<void>& taken);
  void TellActorGone(const HostedActors::Hosted& hosted, bool never_began, Failure failure);
  void Create(const CreateActorNow& create);
  void CreateLater(const CreateActorNow& create, Duration wait);
  void End(const EndActorWorker& end);
  void Publish(const ActorMoved& moved);

  PeerPost& post_;
  ProcessDoor& door_;
  WorkerHouse& house_;
  Jobs& jobs_;
  DecisionLoop& decisions_;
  HostLeases& leases_;
  Loop& loop_;
  const Clock& clock_;
  CreationQueue* queue_ = nullptr;    // null before Wire
  ActorCallEvents* calls_ = nullptr;  // null before Wire
  std::function<void()> job_may_end_;
  ActorDirectory actors_;
  HostedActors hosted_;
  ActorNames names_;
  ActorFinder finder_;
  std::map<ActorId, Timer> waits_;  // restarts that wait until the incarnation before surely serves no more
};

}  // namespace raylet
