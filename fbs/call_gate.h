// CallGate: how far a leased worker has come with its caller's calls, and whether it may begin another one. It lies in
// the channel's shared memory, behind the two rings. Worker, caller and raylet each may shut it, at any instant and
// without the help of the others, and it never opens again.
// Always holds: the worker begins call n only where the gate was open. So whoever shuts the gate learns the last call
// that has begun, and no later call ever begins.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

namespace raylet {

struct CallGate {
  static constexpr uint64_t kShut = uint64_t{1} << 63;

  // The last call begun, and kShut. Written by the worker for each call, and once by whoever shuts the gate. acq_rel:
  // the two sides agree on one order.
  alignas(128) std::atomic<uint64_t> begun{0};
  // The last call in the ring: the caller's, for the raylet's look. Relaxed: a number alone.
  alignas(128) std::atomic<uint64_t> pushed{0};
  // Set after kShut (release), and read by the caller in each look for replies (acquire). On a line of its own, which
  // stays in the caller's cache until then.
  alignas(128) std::atomic<uint32_t> told{0};
};
static_assert(sizeof(CallGate) == 384 && std::atomic<uint64_t>::is_always_lock_free);

// Worker: false where the gate is shut. Calls begin in order, from 1.
bool BeginCall(CallGate& gate, uint64_t call);
// Anyone, as often as they like. Returns the last call that has begun.
uint64_t ShutGate(CallGate& gate);
inline bool IsShut(const CallGate& gate) { return gate.told.load(std::memory_order_acquire) != 0; }
inline uint64_t LastBegun(const CallGate& gate) {
  return gate.begun.load(std::memory_order_acquire) & ~CallGate::kShut;
}

// The memfd of a lease: a channel's two rings, and a page with the gate.
size_t LeaseChannelBytes();
size_t GateOffset();                                  // of a whole page
void InitLeaseChannel(std::span<std::byte> channel);  // zeroed memory of LeaseChannelBytes()

}  // namespace raylet
