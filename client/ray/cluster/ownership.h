// Ownership: the objects that this process shares with others. It finds objects and arrays by id, once their ids have
// left the process, since only then can others name them. It keeps the lends: the holds behind each message that refers
// to this process's objects, arrays or actors. It keeps the holds that others claim after their lender has ended. It
// knows the processes that have ended, to which nothing can be lent any more. Owned by ClusterParts; any thread. A lend
// ends when the borrower returns it, or when its call ends without retaining it. A borrower that has ended may have
// passed the objects on. Then the lend ends once that end is settled: by then all others have claimed what they had
// through the borrower. No hold is dropped under the lock, since dropping one may call back here. So functions that end
// a lend return its holds.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include <absl/container/flat_hash_map.h>
#include <ray/internal/runtime.h>

#include "base/mutex.h"
#include "fbs/ids.h"
#include "fbs/process_ranges.h"

namespace raylet::client {

class ClusterObject;
class StoreArray;

using Holds = std::vector<ray::internal::Hold>;

class Ownership {
 public:
  // ---- objects and arrays by id
  void Add(const std::shared_ptr<ClusterObject>& object) RAYLET_EXCLUDES(mutex_);
  void Add(const std::shared_ptr<StoreArray>& array) RAYLET_EXCLUDES(mutex_);
  std::shared_ptr<ClusterObject> FindObject(const ObjectId& id) const RAYLET_EXCLUDES(mutex_);
  // The object that has this one's id already, or this one, added.
  std::shared_ptr<ClusterObject> FindOrAdd(const std::shared_ptr<ClusterObject>& object) RAYLET_EXCLUDES(mutex_);
  std::shared_ptr<StoreArray> FindArray(const ObjectId& id) const RAYLET_EXCLUDES(mutex_);
  // Whether others may refer to an object of `owner`, this process, that is not made yet.
  bool OwesResults(ProcessId owner) const RAYLET_EXCLUDES(mutex_);
  // Does nothing where the object was added anew.
  void ForgetObject(const ObjectId& id) RAYLET_EXCLUDES(mutex_);
  void ForgetArray(const ObjectId& id) RAYLET_EXCLUDES(mutex_);

  // Call it before anything else. `find` finds an actor by its id.
  void WireActors(std::function<ray::internal::Hold(const ObjectId&)> find) { find_actor_ = std::move(find); }

  // ---- claims that the raylet reports
  bool HoldClaimed(const ObjectId& id) RAYLET_EXCLUDES(mutex_);  // false: it is freed already
  [[nodiscard]] ray::internal::Hold LetGo(const ObjectId& id) RAYLET_EXCLUDES(mutex_);
  // A hold on an object, array or actor of this process; null where it is not known any more.
  ray::internal::Hold HoldOf(const ObjectId& id) const RAYLET_EXCLUDES(mutex_);

  // ---- lends
  // 0: there is nothing to lend, or nobody to lend it to. `borrower` 0: not known yet.
  LendId Lend(ProcessId borrower, Holds holds) RAYLET_EXCLUDES(mutex_);
  void SetBorrower(LendId id, ProcessId borrower) RAYLET_EXCLUDES(mutex_);
  [[nodiscard]] Holds EndLend(LendId id) RAYLET_EXCLUDES(mutex_);
  // The borrower retains only these of what it was lent: the lend lets go of all else.
  [[nodiscard]] Holds KeepOnly(LendId id, std::span<const ObjectId> retained) RAYLET_EXCLUDES(mutex_);
  // `by` returns the lend. Only its borrower may do so.
  [[nodiscard]] Holds EndLend(LendId id, ProcessId by) RAYLET_EXCLUDES(mutex_);
  // A low half of 0 stands for all processes of that machine.
  [[nodiscard]] Holds EndLendsOf(ProcessId borrower) RAYLET_EXCLUDES(mutex_);
  [[nodiscard]] Holds EndAllLends() RAYLET_EXCLUDES(mutex_);  // this process goes

  // ---- the dead
  // A low half of 0 stands for a whole machine, which is lost; `why` says how.
  void MarkEnded(std::span<const ProcessId> processes, const std::string& why) RAYLET_EXCLUDES(mutex_);
  // Ends the lends to these processes.
  [[nodiscard]] Holds MarkSettled(std::span<const ProcessId> processes) RAYLET_EXCLUDES(mutex_);
  void MarkReachedAgain(ProcessId machine) RAYLET_EXCLUDES(mutex_);
  bool IsDead(ProcessId process) const RAYLET_EXCLUDES(mutex_);  // it, or its machine
  bool IsMachineLost(ProcessId process) const RAYLET_EXCLUDES(mutex_);
  std::string WhyDead(ProcessId process) const RAYLET_EXCLUDES(mutex_);

  // ---- for tests: the entries that must be gone once nobody refers to anything
  struct Counts {
    size_t objects = 0, arrays = 0;  // known by id
    size_t claimed = 0;              // held, because others claim them
    size_t lends = 0;
    bool operator==(const Counts&) const = default;
  };
  Counts counts() const RAYLET_EXCLUDES(mutex_);

 private:
  struct Lent {
    ProcessId borrower = 0;
    Holds holds;
    bool over = false;  // no process will return it: it stays until all of `tried` are settled
    // Processes that may have had the lend, ended and not settled, while the borrower was not known.
    std::vector<ProcessId> tried;
  };
  using Lends = absl::flat_hash_map<LendId, Lent>;
  bool IsDeadLocked(ProcessId process) const RAYLET_REQUIRES(mutex_);
  bool IsUnsettled(ProcessId process) const RAYLET_REQUIRES(mutex_);
  Holds Take(Lends::iterator lend) RAYLET_REQUIRES(mutex_);
  void TakeLendsOf(ProcessId borrower, Holds& out) RAYLET_REQUIRES(mutex_);

  std::function<ray::internal::Hold(const ObjectId&)> find_actor_;
  mutable Mutex mutex_;
  std::unordered_map<ObjectId, std::weak_ptr<ClusterObject>> objects_ RAYLET_GUARDED_BY(mutex_);
  absl::flat_hash_map<ObjectId, std::weak_ptr<StoreArray>, std::hash<ObjectId>> arrays_ RAYLET_GUARDED_BY(mutex_);
  // Remembered for ever, since a reference to what they owned may come at any time.
  ProcessRanges dead_ RAYLET_GUARDED_BY(mutex_);
  std::unordered_set<ProcessId> unsettled_ RAYLET_GUARDED_BY(mutex_);  // of dead_
  struct DeadMachine {
    std::string why;
    bool settled = false;
  };
  std::unordered_map<ProcessId, DeadMachine> dead_machines_ RAYLET_GUARDED_BY(mutex_);
  // Last: destroying these holds may ask about the dead.
  std::unordered_map<ObjectId, ray::internal::Hold> claimed_ RAYLET_GUARDED_BY(mutex_);
  Lends lends_ RAYLET_GUARDED_BY(mutex_);
  LendId last_lend_ RAYLET_GUARDED_BY(mutex_) = 0;
};

}  // namespace raylet::client
