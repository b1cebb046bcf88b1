// AwakeClock: the time in which this process ran, for waits for others' answers. Between two looks it counts at most
// `step`. So a stall of this process (a stopped process, a suspended machine) counts as one step, and what came in
// meanwhile is still read. A waiter looks at least once in `step`. One thread. An AwakeDeadline is a deadline on such a
// clock.
#pragma once

#include <algorithm>
#include <chrono>

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

class AwakeDeadline {
 public:
  static constexpr Duration kStepMax = std::chrono::seconds(1);
  static constexpr Duration kStepMin = std::chrono::milliseconds(1);

  // `clock` outlives it.
  explicit AwakeDeadline(Duration patience, const Clock& clock = Steady())
      : awake_(clock, std::clamp(patience / 4, kStepMin, kStepMax)),
        end_(Deadline::AfterFrom(awake_.Now(), patience).at()) {}
  AwakeDeadline(Deadline deadline) : AwakeDeadline(deadline.Left(Duration::max())) {}  // NOLINT: it is one

  bool Passed() const { return end_ != TimePoint::max() && awake_.Now() >= end_; }
  // The time left, at most `most`.
  Duration Left(Duration most) const {
    if (end_ == TimePoint::max()) return most;
    return std::clamp(end_ - awake_.Now(), Duration::zero(), most);
  }
  // Until the next look: wait no longer at a time.
  Deadline Next(Duration most = kStepMax) const { return Deadline::After(Left(std::min(most, awake_.step()))); }

 private:
  static const Clock& Steady() {
    static const SteadyClock clock;
    return clock;
  }
  const AwakeClock awake_;
  const TimePoint end_;
};

}  // namespace raylet
