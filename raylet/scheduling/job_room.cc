#include "raylet/scheduling/job_room.h"

#include <algorithm>

#include "base/check.h"
#include "raylet/scheduling/task.h"

namespace raylet {
namespace {

constexpr size_t kSteps = 32;  // of a bound: tasks of one depth leave so much of it to the next deeper ones

size_t StepOf(size_t limit) { return std::max<size_t>(1, limit / kSteps); }

// Of all tasks together, as one of this depth sees it: larger with each depth, and the limit for the deepest.
size_t BoundOf(size_t limit, uint32_t depth) {
  const uint32_t counted = std::min(depth, kTaskDepthMax);
  const size_t left = (kTaskDepthMax - counted) * StepOf(limit);
  return std::max<size_t>(limit - std::min(limit, left), counted + 1);
}

}  // namespace

bool JobRoom::IsBelow(uint32_t depth, size_t tasks_more, size_t bytes_more) const {
  return tasks_ + tasks_more < BoundOf(limits_.tasks_per_job_max, depth) &&
         bytes_ + bytes_more < BoundOf(limits_.task_bytes_per_job_max, depth);
}

bool JobRoom::Has(uint32_t depth) const { return IsBelow(depth, 0, 0); }

void JobRoom::Take(size_t bytes) {
  ++tasks_;
  bytes_ += bytes;
}

void JobRoom::Give(size_t bytes) {
  RAYLET_CHECK(tasks_ > 0 && bytes_ >= bytes, "a job gives back more room than its tasks took");
  --tasks_;
  bytes_ -= bytes;
}

void JobRoom::Wait(ProcessId process, uint32_t depth) {
  uint32_t& deepest = waiting_[process];
  deepest = std::max(deepest, depth);
}

// Half a step late, so that many tasks go at a time. Less than a step: tasks that are less deep never fill it alone.
std::vector<ProcessId> JobRoom::TakeReady() {
  std::vector<ProcessId> ready;
  std::erase_if(waiting_, [&](const auto& each) {
    const auto& [process, depth] = each;
    if (!IsBelow(depth, StepOf(limits_.tasks_per_job_max) / 2, StepOf(limits_.task_bytes_per_job_max) / 2))
      return false;
    ready.push_back(process);
    return true;
  });
  return ready;
}

}  // namespace raylet
