// Leases under weak memory: the gate of leased workers, fbs/call_gate.cc itself, and the leased runs of small puts.
//
// The gate: a worker begins calls, a raylet shuts the gate, and the caller sees that. Always holds: whoever shuts it
// learns the last call that has begun, and sees what the worker did before. No later call begins. A caller that sees
// the news sees the gate shut.
//
// The runs: a daemon grants a run and may take it back, a client takes it, writes its object there and posts it. These
// are four lines of larger classes, and the steps follow them: WriteLeases::TopUp and TakeBack (store/write_leases.cc),
// LeasedWriter::TakeRun (client/plasma/leased_writer.cc), and the ring's PublishTail and SeeTail for the post. Always
// holds: the daemon and the client never write to the run at once, and a post has its bytes.
#include "base/check.h"
#include "base/result.h"
#include "fbs/call_record.h"
#include "tests/models/relacy/orders.h"
// After it, whose names they use.
#include "fbs/call_gate.cc"

namespace {

using orders::Of;
using raylet::CallGate;

struct GateOrders : rl::test_suite<GateOrders, 3> {
  static constexpr uint64_t kCalls = 3;
  CallGate gate;
  rl::var<int> done[kCalls + 1];  // what the worker did in each call

  void before() {
    for (auto& each : done) VAR(each) = 0;
  }
  void thread(unsigned index) {
    if (index == 0) {
      for (uint64_t call = 1; call <= kCalls && BeginCall(gate, call); ++call) VAR(done[call]) = 1;
    } else if (index == 1) {
      const uint64_t last = ShutGate(gate);
      LookBack(last);
      RL_ASSERT(ShutGate(gate) == last);
    } else {
      LookBack(LastBegun(gate));
      for (int looks = 0; looks < 4 && !IsShut(gate); ++looks) rl::yield(1, $);
      if (!IsShut(gate)) return;
      const uint64_t last = LastBegun(gate);
      RL_ASSERT((gate.begun.load(rl::mo_relaxed, $) & CallGate::kShut) != 0);
      LookBack(last);
      RL_ASSERT(!BeginCall(gate, last + 1));
    }
  }
  void LookBack(uint64_t last) {
    for (uint64_t call = 1; call < last; ++call) RL_ASSERT(VAR(done[call]) == 1);
  }
};

struct RunOrders : rl::test_suite<RunOrders, 2> {
  rl::atomic<uint64_t> grant;  // offset + 1, or 0
  rl::atomic<uint64_t> tail;   // of the ring of posts
  rl::var<int> bytes;          // of the run

  void before() {
    VAR(bytes) = 0;
    grant.store(0, rl::mo_relaxed, $);
    tail.store(0, rl::mo_relaxed, $);
  }
  void thread(unsigned index) {
    if (index == 0)
      Grant();
    else
      Put();
  }
  void Grant() {
    uint64_t posts = 0;
    for (int turn = 1; turn <= 3; ++turn) {
      VAR(bytes) = turn;  // another object was there before
      grant.store(1, Of(rl::mo_release, "TopUp"), $);
      rl::yield(1, $);
      if (grant.exchange(0, Of(rl::mo_acq_rel, "TakeBack"), $) == 1) continue;
      // The client has the run until its post.
      while (tail.load(Of(rl::mo_acquire, "SeeTail"), $) == posts) rl::yield(1, $);
      ++posts;
      RL_ASSERT(VAR(bytes) == -1);
    }
  }
  void Put() {
    uint64_t posts = 0;
    for (int tries = 0; tries < 6; ++tries) {
      if (grant.load(rl::mo_relaxed, $) == 0 || grant.exchange(0, Of(rl::mo_acq_rel, "TakeRun"), $) == 0) {
        rl::yield(1, $);
        continue;
      }
      VAR(bytes) = -1;
      tail.store(++posts, Of(rl::mo_release, "PublishTail"), $);
    }
  }
};

}  // namespace

int main() {
  return orders::Check<GateOrders>("gate",
                                   {{"BeginCall", rl::mo_acq_rel, rl::mo_relaxed},
                                    {"ShutGate", rl::mo_acq_rel, rl::mo_relaxed},
                                    {"ShutGate", rl::mo_release, rl::mo_relaxed},
                                    {"IsShut", rl::mo_acquire, rl::mo_relaxed},
                                    {"LastBegun", rl::mo_acquire, rl::mo_relaxed}},
                                   20'000) +
         orders::Check<RunOrders>("leased runs",
                                  {{"TopUp", rl::mo_release, rl::mo_relaxed},
                                   {"TakeRun", rl::mo_acq_rel, rl::mo_release},
                                   {"PublishTail", rl::mo_release, rl::mo_relaxed},
                                   {"SeeTail", rl::mo_acquire, rl::mo_relaxed}},
                                  20'000);
}
