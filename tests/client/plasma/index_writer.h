// IndexWriter: an index segment in this process's memory, written as the daemon writes it, for tests of readers. One
// thread writes.
#pragma once

#include <cstdlib>
#include <cstring>
#include <memory>

#include "base/check.h"
#include "client/plasma/mapped_index.h"
#include "client/plasma/pin_table.h"
#include "fbs/segment_layout.h"
#include "store/object_index.h"
#include "tests/harness/pin_page.h"

namespace raylet::test {

struct AlignedFree {
  void operator()(void* memory) const { std::free(memory); }
};
using AlignedMemory = std::unique_ptr<void, AlignedFree>;

inline AlignedMemory Zeroed(size_t bytes) {
  const size_t rounded = (bytes + 4095) / 4096 * 4096;
  AlignedMemory memory(std::aligned_alloc(4096, rounded));
  std::memset(memory.get(), 0, rounded);
  return memory;
}

class IndexWriter {
 public:
  explicit IndexWriter(uint64_t entries_max)
      : owned_(Zeroed(IndexSegmentBytes(entries_max))),
        memory_(owned_.get()),
        header_(InitIndexSegment(memory_, entries_max)),
        index_(header_, entries_max) {}
  // In zeroed memory of IndexSegmentBytes(entries_max) bytes that outlives this.
  IndexWriter(void* memory, uint64_t entries_max)
      : memory_(memory), header_(InitIndexSegment(memory, entries_max)), index_(header_, entries_max) {}

  client::MappedIndex Reader() const {
    auto index = client::MappedIndex::Attach(memory_, bytes());
    RAYLET_CHECK(index.has_value());
    return *std::move(index);
  }

  uint64_t Insert(const ObjectId& id, EntryState state, uint64_t offset, uint64_t data_bytes,
                  uint32_t metadata_bytes = 0, bool owned = false) {
    const auto entry = index_.Insert(
        id, {.offset = offset, .data_bytes = data_bytes, .metadata_bytes = metadata_bytes, .owned = owned});
    RAYLET_CHECK(entry.has_value());
    if (state != EntryState::kUnsealed) index_.MarkSealed(*entry);
    if (state == EntryState::kDying) index_.MarkDying(*entry);
    if (state == EntryState::kSpilled) index_.MarkSpilled(*entry);
    return *entry;
  }
  // Seals, kills or removes.
  void SetState(uint64_t at, EntryState state) {
    const auto entry = static_cast<uint32_t>(at);
    if (state == EntryState::kSealed) index_.MarkSealed(entry);
    if (state == EntryState::kDying) index_.MarkDying(entry);
    if (state == EntryState::kEmpty) index_.Remove(entry);
  }
  IndexHeader& header() { return *header_; }
  store::ObjectIndex& index() { return index_; }
  void* memory() const { return memory_; }
  size_t bytes() const { return IndexSegmentBytes(header_->entries_max); }

 private:
  AlignedMemory owned_;
  void* memory_;
  IndexHeader* header_;
  store::ObjectIndex index_;
};

// A pin page as the daemon hands it out.
class PinPageMemory {
 public:
  explicit PinPageMemory(uint32_t client) : memory_(MakePinPage(client)), client_(client) {}
  PinPage& page() { return *memory_; }
  client::PinTable Table() {
    auto table = client::PinTable::Attach(memory_.get(), PinPageBytes(), client_);
    RAYLET_CHECK(table.has_value());
    return *std::move(table);
  }
  // The daemon's look: does any slot name this entry?
  bool Pins(uint64_t entry) {
    const uint32_t bound = page().slots_high_water.load(std::memory_order_seq_cst);
    for (uint32_t slot = 0; slot < bound; ++slot) {
      if (page().slots[slot].load(std::memory_order_seq_cst) == entry + 1) return true;
    }
    return false;
  }

 private:
  PinPagePtr memory_;
  uint32_t client_;
};

}  // namespace raylet::test
