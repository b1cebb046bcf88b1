// Ends: the one order in which services and desks hear that a process, a job or a machine has ended. A later desk may
// rely on the work of an earlier one, so the order stands here and nowhere else. Owned by the Raylet; loop thread only.
// Always holds: the end of a driver is one transaction. Workers that have gone are forgotten in batches, each in one
// transaction. A job is forgotten once it has ended for good, its last worker has gone, and its tasks have gone too, of
// which there may be very many.
//
// The order for a process: the claims of its objects, its tasks, its actors, its channels, its objects. Then the
// processes of this machine hear of the end, then the other machines. Its settlement opens last. The order for a job:
// first all its workers are told to end and all its tasks go, so that no later step starts a worker. Then its actors
// end, and then the machines that have its program hear of it.
//
// The order for a machine: its objects, its jobs and its tasks at once. Then, a part in each turn: the actors that it
// hosted and those that its jobs have created here, the actors whose home it was, the channels. At last the processes
// of this machine hear that it is lost, and its settlement opens. Several losses are told one after the other. A
// machine is told to be there again only after its loss.
#pragma once

#include <deque>
#include <string>
#include <vector>

#include "base/later_turn.h"
#include "raylet/node/actor_desk.h"
#include "raylet/node/channel_desk.h"
#include "raylet/node/claim_desk.h"
#include "raylet/node/object_desk.h"
#include "raylet/node/services.h"
#include "raylet/node/task_desk.h"

namespace raylet {

class Ends {
 public:
  // All outlive it.
  Ends(const Services& services, TaskDesk& tasks, ActorDesk& actors, ChannelDesk& channels, ObjectDesk& objects,
       ClaimDesk& claims);

  // ---- ends of processes of this machine
  void ProcessGone(const ProcessSession::Identity& identity, const Error& reason);
  void WorkersGone(const std::vector<GoneWorker>& gone);

  // ---- ends of other machines, and ends that they report
  void MachineReached(const NodeId& node);
  // `serves_until`: what runs there may serve callers so long.
  void MachineLost(const NodeId& node, const Error& why, TimePoint serves_until);
  Result<void> OnJobEnded(const NodeId& node, const Frame& frame);
  Result<void> OnProcessEnded(const NodeId& node, const Frame& frame);

  // Call it once something has ended that may have been the last of an ended job. Looks in a later turn.
  void ForgetEndedJobsSoon() { forget_jobs_.Ask(); }

 private:
  struct EndedProcess {
    ProcessId process = 0;
    std::string why;
  };
  struct MachineLoss {
    ActorDirectory::LostMachine lost;
    Error why;
    size_t next_part = 0;  // of the actors
  };
  void TellLosses(size_t most);
  void TellLoss(const MachineLoss& loss);
  void DriverGone(const ProcessSession::Identity& identity, const Error& reason);
  void WorkerClosed(const ProcessSession::Identity& identity);
  void ProcessesGone(const std::vector<EndedProcess>& ended);
  struct EndedJob {
    ProcessSet ended;  // its processes here
    ProcessSet survivors;
  };
  void EndJob(JobId id);
  EndedJob EndWorkersOf(JobId id);
  void ForgetEndedJobs();
  void ForgetJobWhenDone(JobId id);

  PeerPost& post_;
  WorkerHouse& house_;
  Jobs& jobs_;
  DecisionLoop& decisions_;
  EndNotices& notices_;
  TaskDesk& tasks_;
  ActorDesk& actors_;
  ChannelDesk& channels_;
  ObjectDesk& objects_;
  ClaimDesk& claims_;
  std::deque<MachineLoss> losses_;  // that have still to be told
  LaterTurn tell_losses_, forget_jobs_;
};

}  // namespace raylet
