#include "client/plasma/seal_wait.h"

#include <errno.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "base/waiter.h"

namespace raylet::client {

namespace {

// Of <linux/futex.h>, which is older than the call on some machines.
constexpr long kFutexWaitAny = 449;
constexpr uint32_t kWordOf32Bits = 2;
constexpr size_t kWordsMax = 128;
struct WaitedWord {
  uint64_t expected;
  uint64_t address;
  uint32_t flags;
  uint32_t reserved;
};
static_assert(sizeof(WaitedWord) == 24);

// After a wake that came before its seal: as long as the daemon takes to wake up.
constexpr Duration kWokenSpin = std::chrono::microseconds(50);
// A thread that cannot wait for every word looks this often.
constexpr Duration kPollPeriod = std::chrono::milliseconds(5);
std::atomic<bool> can_wait_for_any{true};  // a hint: kernels before 5.16 cannot, and some sandboxes forbid it

}  // namespace

bool SealWait::Changed() const {
  return std::any_of(missing_.begin(), missing_.end(), [](const Missing& missing) {
    return missing.seals->load(std::memory_order_acquire) != missing.seen;
  });
}

bool SealWait::Spin(Deadline until) const {
  return SpinUntil(until.at(), [this] { return Changed(); });
}

void SealWait::Park(Duration timeout) const {
  const Missing& first = missing_.front();
  if (missing_.size() == 1) {
    if (FutexWait(first.seals, first.seen, timeout)) static_cast<void>(Spin(Deadline::After(kWokenSpin)));
    return;
  }
  if (missing_.size() > kWordsMax || !can_wait_for_any.load(std::memory_order_relaxed)) {
    FutexWait(first.seals, first.seen, std::min(timeout, kPollPeriod));
    return;
  }
  std::array<WaitedWord, kWordsMax> words;
  for (size_t i = 0; i < missing_.size(); ++i)
    words[i] = {missing_[i].seen, reinterpret_cast<uintptr_t>(missing_[i].seals), kWordOf32Bits, 0};
  timespec end{};
  ::clock_gettime(CLOCK_MONOTONIC, &end);
  const int64_t end_ns = end.tv_nsec + timeout.count();
  end.tv_sec += end_ns / 1'000'000'000;
  end.tv_nsec = end_ns % 1'000'000'000;
  const long woken = ::syscall(kFutexWaitAny, words.data(), missing_.size(), 0, &end, CLOCK_MONOTONIC);
  if (woken >= 0) static_cast<void>(Spin(Deadline::After(kWokenSpin)));
  if (woken < 0 && errno != EAGAIN && errno != EINTR && errno != ETIMEDOUT)
    can_wait_for_any.store(false, std::memory_order_relaxed);
}

}  // namespace raylet::client
