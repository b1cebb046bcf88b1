// The index segment as objstat and the clients meet it. A segment that passes the check can be read to its last entry,
// and probed, whatever its chains and its entries say.
#include <memory>

#include "client/plasma/mapped_index.h"
#include "fbs/segment_layout.h"
#include "tests/fuzz/fuzz.h"

namespace {

constexpr uint64_t kEntries = 64;

struct Free {
  void operator()(void* memory) const { std::free(memory); }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const size_t bytes = raylet::IndexSegmentBytes(kEntries);
  const std::unique_ptr<std::byte, Free> memory(static_cast<std::byte*>(std::aligned_alloc(4096, bytes)));
  std::memset(memory.get(), 0, bytes);
  raylet::InitIndexSegment(memory.get(), kEntries);

  // Words of the header, or of the chains and entries, are overwritten, then the segment is cut.
  raylet::fuzz::Input input(data, size);
  const size_t cut = input.Take<uint8_t>() % 4 == 0 ? input.Take<uint32_t>() % bytes : 0;
  const size_t fixed_words = raylet::IndexFixedBytes() / 8;
  while (!input.empty()) {
    const auto at = input.Take<uint16_t>();
    const size_t word =
        at % 2 == 0 ? at / 2 % (sizeof(raylet::IndexHeader) / 8) : fixed_words + at / 2 % (bytes / 8 - fixed_words);
    const auto value = input.Take<uint64_t>();
    std::memcpy(memory.get() + word * 8, &value, sizeof value);
  }
  // A segment of its exact size, so that one byte past the end is seen.
  const size_t left = bytes - cut;
  const std::unique_ptr<std::byte, Free> segment(static_cast<std::byte*>(std::malloc(left + 8)));
  auto* const begin = reinterpret_cast<std::byte*>((reinterpret_cast<uintptr_t>(segment.get()) + 7) / 8 * 8);
  std::memcpy(begin, memory.get(), left);
  // The offsets in the header count from the header itself, so the copy means the same.
  const auto checked = raylet::CheckIndexSegment(begin, left);
  if (!checked) {
    FUZZ_ASSERT(checked.error().code == raylet::ErrorCode::kProtocolError ||
                checked.error().code == raylet::ErrorCode::kVersionMismatch);
    return 0;
  }
  const raylet::IndexHeader& header = **checked;
  raylet::fuzz::Touch(header.entries.get(), header.entries_max * sizeof(raylet::IndexEntry));
  raylet::fuzz::Touch(header.chains.get(), header.entries_max * sizeof(std::atomic<uint64_t>));
  FUZZ_ASSERT(header.chain_count > 0 && header.chain_count <= header.entries_max);
  FUZZ_ASSERT(header.entry_bound <= header.entries_max);
  raylet::fuzz::Touch(header.clients.get(), raylet::kClientRowsMax * sizeof(raylet::ClientRow));
  raylet::fuzz::Touch(header.buckets.get(), raylet::kBucketCount * sizeof(std::atomic<uint32_t>));
  raylet::fuzz::Touch(header.events.get(), raylet::kEventSlots * sizeof(raylet::EventSlot));
  const auto index = raylet::client::MappedIndex::Attach(begin, left);
  FUZZ_ASSERT(index.has_value());
  for (uint64_t entry = 0; entry < kEntries + 2; ++entry) {
    const auto snapshot = index->Read(entry);
    if (snapshot) static_cast<void>(index->FindSealed(snapshot->id));
  }
  for (uint64_t number = 0; number < 2 * kEntries; ++number) {
    raylet::ObjectId id;
    std::memcpy(id.mutable_data(), &number, sizeof number);
    const auto found = index->Find(id, raylet::EntryState::kUnsealed);
    FUZZ_ASSERT(!found || found->entry < kEntries);
  }
  return 0;
}
