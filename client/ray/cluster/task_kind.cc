#include "client/ray/cluster/task_kind.h"

#include <algorithm>

namespace raylet::client {
namespace {

// After a refusal. Each further one doubles the pause: what was refused is likely to be refused again.
constexpr int kTicksUntilAskedAgain = 2;
constexpr int kTicksUntilAskedAgainMax = 32;
constexpr int kTicksRemembered = 3;  // a pause of more ticks than these leaves no pace

}  // namespace

TaskKind::Worker* TaskKind::Pick() {
  Worker* best = nullptr;
  for (Worker& worker : workers_)
    if (worker.Room() > 0 && (best == nullptr || worker.under_way < best->under_way)) best = &worker;
  return best;
}

TaskSubmissionPtr TaskKind::TakeNext() {
  TaskSubmissionPtr next = std::move(queue_.front());
  queue_.pop_front();
  return next;
}

void TaskKind::TickTo(TimePoint now) {
  if (now - tick_ < kPaceTick) return;
  const auto ticks = (now - tick_) / kPaceTick;
  for (auto i = std::min<int64_t>(ticks, kTicksRemembered); i > 0; --i) {
    by_raylet_.Tick();
    for (Worker& worker : workers_) worker.pace.Tick();
    waited_before_ = waited_;
    waited_ = Waits();
  }
  tick_ += ticks * kPaceTick;
}

void TaskKind::EndedByRaylet(TimePoint now) {
  TickTo(now);
  by_raylet_.Ended(1);
}

void TaskKind::Ended(uint64_t lease, size_t count, TimePoint now) {
  TickTo(now);
  for (Worker& worker : workers_) {
    if (worker.lease != lease) continue;
    worker.under_way -= std::min(worker.under_way, count);
    worker.full = false;
    worker.pace.Ended(count);
  }
}

bool TaskKind::WorthAnother() const {
  if (workers_.empty()) return by_raylet_.Steady();
  if (!Waits() || workers_.size() >= kWorkersMax) return false;
  // Very short tasks are worth another worker only where they wait for longer. Otherwise they wait for no processor but
  // the submitter's.
  return (waited_ && waited_before_) || std::any_of(workers_.begin(), workers_.end(), [](const Worker& worker) {
           return worker.pace.Steady() && worker.pace.Window() < kShortTasks;
         });
}

bool TaskKind::WantsAnother(TimePoint now) {
  if (asking_ || now < ask_after_ || !WorthAnother()) return false;
  return asking_ = true;
}

void TaskKind::Granted(uint64_t lease) {
  asking_ = false;
  refusals_pause_ = 0;
  workers_.emplace_back().lease = lease;
}

void TaskKind::Refused(TimePoint now) {
  asking_ = false;
  refusals_pause_ = std::clamp(2 * refusals_pause_, kTicksUntilAskedAgain, kTicksUntilAskedAgainMax);
  ask_after_ = now + refusals_pause_ * kPaceTick;
}

void TaskKind::Over(uint64_t lease, std::vector<TaskSubmissionPtr> back, TimePoint now) {
  std::erase_if(workers_, [lease](const Worker& worker) { return worker.lease == lease; });
  queue_.insert(queue_.begin(), std::make_move_iterator(back.begin()), std::make_move_iterator(back.end()));
  by_raylet_ = Pace();
  ask_after_ = std::max(ask_after_, now + kTicksUntilAskedAgain * kPaceTick);
}

}  // namespace raylet::client
