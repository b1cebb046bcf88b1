#include "client/ray/cluster/ownership.h"

#include <algorithm>
#include <iterator>
#include <unordered_set>
#include <utility>

#include "base/strings.h"
#include "client/ray/cluster/cluster_object.h"
#include "client/ray/cluster/lent_hold.h"
#include "client/ray/cluster/store_array.h"

namespace raylet::client {
namespace {

template <class Table>
auto FindIn(const Table& table, const ObjectId& id) {
  const auto found = table.find(id);
  return found == table.end() ? nullptr : found->second.lock();
}

template <class Table>
void ForgetIn(Table& table, const ObjectId& id) {
  if (const auto found = table.find(id); found != table.end() && found->second.expired()) table.erase(found);
}

}  // namespace

void Ownership::Add(const ClusterObjectPtr& object) {
  if (object->registered()) return;
  const MutexLock lock(mutex_);
  objects_[object->id()] = object;
  object->MarkRegistered();
}

ClusterObjectPtr Ownership::FindOrAdd(const ClusterObjectPtr& object) {
  const MutexLock lock(mutex_);
  if (ClusterObjectPtr known = FindIn(objects_, object->id()); known != nullptr) return known;
  objects_[object->id()] = object;
  object->MarkRegistered();
  return object;
}

void Ownership::Add(const std::shared_ptr<StoreArray>& array) {
  const MutexLock lock(mutex_);
  arrays_[array->id()] = array;
}

ClusterObjectPtr Ownership::FindObject(const ObjectId& id) const {
  const MutexLock lock(mutex_);
  return FindIn(objects_, id);
}

std::shared_ptr<StoreArray> Ownership::FindArray(const ObjectId& id) const {
  const MutexLock lock(mutex_);
  return FindIn(arrays_, id);
}

// This process refers to all results for which it waits itself. Others refer to those that a lend or a claim reaches.
bool Ownership::OwesResults(ProcessId owner) const {
  std::vector<ClusterObjectPtr> seen;  // dropped after the lock
  const MutexLock lock(mutex_);
  std::unordered_set<ObjectId> unmade;
  for (const auto& [id, object] : objects_) {
    if (OwnerOf(id) != owner) continue;
    seen.push_back(object.lock());
    if (seen.back() != nullptr && !seen.back()->ready()) unmade.insert(id);
  }
  if (unmade.empty()) return false;
  const auto reaches = [&](const ray::internal::Hold& hold) {
    const LentHold* const lent = LentHold::In(hold);
    return lent == nullptr || unmade.contains(lent->id()) || lent->MayReferTo(unmade);
  };
  for (const auto& [id, lend] : lends_)
    if (std::any_of(lend.holds.begin(), lend.holds.end(), reaches)) return true;
  for (const auto& [id, hold] : claimed_) {
    if (unmade.contains(id)) return true;
    seen.push_back(FindIn(objects_, id));
    if (seen.back() != nullptr && reaches(LentHold::OfObject(seen.back()))) return true;
  }
  return false;
}

void Ownership::ForgetObject(const ObjectId& id) {
  const MutexLock lock(mutex_);
  ForgetIn(objects_, id);
}

void Ownership::ForgetArray(const ObjectId& id) {
  const MutexLock lock(mutex_);
  ForgetIn(arrays_, id);
}

LendId Ownership::Lend(ProcessId borrower, Holds holds) {
  if (holds.empty()) return 0;
  const MutexLock lock(mutex_);
  if (IsDeadLocked(borrower)) return 0;  // the holds, an argument, go after the lock
  const LendId id = ++last_lend_;
  Lent& lent = lends_[id];
  lent.borrower = borrower;
  lent.holds = std::move(holds);
  return id;
}

void Ownership::SetBorrower(LendId id, ProcessId borrower) {
  Holds ended;
  const MutexLock lock(mutex_);
  const auto lend = lends_.find(id);
  if (lend == lends_.end()) return;
  lend->second.borrower = borrower;
  // The process has gone for good, and MarkSettled does not come again for it.
  if (IsDeadLocked(borrower) && !IsUnsettled(borrower)) ended = Take(lend);
}

// A process that had the lend before may have passed the objects on.
Holds Ownership::Take(Lends::iterator lend) {
  Lent& lent = lend->second;
  if (!lent.tried.empty()) {
    lent.over = true;
    return {};
  }
  Holds holds = std::move(lent.holds);
  lends_.erase(lend);
  return holds;
}

Holds Ownership::EndLend(LendId id) {
  const MutexLock lock(mutex_);
  const auto lend = lends_.find(id);
  if (lend == lends_.end()) return {};
  return Take(lend);
}

Holds Ownership::KeepOnly(LendId id, std::span<const ObjectId> retained) {
  const std::unordered_set<ObjectId> named(retained.begin(), retained.end());
  const MutexLock lock(mutex_);
  const auto lend = lends_.find(id);
  // Others may have it who said nothing of what they retain.
  if (lend == lends_.end() || !lend->second.tried.empty()) return {};
  std::unordered_set<ObjectId> inside = named;
  Holds stay, others;
  for (auto& hold : lend->second.holds) {
    const LentHold* const lent = LentHold::In(hold);
    const bool stays = lent == nullptr || (named.contains(lent->id()) && lent->Keeps());
    if (stays && lent != nullptr) inside.erase(lent->id());
    (stays ? stay : others).push_back(std::move(hold));
  }
  // These came out of an object that was lent, and need it.
  if (!inside.empty()) {
    const auto needed = std::stable_partition(others.begin(), others.end(), [&](const ray::internal::Hold& hold) {
      return !LentHold::In(hold)->MayReferTo(inside);
    });
    std::move(needed, others.end(), std::back_inserter(stay));
    others.erase(needed, others.end());
  }
  lend->second.holds = std::move(stay);
  return others;
}

Holds Ownership::EndLend(LendId id, ProcessId by) {
  const MutexLock lock(mutex_);
  const auto lend = lends_.find(id);
  if (lend == lends_.end() || (lend->second.borrower != 0 && lend->second.borrower != by)) return {};
  return Take(lend);
}

Holds Ownership::EndLendsOf(ProcessId borrower) {
  Holds ended;
  const MutexLock lock(mutex_);
  TakeLendsOf(borrower, ended);
  return ended;
}

Ownership::Counts Ownership::counts() const {
  const MutexLock lock(mutex_);
  return {objects_.size(), arrays_.size(), claimed_.size(), lends_.size()};
}

Holds Ownership::EndAllLends() {
  Holds ended;
  const MutexLock lock(mutex_);
  for (auto& [id, lend] : lends_)
    for (auto& hold : lend.holds) ended.push_back(std::move(hold));
  lends_.clear();
  for (auto& [id, hold] : claimed_) ended.push_back(std::move(hold));
  claimed_.clear();
  return ended;
}

void Ownership::TakeLendsOf(ProcessId borrower, Holds& out) {
  for (auto lend = lends_.begin(); lend != lends_.end();) {
    const auto at = lend++;
    const ProcessId has_it = at->second.borrower;
    if (has_it == 0 || (has_it != borrower && AllProcessesOf(MachineOf(has_it)) != borrower)) continue;
    for (auto& hold : Take(at)) out.push_back(std::move(hold));
  }
}

void Ownership::MarkEnded(std::span<const ProcessId> processes, const std::string& why) {
  const MutexLock lock(mutex_);
  for (const ProcessId process : processes) {
    if (StandsForMachine(process)) {
      dead_machines_.insert_or_assign(process, DeadMachine{why, false});
    } else {
      dead_.Add(process);
      unsettled_.insert(process);
    }
  }
  for (auto& [id, lend] : lends_)
    if (lend.borrower == 0) lend.tried.insert(lend.tried.end(), processes.begin(), processes.end());
}

Holds Ownership::MarkSettled(std::span<const ProcessId> processes) {
  Holds out;
  const MutexLock lock(mutex_);
  std::unordered_set<ProcessId> settled;
  for (const ProcessId process : processes) {
    if (!StandsForMachine(process)) {
      unsettled_.erase(process);
    } else {
      const auto machine = dead_machines_.find(process);
      if (machine == dead_machines_.end()) continue;  // the machine is back
      machine->second.settled = true;
      std::erase_if(unsettled_, [process](ProcessId each) { return AllProcessesOf(MachineOf(each)) == process; });
    }
    settled.insert(process);
  }
  for (auto lend = lends_.begin(); lend != lends_.end();) {
    const auto at = lend++;
    Lent& lent = at->second;
    const auto is_settled = [&](ProcessId process) {
      return settled.contains(process) || settled.contains(AllProcessesOf(MachineOf(process)));
    };
    std::erase_if(lent.tried, is_settled);
    const bool theirs = lent.borrower != 0 && is_settled(lent.borrower);
    if (!theirs && !(lent.over && lent.tried.empty())) continue;
    for (auto& hold : Take(at)) out.push_back(std::move(hold));
  }
  return out;
}

bool Ownership::HoldClaimed(const ObjectId& id) {
  ray::internal::Hold hold = HoldOf(id);
  if (hold == nullptr) return false;
  const MutexLock lock(mutex_);
  claimed_.emplace(id, std::move(hold));
  return true;
}

ray::internal::Hold Ownership::LetGo(const ObjectId& id) {
  const MutexLock lock(mutex_);
  const auto claimed = claimed_.find(id);
  if (claimed == claimed_.end()) return nullptr;
  ray::internal::Hold hold = std::move(claimed->second);
  claimed_.erase(claimed);
  return hold;
}

ray::internal::Hold Ownership::HoldOf(const ObjectId& id) const {
  ClusterObjectPtr object;  // dropped after the lock
  {
    const MutexLock lock(mutex_);
    object = FindIn(objects_, id);
    if (ray::internal::Hold array = FindIn(arrays_, id); array != nullptr) return array;
  }
  // Not owned: it was freed, and a reference was made from its id.
  if (object != nullptr) return object->owned() ? object : nullptr;
  return find_actor_ ? find_actor_(id) : nullptr;
}

void Ownership::MarkReachedAgain(ProcessId machine) {
  const MutexLock lock(mutex_);
  dead_machines_.erase(machine);
}

bool Ownership::IsDead(ProcessId process) const {
  const MutexLock lock(mutex_);
  return IsDeadLocked(process);
}

bool Ownership::IsDeadLocked(ProcessId process) const {
  return dead_.Contains(process) || dead_machines_.contains(AllProcessesOf(MachineOf(process)));
}

bool Ownership::IsUnsettled(ProcessId process) const {
  const auto machine = dead_machines_.find(AllProcessesOf(MachineOf(process)));
  return unsettled_.contains(process) || (machine != dead_machines_.end() && !machine->second.settled);
}

bool Ownership::IsMachineLost(ProcessId process) const {
  const MutexLock lock(mutex_);
  return dead_machines_.contains(AllProcessesOf(MachineOf(process)));
}

std::string Ownership::WhyDead(ProcessId process) const {
  const MutexLock lock(mutex_);
  const auto machine = dead_machines_.find(AllProcessesOf(MachineOf(process)));
  return machine == dead_machines_.end()
             ? "the process that owned it has died"
             : StrCat("the process that owned it has gone with its machine: ", machine->second.why);
}

}  // namespace raylet::client
