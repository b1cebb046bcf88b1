// ManualClock: time that a test turns by hand; it stands still in between, or goes on with the machine's. Owned by the
// test; one thread.
#pragma once

#include "base/clock.h"

namespace raylet::test {

class ManualClock final : public Clock {
 public:
  enum class Between { kStandsStill, kGoesOn };
  explicit ManualClock(Between between = Between::kStandsStill) : between_(between) {}

  TimePoint Now() const override {
    return between_ == Between::kGoesOn ? SteadyClock().Now() + turned_ : kStart + turned_;
  }
  void Advance(Duration by) { turned_ += by; }
  Deadline After(Duration wait) const { return Deadline::AfterFrom(Now(), wait); }

 private:
  static constexpr TimePoint kStart{std::chrono::hours(1)};
  const Between between_;
  Duration turned_{};
};

}  // namespace raylet::test
