#include "base/waiter.h"

#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <ctime>

namespace raylet {
namespace {

// Spinning pays where the average wait is below this many spins. At worst a tenth of a core goes
// into spins that end in a park. The limit is above the cost of waking a parked process. So a
// thread that parks at once still sees waits get short, and spins again.
constexpr int kSpinsPerShortWait = 10;
constexpr int kAverageWeight = 8;  // a new wait counts one eighth
// A long pause between bursts says little about the next burst. It counts as no more than this many
// short waits.
constexpr int kShortWaitsPerLongest = 5;

void MovingAverage(Duration& average, Duration sample) { average += (sample - average) / kAverageWeight; }

}  // namespace

void YieldCore() { ::sched_yield(); }

bool FutexWait(const std::atomic<uint32_t>* word, uint32_t expected, Duration timeout) {
  timeout = std::max(timeout, Duration::zero());
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(timeout);
  timespec relative{};
  relative.tv_sec = static_cast<time_t>(seconds.count());
  relative.tv_nsec = static_cast<long>((timeout - seconds).count());
  const long result = ::syscall(SYS_futex, word, FUTEX_WAIT, expected, &relative, nullptr, 0);
  return !(result < 0 && errno == ETIMEDOUT);
}

void FutexWakeAll(const std::atomic<uint32_t>* word) {
  ::syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
}

void Ring(Doorbell& bell) {
  // Reads sleepers by a read-modify-write, a full fence between the poster's data and the read. It
  // is in one order with the waiter's ++sleepers. If we come second we see the sleeper; otherwise
  // the waiter's re-check sees our data.
  if (bell.sleepers.fetch_add(0, std::memory_order_seq_cst) == 0) [[likely]]
    return;
  bell.rings.fetch_add(1, std::memory_order_release);  // the waiter's acquire in WaitUntil sees our data with it
  FutexWakeAll(&bell.rings);
}

bool SpinPark::WaitUntil(Doorbell& bell, Deadline deadline, const std::function<bool()>& ready,
                         const std::function<bool()>& alive, const std::function<void()>& before_park, Duration slice) {
  if (ready()) {
    MovingAverage(recent_wait_, Duration::zero());
    return true;
  }
  const TimePoint start = std::chrono::steady_clock::now();
  if (start >= deadline.at()) return false;
  const Duration short_wait = spin_max_ * kSpinsPerShortWait;
  const auto learn = [&] {
    const Duration waited = std::chrono::steady_clock::now() - start;
    MovingAverage(recent_wait_, std::min<Duration>(waited, short_wait * kShortWaitsPerLongest));
  };

  if (recent_wait_ < short_wait) {
    if (SpinUntil(std::min(start + spin_max_, deadline.at()), ready)) {
      learn();
      return true;
    }
  }

  if (before_park) before_park();
  bell.sleepers.fetch_add(1, std::memory_order_seq_cst);  // first, then ready(): see Ring
  bool result = false;
  for (;;) {
    const uint32_t rings = bell.rings.load(std::memory_order_acquire);  // with the poster's release in Ring
    result = ready();
    if (result || deadline.Passed()) break;
    if (alive && !alive()) {
      result = ready();  // what the other side did before it died counts
      break;
    }
    ++parks_;
    FutexWait(&bell.rings, rings, deadline.Left(slice));
  }
  bell.sleepers.fetch_sub(1, std::memory_order_relaxed);
  learn();
  return result;
}

}  // namespace raylet
