#include "raylet/scheduling/worker_leases.h"

#include <algorithm>
#include <utility>

#include "base/strings.h"

namespace raylet {

void WorkerLeases::Ask(LeaseWish wish) {
  const auto before =
      std::count_if(wishes_.begin(), wishes_.end(), [&](const Wish& each) { return each.wish.caller == wish.caller; });
  if (static_cast<size_t>(before) >= kWishesPerProcessMax) return Refuse(wish);
  Wish added;
  added.needs = ledger_.Resolve(wish.resources);
  added.wish = std::move(wish);
  wishes_.push_back(std::move(added));
}

void WorkerLeases::Pass(bool others) {
  if (open_ > 0 && TasksWaitForLeases())
    for (const auto& [id, lease] : leases_) Shut(id);
  for (auto wish = wishes_.begin(); wish != wishes_.end();) {
    const Answer answer = AnswerTo(*wish, others);
    if (answer == Answer::kWait) {
      ++wish;
      continue;
    }
    if (answer == Answer::kGrant)
      Grant(*wish);
    else
      Refuse(wish->wish);
    wish = wishes_.erase(wish);
  }
}

// Whether a ready task would run if the leased workers came back. A task that waits for other things gains nothing.
// Bundles of placement groups wait likewise.
bool WorkerLeases::TasksWaitForLeases() const {
  if (queue_.size() == 0 && wanted_bundles_.empty()) return false;
  const ResourceLedger with_leases = WithLeases();
  for (const ResourceNeeds& wanted : wanted_bundles_)
    if (!ledger_.Fits(wanted) && with_leases.Fits(wanted)) return true;
  const PoolReserve reserve = workers_.Reserve();
  for (const JobId job : queue_.jobs()) {
    for (const auto& shape : queue_.shapes(job)) {
      if (!shape->needs.has_value()) continue;
      if (!ledger_.Fits(*shape->needs)) {
        if (with_leases.Fits(*shape->needs)) return true;
      } else if (workers_.IsFull() || (!shape->dedicated && !reserve.MayBegin(shape->depth))) {
        return true;
      }
    }
  }
  return false;
}

// Whether a bundle has room once the leased workers come back.
bool WorkerLeases::BundlesWaitForLeases() const {
  if (wanted_bundles_.empty()) return false;
  const ResourceLedger with_leases = WithLeases();
  return std::any_of(wanted_bundles_.begin(), wanted_bundles_.end(),
                     [&](const ResourceNeeds& wanted) { return with_leases.Fits(wanted); });
}

ResourceLedger WorkerLeases::WithLeases() const {
  ResourceLedger with_leases = ledger_;
  for (const auto& [id, lease] : leases_) {
    const auto worker = workers_.all().find(lease.worker);
    if (worker == workers_.all().end()) continue;
    // A blocked worker has given its CPU back already.
    if (!worker->second.blocked) with_leases.Give(worker->second.held, worker->second.devices);
  }
  return with_leases;
}

ResourceSet WorkerLeases::Held() const {
  ResourceSet held;
  for (const auto& [id, lease] : leases_) {
    const auto worker = workers_.all().find(lease.worker);
    if (lease.shut || worker == workers_.all().end() || worker->second.blocked) continue;
    const ResourceSet of_machine = ledger_.OfMachine(worker->second.held);
    for (const auto& amount : of_machine.amounts()) held.Accumulate(amount.name, amount.units);
  }
  return held;
}

WorkerLeases::Answer WorkerLeases::AnswerTo(const Wish& wish, bool others) {
  if (!wish.needs.has_value() || tasks_.HasEnded(wish.wish.job)) return Answer::kRefuse;
  if (queue_.IsHeld(wish.wish.caller) || !OnlyItsOwnWait(wish.wish)) return Answer::kRefuse;
  // A bundle that waits only for leases goes first. Tasks in other bundles take nothing from it.
  if (wish.wish.placement_group.IsNil() && BundlesWaitForLeases()) return Answer::kRefuse;
  if (queue_.size() == 0 && ledger_.Fits(*wish.needs)) {
    if (!workers_.Reserve().MayBegin(wish.wish.depth)) return Answer::kRefuse;
    if (workers_.HasIdle(wish.wish.group())) return Answer::kGrant;
    workers_.StartOne(wish.wish.group());  // for the next wish
    return Answer::kRefuse;
  }
  if (others || wish.ticks >= kTicksWaitingMax || wish.ticks_without_end >= kTicksWithoutEndMax) return Answer::kRefuse;
  return queue_.size() > 0 || RunsTaskOf(wish) ? Answer::kWait : Answer::kRefuse;
}

// Whether no ready task but those of the wish's own kind waits for this machine. The first of each shape speaks for
// all.
bool WorkerLeases::OnlyItsOwnWait(const LeaseWish& wish) const {
  for (const JobId job : queue_.jobs()) {
    for (const auto& shape : queue_.shapes(job)) {
      if (!shape->needs.has_value()) continue;
      if (job != wish.job || shape->dedicated || shape->depth != wish.depth ||
          shape->tasks.front()->task->owner != wish.caller || shape->resources != wish.resources ||
          shape->group.environment != wish.environment)
        return false;
    }
  }
  return true;
}

bool WorkerLeases::RunsTaskOf(const Wish& wish) const {
  return std::any_of(workers_.all().begin(), workers_.all().end(), [&](const auto& each) {
    const Worker& worker = each.second;
    return worker.task != nullptr && worker.task->task->owner == wish.wish.caller && worker.held == *wish.needs &&
           worker.environment == wish.wish.environment;
  });
}

void WorkerLeases::Grant(const Wish& wish) {
  Worker& worker = workers_.TakeIdle(wish.wish.group());
  const WorkerLeaseId id = next_++;
  workers_.BeginLease(worker, id, wish.wish.caller, *wish.needs);
  Lease& lease = leases_[id];
  lease.worker = worker.id;
  lease.caller = wish.wish.caller;
  ++open_;
  decisions_.emplace_back(GrantWorker{id, worker.id, wish.wish.caller, wish.wish.request, wish.wish.depth});
}

Result<void> WorkerLeases::Returned(WorkerId id, WorkerLeaseId lease) {
  Worker* const worker = workers_.Find(id);
  if (worker == nullptr || lease == 0 || worker->lease != lease)
    return Fail(ErrorCode::kProtocolError, StrCat("a worker returns lease ", lease, ", which it does not have"));
  if (!leases_.at(lease).shut) --open_;
  leases_.erase(lease);
  worker->lease = 0;
  worker->leased_to = 0;
  if (worker->state == WorkerTable::State::kBusy) {  // otherwise its resources go back when the worker has gone
    workers_.GiveBack(*worker);
    workers_.BecomeIdle(*worker);
  }
  return {};
}

void WorkerLeases::TaskEnded(ProcessId owner) {
  for (Wish& wish : wishes_)
    if (wish.wish.caller == owner) ++wish.ended;
}

void WorkerLeases::Shut(WorkerLeaseId id) {
  Lease& lease = leases_.at(id);
  if (std::exchange(lease.shut, true)) return;
  --open_;
  decisions_.emplace_back(ShutLease{id, lease.worker, lease.caller});
}

void WorkerLeases::ShutOf(ProcessId caller) {
  for (const auto& [id, lease] : leases_)
    if (lease.caller == caller) Shut(id);
  std::erase_if(wishes_, [&](const Wish& wish) {
    if (wish.wish.caller != caller) return false;
    Refuse(wish.wish);
    return true;
  });
}

void WorkerLeases::Gone(const Worker& worker) {
  if (worker.lease == 0) return;
  const auto found = leases_.find(worker.lease);
  if (!found->second.shut) --open_;
  decisions_.emplace_back(LoseLease{worker.lease, worker.id, found->second.caller});
  leases_.erase(found);
}

std::vector<WorkerId> WorkerLeases::CallersGone(const ProcessSet& callers) {
  std::erase_if(wishes_, [&](const Wish& wish) { return callers.contains(wish.wish.caller); });
  std::vector<WorkerId> workers;
  for (const auto& [id, lease] : leases_) {
    if (!callers.contains(lease.caller)) continue;
    Shut(id);
    workers_.Stopping(workers_.at(lease.worker));  // it gets no more work
    workers.push_back(lease.worker);
  }
  return workers;
}

void WorkerLeases::JobEnded(JobId job) {
  std::erase_if(wishes_, [&](const Wish& wish) { return wish.wish.job == job; });
}

void WorkerLeases::GroupEnded(const PlacementGroupId& group) {
  std::erase_if(wishes_, [&](const Wish& wish) {
    if (wish.wish.placement_group != group) return false;
    Refuse(wish.wish);
    return true;
  });
}

void WorkerLeases::Saw(WorkerLeaseId id, uint64_t begun, uint64_t pushed) {
  const auto found = leases_.find(id);
  if (found == leases_.end() || found->second.shut) return;
  Lease& lease = found->second;
  lease.ticks_still = begun == lease.begun ? lease.ticks_still + 1 : 0;
  if (begun > lease.begun) lease.pace.Finished(begun - lease.begun);
  lease.pace.Tick();
  lease.begun = begun;
  lease.pushed = pushed;
}

void WorkerLeases::Tick() {
  for (const auto& [id, lease] : leases_)
    if (lease.IsBehind() || lease.ticks_still >= kTicksIdleMax) Shut(id);
  for (Wish& wish : wishes_) {
    ++wish.ticks;
    wish.ticks_without_end = std::exchange(wish.ended, 0) > 0 ? 0 : wish.ticks_without_end + 1;
  }
}

}  // namespace raylet
