// IndexWriter: an index segment in this process's memory, and the daemon's side of it, for tests of readers. One thread
// writes.
#pragma once

#include <cstdlib>
#include <cstring>
#include <memory>

#include "base/check.h"
#include "client/plasma/mapped_index.h"
#include "client/plasma/pin_table.h"
#include "fbs/segment_layout.h"

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
  explicit IndexWriter(uint64_t entry_count)
      : owned_(Zeroed(IndexSegmentBytes(entry_count))),
        memory_(owned_.get()),
        header_(InitIndexSegment(memory_, entry_count)) {}
  // In zeroed memory of IndexSegmentBytes(entry_count) bytes that outlives this.
  IndexWriter(void* memory, uint64_t entry_count) : memory_(memory), header_(InitIndexSegment(memory, entry_count)) {}

  client::MappedIndex Reader() const {
    auto index = client::MappedIndex::Attach(memory_, IndexSegmentBytes(header_->entry_count));
    RAYLET_CHECK(index.has_value());
    return *std::move(index);
  }

  // The first entry from the probe's start on that holds no object.
  uint64_t Insert(const ObjectId& id, EntryState state, uint64_t offset, uint64_t data_bytes,
                  uint64_t metadata_bytes = 0) {
    uint64_t at = ProbeStart(id, header_->entry_count);
    for (;; at = (at + 1) & (header_->entry_count - 1)) {
      const EntryState there = StateOf(Entry(at).word.load());
      if (there == EntryState::kEmpty || there == EntryState::kTombstone) break;
    }
    Fill(at, id, state, offset, data_bytes, metadata_bytes);
    return at;
  }
  void Fill(uint64_t at, const ObjectId& id, EntryState state, uint64_t offset, uint64_t data_bytes,
            uint64_t metadata_bytes = 0) {
    IndexEntry& entry = Entry(at);
    uint64_t words[3] = {};
    std::memcpy(words, id.data(), ObjectId::kSize);
    for (int i = 0; i < 3; ++i) entry.id_words[i].store(words[i], std::memory_order_release);
    entry.offset.store(offset, std::memory_order_release);
    entry.data_bytes.store(data_bytes, std::memory_order_release);
    entry.metadata_bytes_and_flags.store(metadata_bytes, std::memory_order_release);
    SetState(at, state);
  }
  void SetState(uint64_t at, EntryState state) {
    const uint64_t word = Entry(at).word.load(std::memory_order_relaxed);
    Entry(at).word.store(MakeWord(state, GenerationOf(word) + 1), std::memory_order_seq_cst);
  }
  IndexEntry& Entry(uint64_t at) { return header_->entries.get()[at]; }
  IndexHeader& header() { return *header_; }
  void* memory() const { return memory_; }
  size_t bytes() const { return IndexSegmentBytes(header_->entry_count); }

 private:
  AlignedMemory owned_;
  void* memory_;
  IndexHeader* header_;
};

// A pin page as the daemon hands it out.
class PinPageMemory {
 public:
  explicit PinPageMemory(uint32_t client) : memory_(Zeroed(PinPageBytes())), client_(client) {
    page().magic = kPinsMagic;
    page().layout_version = kLayoutVersion;
    page().client = client;
  }
  PinPage& page() { return *static_cast<PinPage*>(memory_.get()); }
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
  AlignedMemory memory_;
  uint32_t client_;
};

}  // namespace raylet::test
