// Code reads time through Clock, so that a test can set it. All times are monotonic: a jump of the
// wall clock changes nothing.
#pragma once

#include <time.h>

#include <chrono>
#include <cstdint>

namespace raylet {

using Duration = std::chrono::nanoseconds;
using TimePoint = std::chrono::time_point<std::chrono::steady_clock, Duration>;

class Clock {
 public:
  virtual ~Clock() = default;
  virtual TimePoint Now() const = 0;
};

class SteadyClock final : public Clock {
 public:
  TimePoint Now() const override { return std::chrono::steady_clock::now(); }
};

// The CPU time of the calling thread: it stands still while the thread waits.
class ThreadCpuClock final : public Clock {
 public:
  TimePoint Now() const override {
    timespec now{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return TimePoint(std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec));
  }
};

// A point in time after which waiting stops. Never() waits forever.
class Deadline {
 public:
  static Deadline Never() { return Deadline(TimePoint::max()); }
  static Deadline After(Duration wait) { return AfterFrom(std::chrono::steady_clock::now(), wait); }
  static Deadline AfterFrom(TimePoint now, Duration wait) {
    return wait >= TimePoint::max() - now ? Never() : Deadline(now + wait);
  }
  static Deadline At(TimePoint at) { return Deadline(at); }
  // timeout_ms < 0 waits forever; 0 does not wait.
  static Deadline AfterMs(int64_t timeout_ms) {
    constexpr int64_t kMaxMs = 100LL * 365 * 24 * 3600 * 1000;
    return timeout_ms < 0 || timeout_ms > kMaxMs ? Never() : After(std::chrono::milliseconds(timeout_ms));
  }

  bool IsNever() const { return at_ == TimePoint::max(); }
  bool Passed() const { return !IsNever() && std::chrono::steady_clock::now() >= at_; }
  // The time left, at most `most`; zero once the deadline has passed.
  Duration Left(Duration most) const {
    if (IsNever()) return most;
    const Duration left = at_ - std::chrono::steady_clock::now();
    return left <= Duration::zero() ? Duration::zero() : (left < most ? left : most);
  }
  TimePoint at() const { return at_; }

 private:
  explicit Deadline(TimePoint at) : at_(at) {}
  TimePoint at_;
};

}  // namespace raylet
