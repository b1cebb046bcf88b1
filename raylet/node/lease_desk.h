// LeaseDesk: leases of workers to processes of this machine. It hears wishes and returns, makes the channel of each
// lease, and shuts its gate. A desk. Owned by the TaskDesk, whose scheduler decides about leases; loop thread only.
// Always holds: each wish gets one reply, unless its process ends first. A lease that ends before its worker returns it
// is told to its caller.
#pragma once

#include <map>

#include "base/shm_segment.h"
#include "fbs/call_gate.h"
#include "raylet/actors/failure_text.h"
#include "raylet/node/services.h"
#include "raylet/scheduling/scheduler.h"

namespace raylet {

class LeaseDesk {
 public:
  // All outlive it.
  LeaseDesk(Scheduler& scheduler, const Services& services);

  Result<void> OnLeaseWorker(ProcessSession& session, const Frame& frame);
  Result<void> OnLeaseReturned(ProcessSession& session, const Frame& frame);

  // ---- decisions
  void Grant(const GrantWorker& grant);
  void Refuse(const RefuseWorker& refuse);
  void Shut(const ShutLease& shut);
  void Lose(const LoseLease& lost, const WorkerExit& exit);

  void Look() const;  // at every gate, before the scheduler's tick
  // The calls that this lease's worker has begun.
  uint64_t CallsOf(WorkerLeaseId lease) const;

 private:
  // The page of a channel that holds the gate. The raylet made its memory, whose size is sealed.
  struct Gate {
    Mapping page;
    CallGate& operator*() const { return *page.As<CallGate>(); }
  };
  Result<UniqueFd> Open(const GrantWorker& grant, ProcessSession& worker, ProcessSession& caller);

  Scheduler& scheduler_;
  ProcessDoor& door_;
  WorkerHouse& house_;
  EndNotices& end_notices_;
  std::map<WorkerLeaseId, Gate> gates_;
};

}  // namespace raylet
