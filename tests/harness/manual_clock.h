// ManualClock: time that a test turns by hand. Owned by the test; one thread.
#pragma once

#include "base/clock.h"

namespace raylet::test {

class ManualClock final : public Clock {
 public:
  TimePoint Now() const override { return now_; }
  void Advance(Duration by) { now_ += by; }
  Deadline After(Duration wait) const { return Deadline::AfterFrom(now_, wait); }

 private:
  TimePoint now_{std::chrono::hours(1)};
};

}  // namespace raylet::test
