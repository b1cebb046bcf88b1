// TaskDesk: tasks from their submission to their end. It hears the messages of this machine's processes about tasks,
// and carries out the scheduler's decisions. A desk. It owns the Scheduler, the ForwardDesk for tasks between
// machines, the LeaseDesk, the CancelDesk, the GroupDesk and the StuckDesk. Owned by the Raylet; loop thread only.
// Always holds: each task that a process submitted gets one result or goes back for want of room, unless its owner ends
// first.
#pragma once

#include <unordered_map>
#include <vector>

#include "base/later_turn.h"
#include "raylet/node/cancel_desk.h"
#include "raylet/node/creations.h"
#include "raylet/node/forward_desk.h"
#include "raylet/node/group_desk.h"
#include "raylet/node/lease_desk.h"
#include "raylet/node/raylet_options.h"
#include "raylet/node/services.h"
#include "raylet/node/stuck_desk.h"
#include "raylet/node/travelling_objects.h"
#include "raylet/scheduling/scheduler.h"

namespace raylet {

class TaskDesk final : public CreationQueue, public ArgumentEvents {
 public:
  TaskDesk(const RayletOptions& options, const Services& services);
  // Call it before anything else. Both outlive the desk. `job_may_end` is called when tasks have gone in a later turn
  // than their job's end.
  void Wire(CreationEvents& creations, TravellingObjects& objects, std::function<void()> job_may_end);
  void JoinCluster(const ObjectPlaces& places);

  // ---- messages of processes
  Result<void> OnReady(ProcessSession& session, const Frame& frame);
  Result<void> OnSubmitTask(ProcessSession& session, const Frame& frame);
  Result<void> OnTaskDone(ProcessSession& session, const Frame& frame);
  Result<void> OnTasksRecalled(ProcessSession& session, const Frame& frame);
  Result<void> OnBlocked(ProcessSession& session, const Frame& frame);
  Result<void> OnStays(ProcessSession& session, const Frame& frame);
  // Most of what a process is sent are results. So none of its tasks begins while it is behind.
  void OnProcessBehind(ProcessId process, bool behind) { scheduler_.OwnerBehind(process, behind); }
  ForwardDesk& forwarded() { return forwarded_; }  // hears the messages of other machines
  LeaseDesk& leases() { return leases_; }          // hears the messages about leases
  CancelDesk& cancels() { return cancels_; }       // hears who cancels a task
  const LeaseDesk& leases() const { return leases_; }
  GroupDesk& groups() { return groups_; }  // hears the messages about placement groups
  const GroupDesk& groups() const { return groups_; }

  // ---- for the actor desk and the object desk
  Result<void> SubmitCreation(const TaskPtr& creation) override;
  std::string WhyGroupEnded(const Task& creation) const override { return groups_.WhyEnded(creation); }
  void CancelCreation(const TaskId& creation) override { scheduler_.Cancel(creation); }
  void ActorLeft(const NodeId& node, const ActorId& actor) override { scheduler_.ActorLeft(node, actor); }
  void CreationEndedThere(const NodeId& node, const TaskId& creation) override;
  void EndWorker(WorkerId worker, bool at_once) override;
  void OnArgumentSealed(const ObjectId& object) override;
  void OnArgumentLost(const ObjectId& object, const std::string& why) override;

  // ---- ends (see ends.h)
  void WorkerStopping(WorkerId worker) { scheduler_.WorkerStopping(worker); }
  void WorkerGone(const GoneWorker& gone);
  void OwnersGone(const ProcessSet& processes);
  // The processes of the job's detached actors, of the workers that run tasks for them, and so on. A detached actor of
  // another home ends with its job, which its home ends last.
  ProcessSet SurvivorsOf(JobId job) const;
  // Kills the job's other workers, and returns their processes.
  ProcessSet EndJob(JobId job, const ProcessSet& survivors, bool for_good);
  bool HasTasks(JobId job) const { return scheduler_.HasTasks(job); }
  void JobGone(JobId job) { scheduler_.JobGone(job); }
  void MachineLost(const NodeId& node);
  void ClusterChanged();  // a load has changed, or a machine has come

  // ---- decisions
  std::vector<SchedulerDecision> TakeDecisions() {
    forwarded_.SubmitEarly();
    return scheduler_.TakeDecisions();
  }
  void CarryOut(const std::vector<SchedulerDecision>& decisions);
  void CarriedOut();  // called once all decisions of this turn have been carried out

  const Scheduler& scheduler() const { return scheduler_; }

 private:
  void StartOne(const StartWorker& start);
  void Run(const RunTask& run);
  void TellDevices(const UseDevices& use);
  void RecallAhead(const RecallFromWorker& recall);
  void TellOfRoom(const TellRoom& room);
  void Watch(const WatchObjects& watch);
  void WorkOff();
  void Lose(const LoseTask& lost);
  WorkerExit ExitOf(WorkerId worker) const;  // of a worker that has gone in this event
  wire::FailureT FailureOf(const LoseTask& lost) const;
  void Refuse(const Task& task, const Error& why);
  void Kill(const std::vector<WorkerId>& workers);
  void DeleteUntoldResult(const GoneWorker& gone);
  bool MayBeSealed(const ObjectId& object) const;

  const GpuNames& gpus_;
  Loop& loop_;
  StoreLink& store_;
  PeerPost& post_;
  ProcessDoor& door_;
  WorkerHouse& house_;
  Jobs& jobs_;
  DecisionLoop& decisions_;
  EndNotices& end_notices_;
  CreationEvents* creations_ = nullptr;   // null before Wire
  TravellingObjects* objects_ = nullptr;  // null before Wire
  Scheduler scheduler_;
  ForwardDesk forwarded_;
  LeaseDesk leases_;
  CancelDesk cancels_;
  GroupDesk groups_;
  StuckDesk stuck_;
  std::unordered_map<WorkerId, WorkerExit> recent_exits_;  // of the event under way
  bool ticking_ = false;
  Timer ahead_ticker_;
  std::function<void()> job_may_end_;
  LaterTurn work_off_{loop_, [this] { WorkOff(); }};  // what is left of events that concern very many tasks
};

}  // namespace raylet
