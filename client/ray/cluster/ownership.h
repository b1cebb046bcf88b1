// Ownership: what this process shares with others, and with whom. The objects and arrays whose ids
// have left through its hands, by id, since nobody else can name one. What it has lent: the holds
// behind a message that refers to its objects, arrays or actors. And the processes that have died,
// to which nothing can be lent any more. Owned by ClusterParts; any thread. A lend ends when the
// receiver says so, when the call it belonged to ends without being retained, or when the receiver
// dies. No hold is dropped under the lock, since dropping one may come back here: what ends a lend
// hands its holds out.
#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

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
  std::shared_ptr<StoreArray> FindArray(const ObjectId& id) const RAYLET_EXCLUDES(mutex_);
  // Unless somebody has added it anew.
  void ForgetObject(const ObjectId& id) RAYLET_EXCLUDES(mutex_);
  void ForgetArray(const ObjectId& id) RAYLET_EXCLUDES(mutex_);

  // ---- lends
  // 0: there is nothing to lend, or nobody to lend it to. `borrower` 0: not known yet.
  LendId Lend(ProcessId borrower, Holds holds) RAYLET_EXCLUDES(mutex_);
  void SetBorrower(LendId id, ProcessId borrower) RAYLET_EXCLUDES(mutex_);
  [[nodiscard]] Holds EndLend(LendId id) RAYLET_EXCLUDES(mutex_);
  // `by` returns it: nobody ends another's lend.
  [[nodiscard]] Holds EndLend(LendId id, ProcessId by) RAYLET_EXCLUDES(mutex_);
  // With a low half of 0: of all processes of that machine.
  [[nodiscard]] Holds EndLendsOf(ProcessId borrower) RAYLET_EXCLUDES(mutex_);
  [[nodiscard]] Holds EndAllLends() RAYLET_EXCLUDES(mutex_);  // this process goes

  // ---- the dead
  // With a low half of 0 a whole machine is lost, and `why` says how. Ends what was lent to them.
  [[nodiscard]] Holds MarkDead(ProcessId process, std::string why) RAYLET_EXCLUDES(mutex_);
  void MarkReachedAgain(ProcessId machine) RAYLET_EXCLUDES(mutex_);
  bool IsDead(ProcessId process) const RAYLET_EXCLUDES(mutex_);  // it, or its machine
  std::string WhyDead(ProcessId process) const RAYLET_EXCLUDES(mutex_);

 private:
  struct Lent {
    ProcessId borrower = 0;
    Holds holds;
  };
  bool IsDeadLocked(ProcessId process) const RAYLET_REQUIRES(mutex_);
  void TakeLendsOf(ProcessId borrower, Holds& out) RAYLET_REQUIRES(mutex_);

  mutable Mutex mutex_;
  std::unordered_map<ObjectId, std::weak_ptr<ClusterObject>> objects_ RAYLET_GUARDED_BY(mutex_);
  std::unordered_map<ObjectId, std::weak_ptr<StoreArray>> arrays_ RAYLET_GUARDED_BY(mutex_);
  std::unordered_map<LendId, Lent> lends_ RAYLET_GUARDED_BY(mutex_);
  LendId last_lend_ RAYLET_GUARDED_BY(mutex_) = 0;
  // Remembered for ever, since a reference to what they owned may come at any time.
  ProcessRanges dead_ RAYLET_GUARDED_BY(mutex_);
  std::unordered_map<ProcessId, std::string> dead_machines_ RAYLET_GUARDED_BY(mutex_);  // with why
};

}  // namespace raylet::client
