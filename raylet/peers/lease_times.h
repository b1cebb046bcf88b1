// The times of a lease: how long a raylet may let another raylet's actors serve after it sent a
// heartbeat that the other one has heard. Pure. docs/decisions/0013 says why.
// Always holds: the lease ends before the other raylet calls this one dead, by LeaseMargin at least.
// Both count from one heartbeat. The lease counts from its sending, and that death from its arrival,
// which is later.
#pragma once

#include <algorithm>

#include "fbs/lease_page.h"
#include "raylet/peers/session.h"

namespace raylet {

// The margin covers three errors. A clock is read a tick late. Two clocks run apart, by a thousandth at
// most. A step lies between a look at the lease and the word in the ring.
constexpr Duration kLeaseStep = std::chrono::milliseconds(20);
constexpr Duration LeaseErrors(Duration patience) { return kCoarseClockError + patience / 1000 + kLeaseStep; }

constexpr Duration LeaseMargin(Duration patience) { return std::max(patience / 4, LeaseErrors(patience)); }
// Zero or less where `patience` is shorter than the errors: such a lease never holds.
constexpr Duration LeaseOf(Duration patience) { return patience - LeaseMargin(patience); }

namespace lease_times_internal {

constexpr PeerSessionLimits kUsual;
// A constructor of the next incarnation may answer at once, so the margin alone keeps the two apart.
static_assert(LeaseMargin(kUsual.dead_after) >= 10 * LeaseErrors(kUsual.dead_after));
// A host that is merely suspected serves on. A heartbeat is answered with the next one, and two may be lost.
static_assert(LeaseOf(kUsual.dead_after) >= kUsual.silent_after + 4 * kUsual.heartbeat_every);
static_assert(LeaseOf(kUsual.dead_after) < kUsual.dead_after);

}  // namespace lease_times_internal

}  // namespace raylet
