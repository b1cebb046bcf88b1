#include "fbs/call_gate.h"

#include <new>

#include "base/check.h"
#include "fbs/call_record.h"

namespace raylet {
namespace {

constexpr size_t kPageBytes = 4096;

}  // namespace

bool BeginCall(CallGate& gate, uint64_t call) {
  uint64_t before = call - 1;
  return gate.begun.compare_exchange_strong(before, call, std::memory_order_acq_rel);
}

uint64_t ShutGate(CallGate& gate) {
  const uint64_t begun = gate.begun.fetch_or(CallGate::kShut, std::memory_order_acq_rel);
  gate.told.store(1, std::memory_order_release);
  return begun & ~CallGate::kShut;
}

size_t GateOffset() { return (ChannelBytes() + kPageBytes - 1) / kPageBytes * kPageBytes; }
size_t LeaseChannelBytes() { return GateOffset() + kPageBytes; }

void InitLeaseChannel(std::span<std::byte> channel) {
  RAYLET_CHECK(channel.size() == LeaseChannelBytes(), "a lease's channel of ", channel.size(), " bytes");
  InitChannel(channel.first(ChannelBytes()));
  new (channel.data() + GateOffset()) CallGate();
}

}  // namespace raylet
