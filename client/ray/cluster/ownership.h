// Ownership: what this process shares with others, and with whom. The objects and arrays whose ids
// have left through its hands, by id, since nobody else can name one. What it has lent: the holds
// behind a message that refers to its objects, arrays or actors. What others claim of it after their
// lender has ended. And the processes that have ended, to which nothing can be lent any more. Owned
// by ClusterParts; any thread.
// A lend ends when the receiver says so, or when the call it belonged to ends without being retained.
// Where the receiver has ended it may have passed the objects on: then the lend ends once that end is
// settled, when all others have claimed what they had through the dead.
// No hold is dropped under the lock, since dropping one may come back here: what ends a lend hands its
// holds out.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <unordered_set>
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

  // Before anything else: how an actor is found, by the bytes of its id.
  void WireActors(std::function<ray::internal::Hold(const ObjectId&)> find) { find_actor_ = std::move(find); }

  // ---- claims, as the raylet says
  void HoldClaimed(const ObjectId& id) RAYLET_EXCLUDES(mutex_);
  [[nodiscard]] ray::internal::Hold LetGo(const ObjectId& id) RAYLET_EXCLUDES(mutex_);
  // Of an object, array or actor of this process; null where it is not known any more.
  ray::internal::Hold HoldOf(const ObjectId& id) const RAYLET_EXCLUDES(mutex_);

  // ---- lends
  // 0: there is nothing to lend, or nobody to lend it to. `borrower` 0: not known yet.
  LendId Lend(ProcessId borrower, Holds holds) RAYLET_EXCLUDES(mutex_);
  void SetBorrower(LendId id, ProcessId borrower) RAYLET_EXCLUDES(mutex_);
  [[nodiscard]] Holds EndLend(LendId id) RAYLET_EXCLUDES(mutex_);
  // The borrower retains only these of what it was lent: the lend lets go of all else.
  [[nodiscard]] Holds KeepOnly(LendId id, std::span<const ObjectId> retained) RAYLET_EXCLUDES(mutex_);
  // `by` returns it: nobody ends another's lend.
  [[nodiscard]] Holds EndLend(LendId id, ProcessId by) RAYLET_EXCLUDES(mutex_);
  // With a low half of 0: of all processes of that machine.
  [[nodiscard]] Holds EndLendsOf(ProcessId borrower) RAYLET_EXCLUDES(mutex_);
  [[nodiscard]] Holds EndAllLends() RAYLET_EXCLUDES(mutex_);  // this process goes

  // ---- the dead
  // With a low half of 0 a whole machine is lost, and `why` says how.
  void MarkEnded(std::span<const ProcessId> processes, const std::string& why) RAYLET_EXCLUDES(mutex_);
  // Ends what was lent to them.
  [[nodiscard]] Holds MarkSettled(std::span<const ProcessId> processes) RAYLET_EXCLUDES(mutex_);
  void MarkReachedAgain(ProcessId machine) RAYLET_EXCLUDES(mutex_);
  bool IsDead(ProcessId process) const RAYLET_EXCLUDES(mutex_);  // it, or its machine
  bool IsMachineLost(ProcessId process) const RAYLET_EXCLUDES(mutex_);
  std::string WhyDead(ProcessId process) const RAYLET_EXCLUDES(mutex_);

 private:
  struct Lent {
    ProcessId borrower = 0;
    Holds holds;
    bool over = false;             // nobody returns it: it stays until all of `tried` are settled
    std::vector<ProcessId> tried;  // ended, and not settled, while the borrower was not known: may have had it
  };
  using Lends = std::unordered_map<LendId, Lent>;
  bool IsDeadLocked(ProcessId process) const RAYLET_REQUIRES(mutex_);
  bool IsUnsettled(ProcessId process) const RAYLET_REQUIRES(mutex_);
  Holds Take(Lends::iterator lend) RAYLET_REQUIRES(mutex_);
  void TakeLendsOf(ProcessId borrower, Holds& out) RAYLET_REQUIRES(mutex_);

  std::function<ray::internal::Hold(const ObjectId&)> find_actor_;
  mutable Mutex mutex_;
  std::unordered_map<ObjectId, std::weak_ptr<ClusterObject>> objects_ RAYLET_GUARDED_BY(mutex_);
  std::unordered_map<ObjectId, std::weak_ptr<StoreArray>> arrays_ RAYLET_GUARDED_BY(mutex_);
  // Remembered for ever, since a reference to what they owned may come at any time.
  ProcessRanges dead_ RAYLET_GUARDED_BY(mutex_);
  std::unordered_set<ProcessId> unsettled_ RAYLET_GUARDED_BY(mutex_);  // of dead_
  struct DeadMachine {
    std::string why;
    bool settled = false;
  };
  std::unordered_map<ProcessId, DeadMachine> dead_machines_ RAYLET_GUARDED_BY(mutex_);
  // Last: what these hold may ask about the dead as it goes.
  std::unordered_map<ObjectId, ray::internal::Hold> claimed_ RAYLET_GUARDED_BY(mutex_);
  Lends lends_ RAYLET_GUARDED_BY(mutex_);
  LendId last_lend_ RAYLET_GUARDED_BY(mutex_) = 0;
};

}  // namespace raylet::client
