#include "store/object_index.h"

#include "base/check.h"
#include "base/waiter.h"

namespace raylet::store {

ObjectIndex::ObjectIndex(IndexHeader* header)
    : header_(header), mask_(static_cast<uint32_t>(header->entry_count - 1)) {}

void ObjectIndex::Change(uint32_t entry, EntryState state, std::memory_order order) {
  std::atomic<uint64_t>& word = At(entry).word;
  word.store(MakeWord(state, GenerationOf(word.load(std::memory_order_relaxed)) + 1), order);
}

std::optional<uint32_t> ObjectIndex::Insert(const ObjectId& id, const Fields& fields) {
  if (used_ > mask_ / 2) return std::nullopt;
  auto entry = static_cast<uint32_t>(ProbeStart(id, header_->entry_count));
  while (true) {
    const EntryState state = StateOf(At(entry).word.load(std::memory_order_relaxed));
    if (state == EntryState::kEmpty || state == EntryState::kTombstone) break;
    entry = (entry + 1) & mask_;
  }
  IndexEntry& slot = At(entry);
  uint64_t words[3] = {};
  std::memcpy(words, id.data(), ObjectId::kSize);
  words[2] |= uint64_t{fields.creator} << 32;
  // Release: a reader may still hold the word of the previous object. If it sees one of these
  // fields, it also sees that the word has changed, because it reads the fields with acquire and
  // then the word again.
  for (int i = 0; i < 3; ++i) slot.id_words[i].store(words[i], std::memory_order_release);
  slot.offset.store(fields.offset, std::memory_order_release);
  slot.data_bytes.store(fields.data_bytes, std::memory_order_release);
  slot.metadata_bytes_and_flags.store(fields.metadata_bytes | (fields.owned ? kEntryOwnedFlag : 0),
                                      std::memory_order_release);
  slot.created_ms.store(fields.created_ms, std::memory_order_release);
  Change(entry, EntryState::kUnsealed, std::memory_order_release);
  ++used_;
  return entry;
}

void ObjectIndex::MarkSealed(uint32_t entry) {
  uint64_t words[3];
  for (int i = 0; i < 3; ++i) words[i] = At(entry).id_words[i].load(std::memory_order_relaxed);
  ObjectId id;
  std::memcpy(id.mutable_data(), words, ObjectId::kSize);
  // Publishes id, place, sizes and creator to every process that reads the word with acquire.
  Change(entry, EntryState::kSealed, std::memory_order_seq_cst);
  // A waiter reads the bucket, then probes, then parks on the value it read. So it misses neither
  // the word nor the bump.
  header_->buckets[static_cast<std::ptrdiff_t>(BucketOf(id))].fetch_add(1, std::memory_order_seq_cst);
}

void ObjectIndex::MarkDying(uint32_t entry) {
  // Pairs with the pin in the client, which stores its slot and then reads the word again. Either
  // the client sees the change and gives up, or the scan of the slots after this sees its pin.
  Change(entry, EntryState::kDying, std::memory_order_seq_cst);
  std::atomic_thread_fence(std::memory_order_seq_cst);
}

void ObjectIndex::SetOwned(uint32_t entry, bool owned) {
  auto& flags = At(entry).metadata_bytes_and_flags;
  const uint64_t bytes = flags.load(std::memory_order_relaxed) & ~kEntryOwnedFlag;
  flags.store(bytes | (owned ? kEntryOwnedFlag : 0), std::memory_order_relaxed);
}

void ObjectIndex::Remove(uint32_t entry) {
  RAYLET_CHECK(used_ > 0, "removed more entries than there were");
  --used_;
  const auto state_of = [this](uint32_t number) { return StateOf(At(number).word.load(std::memory_order_relaxed)); };
  if (state_of((entry + 1) & mask_) != EntryState::kEmpty) {
    Change(entry, EntryState::kTombstone, std::memory_order_release);
    return;
  }
  // No probe needs to pass this entry. So it becomes empty, and so do the tombstones directly
  // before it.
  Change(entry, EntryState::kEmpty, std::memory_order_release);
  for (uint32_t before = (entry - 1) & mask_; state_of(before) == EntryState::kTombstone; before = (before - 1) & mask_)
    Change(before, EntryState::kEmpty, std::memory_order_release);
}

}  // namespace raylet::store
