// CancelDesk: tasks that their owners cancel. A task that no worker has ends at once. A worker that has it hears so,
// and ends where the owner wants it by force. A desk. Owned by the TaskDesk, with whose scheduler it works; loop thread
// only. Always holds: an owner gets one result of a task that it cancelled, as of any other.
#pragma once

#include <map>
#include <memory>

#include "base/loop.h"
#include "raylet/node/services.h"
#include "raylet/scheduling/scheduler.h"

namespace raylet {

// How long a worker has to end itself by force before it is killed.
constexpr std::chrono::milliseconds kForcePatience{1'000};

class CancelDesk {
 public:
  // All outlive it.
  CancelDesk(Scheduler& scheduler, const Services& services);

  Result<void> OnCancelTask(ProcessSession& session, const Frame& frame);
  Result<void> OnTaskCancelled(const NodeId& node, const Frame& frame);

 private:
  struct Forced {
    TaskId task;
    WorkerLeaseId lease = 0;  // 0: the scheduler knows the task
    TimePoint until;
  };
  void CancelLeased(ProcessId owner, const wire::CancelRequestT& request);
  void CancelCall(const ActorId& actor, const TaskId& call);
  void TellWorker(WorkerId worker, const TaskId& task, bool force, std::unique_ptr<wire::Id20> actor = nullptr);
  void Force(WorkerId worker, const TaskId& task, WorkerLeaseId lease);
  bool StillHas(WorkerId worker, const Forced& forced);
  void LookAtForced();
  void SetTimer();

  Loop& loop_;
  const Clock& clock_;
  Scheduler& scheduler_;
  PeerPost& post_;
  WorkerHouse& house_;
  std::map<WorkerId, Forced> forced_;  // workers that have to end
  bool waiting_ = false;               // whether timer_ runs
  Timer timer_;
};

}  // namespace raylet
