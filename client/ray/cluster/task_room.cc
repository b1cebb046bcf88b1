#include "client/ray/cluster/task_room.h"

#include <algorithm>

namespace raylet::client {
namespace {

constexpr size_t kSixteenths = 16;

}  // namespace

std::optional<TaskRoom::Place> TaskRoom::TryTake(size_t bytes) {
  const MutexLock lock(mutex_);
  if (!returned_.empty()) return std::nullopt;
  if (full_) {
    const size_t ended_before = std::max<size_t>(1, bounds_.tasks_max / kSixteenths);
    full_ = tasks_ + ended_before > bounds_.tasks_max || bytes_ > bounds_.bytes_max - bounds_.bytes_max / kSixteenths;
  } else {
    full_ = tasks_ >= bounds_.tasks_max || bytes_ >= bounds_.bytes_max;
  }
  if (full_) return std::nullopt;
  ++tasks_;
  bytes_ += bytes;
  return Place(*this, bytes);
}

void TaskRoom::Give(size_t bytes) {
  const MutexLock lock(mutex_);
  --tasks_;
  bytes_ -= bytes;
}

void TaskRoom::Return(Returned task) {
  const MutexLock lock(mutex_);
  returned_.push_back(std::move(task));
}

std::vector<TaskRoom::Returned> TaskRoom::TakeReturned() {
  const MutexLock lock(mutex_);
  return std::exchange(returned_, {});
}

size_t TaskRoom::tasks() const {
  const MutexLock lock(mutex_);
  return tasks_;
}

}  // namespace raylet::client
