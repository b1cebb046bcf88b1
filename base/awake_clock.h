// AwakeClock: the time in which this process ran, for waits for others' answers. Between two looks it counts at most
// `step`. So a stall of this process (a stopped process, a suspended machine) counts as one step, and what came in
// meanwhile is still read. A waiter looks at least once in `step`. One thread.
#pragma once

#include <algorithm>

#include "base/clock.h"

namespace raylet {

class AwakeClock final : public Clock {
 public:
  // `clock` outlives it.
  AwakeClock(const Clock& clock, Duration step) : clock_(clock), step_(step), seen_(clock.Now()), time_(seen_) {}

  TimePoint Now() const override {
    const TimePoint now = clock_.Now();
    time_ += std::min(now - seen_, step_);
    seen_ = now;
    return time_;
  }
  Duration step() const { return step_; }

 private:
  const Clock& clock_;
  const Duration step_;
  mutable TimePoint seen_, time_;
};

}  // namespace raylet
