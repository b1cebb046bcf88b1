// MappedIndex: the store's index in this process, mapped read-only: finds objects without asking the daemon. Owned by a
// StoreSession, or by objstat, which opens it by name. Any thread. What it returns was true at one moment; only a pin
// taken afterwards and a second look at the entry's word make it stay true.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"
#include "base/shm_segment.h"
#include "fbs/ids.h"
#include "fbs/segment_layout.h"

namespace raylet::client {

// One entry's fields, all of the same object.
struct EntrySnapshot {
  uint64_t entry = 0;  // its number
  uint64_t word = 0;
  ObjectId id;
  uint32_t creator = 0;
  uint64_t offset = 0;
  uint64_t data_bytes = 0;
  uint64_t metadata_bytes = 0;
  bool owned = false;
  bool deleted = false;  // it goes at its last release
  uint64_t created_ms = 0;
  uint64_t constructed_s = 0;
  EntryState state() const { return StateOf(word); }
};

// The place of a sealed object.
struct FoundObject {
  uint64_t entry = 0;
  uint64_t word = 0;
  uint64_t offset = 0;
  uint64_t data_bytes = 0;
  uint64_t metadata_bytes = 0;
  bool deleted = false;  // it goes at its last release, which may have been
};

class MappedIndex {
 public:
  static Result<MappedIndex> Open(int fd);
  // By the socket path of its store; kNotRunning when no store has served that path, or the last one stopped cleanly.
  static Result<MappedIndex> OpenByName(const std::string& socket_path);
  // In memory of the caller's that outlives it (tests).
  static Result<MappedIndex> Attach(const void* memory, size_t bytes);

  const IndexHeader& header() const { return *header_; }

  std::optional<FoundObject> FindSealed(const ObjectId& id) const { return Find(id, EntryState::kSealed); }
  // Sealed, deleted or spilled; the word says which. A spilled object's offset is its place on disk.
  std::optional<FoundObject> FindThere(const ObjectId& id) const {
    return Find(id, EntryState::kSealed, EntryState::kDeleted, EntryState::kSpilled);
  }
  std::optional<FoundObject> Find(const ObjectId& id, EntryState state) const { return Find(id, state, state, state); }
  // The second look, after a pin: true when the entry still is what Find saw. Full order with the pin's store.
  bool StillThere(const FoundObject& found) const {
    return entries_[found.entry].word.load(std::memory_order_seq_cst) == found.word;
  }
  // The futex word that changes whenever an object of this id's bucket is sealed.
  const std::atomic<uint32_t>& SealsOf(const ObjectId& id) const { return buckets_[BucketOf(id)]; }

  // Entries from here on were never used, and may have no memory behind them.
  uint64_t entry_bound() const { return header_->entry_bound.load(std::memory_order_acquire); }
  // Nothing when the entry is empty, was never used, or would not stand still.
  std::optional<EntrySnapshot> Read(uint64_t entry) const;

 private:
  MappedIndex() = default;
  std::optional<FoundObject> Find(const ObjectId& id, EntryState first, EntryState second, EntryState third) const;
  Mapping mapping_;  // empty when attached
  const IndexHeader* header_ = nullptr;
  const IndexEntry* entries_ = nullptr;
  const std::atomic<uint32_t>* buckets_ = nullptr;
  const std::atomic<uint64_t>* chains_ = nullptr;
  uint64_t entries_max_ = 0;
};

}  // namespace raylet::client
