// The other side of a ring writes nonsense into the shared memory. The consumer reads no byte outside
// the ring and ends with a protocol error at worst. The producer never writes outside it.
#include "base/ring.h"

#include <memory>

#include "tests/fuzz/fuzz.h"

namespace {

constexpr size_t kCapacity = 4096;

struct Free {
  void operator()(void* memory) const { std::free(memory); }
};

enum class Step : uint8_t { kPush, kPop, kPokeHeader, kPokeData, kAttach };

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const size_t bytes = raylet::RingBytes(kCapacity);
  // Of its exact size, so that one byte past the end is seen.
  const std::unique_ptr<std::byte, Free> memory(static_cast<std::byte*>(std::aligned_alloc(128, bytes)));
  std::memset(memory.get(), 0, bytes);
  const std::span<std::byte> ring(memory.get(), bytes);
  raylet::InitRing(ring, kCapacity);
  auto producer = raylet::RingProducer::Attach(ring);
  auto consumer = raylet::RingConsumer::Attach(ring);
  FUZZ_ASSERT(producer && consumer);

  raylet::fuzz::Input input(data, size);
  while (!input.empty()) {
    switch (static_cast<Step>(input.Take<uint8_t>() % 5)) {
      case Step::kPush: {
        const auto record_bytes = input.Take<uint16_t>() % (producer->record_bytes_max() + 1);
        if (const auto room = producer->TryReserve(record_bytes)) {
          std::memset(room->data(), 0x5a, room->size());
          producer->Commit(input.Take<uint8_t>(), record_bytes);
        }
        break;
      }
      case Step::kPop: {
        static_cast<void>(consumer->Empty());
        const auto record = consumer->Peek();
        if (!record) {
          FUZZ_ASSERT(record.error().code == raylet::ErrorCode::kProtocolError);
        } else if (*record) {
          FUZZ_ASSERT((*record)->bytes.size() <= kCapacity);
          raylet::fuzz::Touch((*record)->bytes.data(), (*record)->bytes.size());
          consumer->Pop();
        }
        break;
      }
      case Step::kPokeHeader: {
        const size_t word = input.Take<uint8_t>() % (sizeof(raylet::RingHeader) / 8);
        const auto value = input.Take<uint64_t>();
        std::memcpy(ring.data() + word * 8, &value, sizeof value);
        break;
      }
      case Step::kPokeData: {
        const size_t word = input.Take<uint16_t>() % (kCapacity / 8);
        const auto value = input.Take<uint64_t>();
        std::memcpy(ring.data() + sizeof(raylet::RingHeader) + word * 8, &value, sizeof value);
        break;
      }
      case Step::kAttach: {
        // As a process does that gets the memory from another one.
        if (auto attached = raylet::RingConsumer::Attach(ring)) consumer = std::move(attached);
        if (auto attached = raylet::RingProducer::Attach(ring)) producer = std::move(attached);
        break;
      }
    }
  }
  return 0;
}
