#include "client/ray/cluster/pending_tasks.h"

#include <memory>
#include <string>
#include <utility>

#include "client/ray/cluster/borrowed_lend.h"
#include "fbs/id_lists.h"

namespace raylet::client {

void PendingTasks::Add(const TaskId& id, PendingCall task, TaskRoom::Place place, TaskKind* kind) {
  const MutexLock lock(mutex_);
  tasks_.emplace(id, Pending{std::move(task), std::move(place), kind});
}

std::optional<PendingTasks::Pending> PendingTasks::TakePending(const TaskId& id) {
  const MutexLock lock(mutex_);
  const auto found = tasks_.find(id);
  if (found == tasks_.end()) return std::nullopt;
  Pending pending = std::move(found->second);
  tasks_.erase(found);
  return pending;
}

std::optional<PendingCall> PendingTasks::Take(const TaskId& id) {
  auto pending = TakePending(id);
  if (!pending) return std::nullopt;
  return std::move(pending->task);
}

bool PendingTasks::Has(const TaskId& id) {
  const MutexLock lock(mutex_);
  return tasks_.contains(id);
}

std::optional<PendingCall> PendingTasks::TakeCancelled(const TaskId& id) {
  {
    const MutexLock lock(mutex_);
    const auto found = tasks_.find(id);
    if (found == tasks_.end()) return std::nullopt;
    const ClusterObjectPtr& result = found->second.task.result;
    if (result == nullptr || !result->ready()) return std::nullopt;
  }
  return Take(id);
}

void PendingTasks::Stop(const FailurePtr& failure) {
  std::unordered_map<TaskId, Pending> tasks;
  {
    const MutexLock lock(mutex_);
    tasks.swap(tasks_);
  }
  for (auto& [id, pending] : tasks)
    if (pending.task.result != nullptr) pending.task.result->FulfilFailed(failure);
}

TaskKind* PendingTasks::Finish(wire::TaskResultT result) {
  std::optional<Pending> pending = TakePending(FromWire<TaskId>(*result.id));
  if (!pending) return nullptr;
  { const TaskRoom::Place given_back = std::move(pending->place); }
  Fulfil(pending->task, std::move(result));
  return pending->kind;
}

void PendingTasks::Fulfil(const PendingCall& task, wire::TaskResultT result) {
  if (task.lend != 0) {
    ownership_.SetBorrower(task.lend, result.process);
    if (!result.arguments_retained)
      const Holds ended = ownership_.EndLend(task.lend);
    else if (!result.retained.empty())
      const Holds let_go = ownership_.KeepOnly(task.lend, FromWire(result.retained));
  }
  ray::internal::Hold lend;
  if (result.lend != 0) {
    lend = std::make_shared<BorrowedLend>(link_, ownership_, borrowings_, result.process, result.lend,
                                          BorrowedLend::Told::kAlways, std::weak_ptr<CallChannel>(),
                                          FromWire(result.references));
  }
  if (task.result == nullptr) return;  // an actor has been created
  wire::ValueT& value = *result.result;
  switch (value.kind) {
    case wire::ValueKind::Inline:
      task.result->FulfilInline(std::string(value.bytes.begin(), value.bytes.end()), std::move(lend));
      return;
    case wire::ValueKind::Stored: task.result->FulfilStored(std::move(lend)); return;
    case wire::ValueKind::Failed: break;
  }
  task.result->FulfilFailed(value.failure != nullptr
                                ? std::make_shared<const Failure>(*value.failure)
                                : MakeFailure(wire::FailureKind::Other, "the task failed, and nobody said why"));
}

}  // namespace raylet::client
