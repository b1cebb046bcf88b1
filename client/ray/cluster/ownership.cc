#include "client/ray/cluster/ownership.h"

#include <utility>

#include "base/strings.h"
#include "client/ray/cluster/cluster_object.h"
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
  lends_.emplace(id, Lent{borrower, std::move(holds)});
  return id;
}

void Ownership::SetBorrower(LendId id, ProcessId borrower) {
  Holds ended;
  const MutexLock lock(mutex_);
  const auto lend = lends_.find(id);
  if (lend == lends_.end()) return;
  lend->second.borrower = borrower;
  if (!IsDeadLocked(borrower)) return;
  ended = std::move(lend->second.holds);
  lends_.erase(lend);
}

Holds Ownership::EndLend(LendId id) {
  const MutexLock lock(mutex_);
  const auto lend = lends_.find(id);
  if (lend == lends_.end()) return {};
  Holds holds = std::move(lend->second.holds);
  lends_.erase(lend);
  return holds;
}

Holds Ownership::EndLend(LendId id, ProcessId by) {
  const MutexLock lock(mutex_);
  const auto lend = lends_.find(id);
  if (lend == lends_.end() || (lend->second.borrower != 0 && lend->second.borrower != by)) return {};
  Holds holds = std::move(lend->second.holds);
  lends_.erase(lend);
  return holds;
}

Holds Ownership::EndLendsOf(ProcessId borrower) {
  Holds ended;
  const MutexLock lock(mutex_);
  TakeLendsOf(borrower, ended);
  return ended;
}

Holds Ownership::EndAllLends() {
  Holds ended;
  const MutexLock lock(mutex_);
  for (auto& [id, lend] : lends_)
    for (auto& hold : lend.holds) ended.push_back(std::move(hold));
  lends_.clear();
  return ended;
}

void Ownership::TakeLendsOf(ProcessId borrower, Holds& out) {
  for (auto lend = lends_.begin(); lend != lends_.end();) {
    const ProcessId has_it = lend->second.borrower;
    if (has_it == 0 || (has_it != borrower && AllProcessesOf(MachineOf(has_it)) != borrower)) {
      ++lend;
      continue;
    }
    for (auto& hold : lend->second.holds) out.push_back(std::move(hold));
    lend = lends_.erase(lend);
  }
}

Holds Ownership::MarkDead(ProcessId process, std::string why) {
  Holds ended;
  const MutexLock lock(mutex_);
  if (process == AllProcessesOf(MachineOf(process)))
    dead_machines_.insert_or_assign(process, std::move(why));
  else
    dead_.Add(process);
  TakeLendsOf(process, ended);
  return ended;
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

std::string Ownership::WhyDead(ProcessId process) const {
  const MutexLock lock(mutex_);
  const auto machine = dead_machines_.find(AllProcessesOf(MachineOf(process)));
  return machine == dead_machines_.end()
             ? "the process that owned it has died"
             : StrCat("the process that owned it has gone with its machine: ", machine->second);
}

}  // namespace raylet::client
