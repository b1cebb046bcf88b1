// LeasePage: until when actors of this machine may serve. The raylet writes it. Its processes map it
// for reading only, so a lease runs out by itself while the raylet stands still. Owned by the raylet
// and by every process that maps it; any thread reads.
// Always holds: a lease is a time of CLOCK_MONOTONIC, which all processes of a machine share. A
// lease that has ended for good is 0, and its number is not used again before all others were.
#pragma once

#include <time.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "base/clock.h"
#include "base/result.h"
#include "base/shm_segment.h"

namespace raylet {

using LeaseNumber = uint32_t;  // from 1; 0: no lease, which always holds
constexpr LeaseNumber kLeasesMax = 2048;

struct LeaseWords {
  std::atomic<uint64_t> until_ns[kLeasesMax];  // by number; relaxed: nothing else is published with it
};
static_assert(sizeof(LeaseWords) == kLeasesMax * 8 && std::atomic<uint64_t>::is_always_lock_free);

// How far the coarse clock may lie behind: one tick of the slowest kernel.
constexpr Duration kCoarseClockError = std::chrono::milliseconds(10);

// A few nanoseconds, and no system call: the kernel keeps it in a page of each process.
inline uint64_t CoarseNowNs() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

// One lease, as a process looks at it. The page outlives it.
class LeaseView {
 public:
  LeaseView() = default;  // always holds
  explicit LeaseView(const std::atomic<uint64_t>* until_ns) : until_ns_(until_ns) {}
  bool Holds() const { return until_ns_ == nullptr || CoarseNowNs() < until_ns_->load(std::memory_order_relaxed); }

 private:
  const std::atomic<uint64_t>* until_ns_ = nullptr;
};

class LeasePage {
 public:
  LeasePage() = default;  // of a machine without leases
  // The raylet's. `readers` gets the descriptor that its processes get.
  static Result<LeasePage> Make(UniqueFd& readers);
  static Result<LeasePage> Attach(const UniqueFd& fd);

  explicit operator bool() const { return static_cast<bool>(memory_); }
  void Write(LeaseNumber lease, TimePoint until) const;  // the raylet only
  // kProtocolError: there is no such lease.
  Result<LeaseView> View(LeaseNumber lease) const;

 private:
  explicit LeasePage(Mapping memory) : memory_(std::move(memory)) {}
  Mapping memory_;
};

}  // namespace raylet
