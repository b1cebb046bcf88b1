// Ends: the one order in which services and desks hear that a process, a job or a machine has
// ended. A later one may rely on what an earlier one has done, so the order is told here and
// nowhere else. Owned by the Raylet; loop thread only. Always holds: the end of a driver is one
// transaction. Workers that have gone are forgotten in batches, each in one transaction. A job is
// forgotten once it has ended for good and its last worker has gone.
//
// The order for a process: what is claimed of its, its tasks, its actors, its channels, its objects,
// then the processes of this machine, then the other machines, and last its settlement. For a job: first all its
// workers are on their way out and all its tasks are gone, so that nothing that follows starts one. Then come its
// actors, then the machines that have its program.
#pragma once

#include <string>
#include <vector>

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

  // ---- of processes of this machine
  void ProcessGone(const ProcessSession::Identity& identity, const Error& reason);
  void WorkersGone(const std::vector<GoneWorker>& gone);
  // Of who was killed with its job nothing is heard any more, nor is it told anything.
  bool EndsWithItsJob(const ProcessSession& session) const;

  // ---- of other machines, and of what they say has ended
  void MachineReached(const NodeId& node);
  void MachineGone(const NodeId& node, const Error& why);
  Result<void> OnJobEnded(const NodeId& node, const Frame& frame);
  Result<void> OnProcessEnded(const NodeId& node, const Frame& frame);

  // A detached actor may have been the last of a job.
  void ForgetEndedJobs();

 private:
  struct EndedProcess {
    ProcessId process = 0;
    std::string why;
  };
  void DriverGone(const ProcessSession::Identity& identity, const Error& reason);
  void WorkerClosed(const ProcessSession::Identity& identity);
  void ProcessesGone(const std::vector<EndedProcess>& ended);
  void EndJob(JobId id);
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
};

}  // namespace raylet
