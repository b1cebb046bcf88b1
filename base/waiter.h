// Waiting: futex words in shared memory, doorbells, and the spin-yield-park loop
// (docs/architecture.md, "Waiting"). Any thread; nothing here is owned.
// It rests on three measurements. Waking a parked process costs 25 us. Two processes that poll
// shared memory hand over in 0.2 us. Spinning without sched_yield makes three processes on two
// cores fight.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>

#include "base/clock.h"

namespace raylet {

// Waits while *word == expected, at most `timeout`. Works on a read-only mapping. Returns on any
// wake or signal, so check again. False when the timeout passed.
bool FutexWait(const std::atomic<uint32_t>* word, uint32_t expected, Duration timeout);
void FutexWakeAll(const std::atomic<uint32_t>* word);

// Doorbell: where one process parks and others ring, in shared memory writable by both. 128 bytes.
// Publish: a poster writes its data (release), then calls Ring. A waiter that sees rings change, or
// that does not sleep at all, sees the data. The seq_cst pair makes a lost wake impossible: the
// waiter does ++sleepers and checks again; the poster writes its data and reads sleepers.
struct Doorbell {
  alignas(64) std::atomic<uint32_t> rings{0};     // futex word; bumped by a poster that saw a sleeper
  alignas(64) std::atomic<uint32_t> sleepers{0};  // threads about to park or parked; written by the waiting process
};
static_assert(sizeof(Doorbell) == 128 && std::atomic<uint32_t>::is_always_lock_free);

// A full fence, then a system call only if somebody sleeps.
void Ring(Doorbell& bell);

// How often a spin looks before it yields its core.
// Measured: a token passed round on two cores that other processes also used; median of nine
// interleaved runs. With 16 looks, two, three and four processes take 3.9, 11.6 and 8.3 us a round.
// With 64 looks they take 6.4, 19.0 and 14.9 us. 8 looks did still better under that load. On quiet
// cores two processes sometimes took 4 us with 8 looks and 0.2 us with 16.
constexpr int kLooksPerYield = 16;

// One pause between two looks of a spin, which lets the core's other hardware thread run.
inline void CpuPause() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}
void YieldCore();  // sched_yield: the process we wait for may need this very core

// Spins: looks at ready() at least once, until it is true or `until` has passed. Returns whether it
// was true. Pass `looks_per_yield` 1 where a look is a system call.
template <class Ready>
bool SpinUntil(TimePoint until, Ready&& ready, int looks_per_yield = kLooksPerYield) {
  for (;;) {
    for (int i = 0; i < looks_per_yield; ++i) {
      if (ready()) return true;
      CpuPause();
    }
    if (std::chrono::steady_clock::now() >= until) return false;
    YieldCore();
  }
}

// SpinPark: waits for a condition that others make true and announce by Ring. One for each waiting thread. It measures
// its waits. After short ones it spins (pause, sched_yield) for `spin_max` at most; after long ones it parks at once.
class SpinPark {
 public:
  explicit SpinPark(Duration spin_max = std::chrono::microseconds(20)) : spin_max_(spin_max) {}

  // True as soon as ready() is; false at the deadline. ready() is called often and must be cheap. `alive` is called at
  // least once per `slice` while parked. Once `alive` returns false, the wait ends at once with the value of ready().
  // `before_park`, if given, runs once before the first park. It may tell the scheduler that this thread blocks.
  bool WaitUntil(Doorbell& bell, Deadline deadline, const std::function<bool()>& ready,
                 const std::function<bool()>& alive, const std::function<void()>& before_park = {},
                 Duration slice = std::chrono::milliseconds(100));

  uint64_t parks() const { return parks_; }  // how often this thread slept in the kernel

 private:
  Duration spin_max_;
  Duration recent_wait_ = Duration::zero();  // moving average; decides whether to spin at all
  uint64_t parks_ = 0;
};

}  // namespace raylet
