// WorkerLeases: workers that are leased to a process, which sends them its tasks itself. It decides who gets a lease
// and when a lease ends. Pure; the raylet's loop thread. Time comes as ticks (kAheadTick).
// Always holds: a leased worker holds the resources of its lease until the worker returns it. No lease stays open while
// a task waits for what it holds. A wish is answered at once, or once the tasks of its process that came before it have
// ended.
#pragma once

#include <deque>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "raylet/scheduling/ahead_pace.h"
#include "raylet/scheduling/task_table.h"
#include "raylet/scheduling/worker_table.h"

namespace raylet {

// A process's wish for a worker. Ends in GrantWorker or RefuseWorker.
struct LeaseWish {
  ProcessId caller = 0;
  uint64_t request = 0;
  JobId job = 0;
  uint32_t depth = 0;
  ResourceSet resources;
  std::string environment = {};           // of the worker
  PlacementGroupId placement_group = {};  // of the tasks; nil: none
  WorkerGroup group() const { return {job, environment}; }
};

class WorkerLeases {
 public:
  using Worker = WorkerTable::Worker;
  // A lease ends after so many ticks in which no call began. Behind: calls wait behind a long one. Idle: the worker has
  // no call, or one long one.
  static constexpr int kTicksBehindMax = 2;
  static constexpr int kTicksIdleMax = 4;
  // A wish is refused after so many ticks without an end among the tasks that it waits for, and after so many at all.
  static constexpr int kTicksWithoutEndMax = 2;
  static constexpr int kTicksWaitingMax = 200;
  static constexpr size_t kWishesPerProcessMax = 64;

  // All outlive this.
  WorkerLeases(const ResourceLedger& ledger, const TaskQueue& queue, const TaskTable& tasks, WorkerTable& workers,
               Decisions& decisions)
      : ledger_(ledger), queue_(queue), tasks_(tasks), workers_(workers), decisions_(decisions) {}

  void Ask(LeaseWish wish);
  // Call it after all tasks that fit have been placed. `others`: other machines may take work, so that nobody waits.
  void Pass(bool others);
  // kProtocolError unless the worker has this lease.
  Result<void> Returned(WorkerId worker, WorkerLeaseId lease);
  void TaskEnded(ProcessId owner);

  // ---- ends of leases for other reasons
  void Shut(WorkerLeaseId lease);
  void ShutOf(ProcessId caller);    // its leases and wishes
  void Gone(const Worker& worker);  // the worker has died
  // Returns the workers that they leased.
  std::vector<WorkerId> CallersGone(const ProcessSet& callers);
  void JobEnded(JobId job);                        // its wishes
  void GroupEnded(const PlacementGroupId& group);  // likewise
  // Of placement groups, which wait for room here as tasks do.
  void SetWantedBundles(std::vector<ResourceNeeds> wanted) { wanted_bundles_ = std::move(wanted); }
  // Whether there is room once all leased workers have given back what they hold.
  bool WouldFit(const ResourceNeeds& needs) const { return WithLeases().Fits(needs); }

  // ---- time
  // What the gate of an open lease says: the last call that has begun, and the last one sent.
  void Saw(WorkerLeaseId lease, uint64_t begun, uint64_t pushed);
  void Tick();  // after Saw of every open lease
  bool WantsTick() const { return open_ > 0 || !wishes_.empty(); }

  size_t open() const { return open_; }
  ResourceSet Held() const;  // by the workers of open leases, of the machine's own resources
  size_t wishes() const { return wishes_.size(); }

 private:
  struct Lease {
    WorkerId worker = 0;
    ProcessId caller = 0;
    bool shut = false;
    uint64_t begun = 0;
    uint64_t pushed = 0;
    AheadPace pace;       // of calls that begin
    int ticks_still = 0;  // whole ticks in which no call began
    // Calls wait behind a long one, or far more of them than began lately.
    bool IsBehind() const {
      if (pushed <= begun) return false;
      return ticks_still >= kTicksBehindMax || (ticks_still == 0 && pace.Behind(pushed - begun));
    }
  };
  struct Wish {
    LeaseWish wish;
    std::optional<ResourceNeeds> needs;
    size_t ended = 0;  // tasks of its process, since the last tick
    int ticks_without_end = 0;
    int ticks = 0;
  };
  enum class Answer { kGrant, kRefuse, kWait };

  bool TasksWaitForLeases() const;
  bool BundlesWaitForLeases() const;
  ResourceLedger WithLeases() const;
  Answer AnswerTo(const Wish& wish, bool others);
  bool OnlyItsOwnWait(const LeaseWish& wish) const;
  bool RunsTaskOf(const Wish& wish) const;
  void Grant(const Wish& wish);
  void Refuse(const LeaseWish& wish) { decisions_.emplace_back(RefuseWorker{wish.caller, wish.request}); }

  const ResourceLedger& ledger_;
  const TaskQueue& queue_;
  const TaskTable& tasks_;
  WorkerTable& workers_;
  Decisions& decisions_;
  std::map<WorkerLeaseId, Lease> leases_;  // until they are returned
  size_t open_ = 0;                        // of leases_: not shut
  std::deque<Wish> wishes_;                // oldest first
  std::vector<ResourceNeeds> wanted_bundles_;
  WorkerLeaseId next_ = 1;
};

}  // namespace raylet
