#include "store/object_index.h"

#include <cstring>
#include <vector>

#include "base/check.h"
#include "base/waiter.h"

namespace raylet::store {

ObjectIndex::ObjectIndex(IndexHeader* header, uint64_t entries, uint32_t chains_at_first)
    : header_(header), chains_(header, chains_at_first), entries_(entries) {
  RAYLET_CHECK(entries > 0 && entries <= header->entries_max, "memory for ", entries, " entries of ",
               header->entries_max);
  bound_ = header->entry_bound.load(std::memory_order_relaxed);
}

void ObjectIndex::Change(uint32_t entry, EntryState state, std::memory_order order) {
  std::atomic<uint64_t>& word = At(entry).word;
  word.store(MakeWord(state, GenerationOf(word.load(std::memory_order_relaxed)) + 1), order);
}

uint32_t ObjectIndex::TakeNumber() {
  if (first_free_ != kNoLink) {
    const uint32_t entry = first_free_ - 1;
    first_free_ = At(entry).next.load(std::memory_order_relaxed);
    return entry;
  }
  header_->entry_bound.store(bound_ + 1, std::memory_order_release);
  return bound_++;
}

std::optional<uint32_t> ObjectIndex::Insert(const ObjectId& id, const Fields& fields) {
  if (!HasFree()) return std::nullopt;
  const uint32_t entry = TakeNumber();
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
  slot.metadata_bytes.store(fields.metadata_bytes, std::memory_order_release);
  slot.times_and_flags.store(MakeTimes({.created_ms = fields.created_ms, .owned = fields.owned}),
                             std::memory_order_release);
  Change(entry, EntryState::kUnsealed, std::memory_order_release);
  chains_.Link(entry, IndexHash(id));
  ++used_;
  chains_.Spread(used_, static_cast<uint32_t>(entries_));
  return entry;
}

ObjectIndex::Fields ObjectIndex::FieldsOf(uint32_t entry) const {
  const IndexEntry& slot = At(entry);
  const EntryTimes times = TimesOf(slot.times_and_flags.load(std::memory_order_relaxed));
  return {.offset = slot.offset.load(std::memory_order_relaxed),
          .data_bytes = slot.data_bytes.load(std::memory_order_relaxed),
          .metadata_bytes = slot.metadata_bytes.load(std::memory_order_relaxed),
          .creator = static_cast<uint32_t>(slot.id_words[2].load(std::memory_order_relaxed) >> 32),
          .owned = times.owned,
          .created_ms = times.created_ms};
}

void ObjectIndex::MarkSealed(uint32_t entry) {
  // Publishes id, place, sizes and creator to every process that reads the word with acquire.
  Change(entry, EntryState::kSealed, std::memory_order_seq_cst);
  // A waiter reads the bucket, then probes, then parks on the value it read. So it misses neither
  // the word nor the bump.
  header_->buckets[static_cast<std::ptrdiff_t>(BucketOf(IdOf(entry)))].fetch_add(1, std::memory_order_seq_cst);
}

void ObjectIndex::MarkDying(uint32_t entry) {
  chains_.Unlink(entry, IndexHash(IdOf(entry)));
  // Pairs with the pin in the client, which stores its slot and then reads the word again. Either
  // the client sees the change and gives up, or the scan of the slots after this sees its pin.
  Change(entry, EntryState::kDying, std::memory_order_seq_cst);
  std::atomic_thread_fence(std::memory_order_seq_cst);
}

void ObjectIndex::Move(uint32_t entry, uint64_t offset) {
  // Release: a reader that sees the place sees the bytes there. It may keep it with the old word.
  At(entry).offset.store(offset, std::memory_order_release);
  // Pairs with the pin in the client, as in MarkDying. A reader that sees this word sees the new place.
  Change(entry, EntryState::kSealed, std::memory_order_seq_cst);
  std::atomic_thread_fence(std::memory_order_seq_cst);
}

void ObjectIndex::MarkDeleted(uint32_t entry) {
  Change(entry, EntryState::kDeleted, std::memory_order_seq_cst);  // pairs as in MarkDying
  std::atomic_thread_fence(std::memory_order_seq_cst);
}

void ObjectIndex::MarkSpilled(uint32_t entry) {
  Change(entry, EntryState::kSpilled, std::memory_order_seq_cst);  // pairs as in MarkDying
  std::atomic_thread_fence(std::memory_order_seq_cst);
}

void ObjectIndex::SetPlace(uint32_t entry, uint64_t offset_or_word) {
  // Release: a reader that sees the place sees the bytes there, once the word says that the object is sealed.
  At(entry).offset.store(offset_or_word, std::memory_order_release);
}

void ObjectIndex::MarkHeld(uint32_t entry) { Change(entry, EntryState::kSealed, std::memory_order_seq_cst); }

void ObjectIndex::PrepareSeal(uint32_t entry, bool owned, uint64_t now_ms) {
  auto& word = At(entry).times_and_flags;
  EntryTimes times = TimesOf(word.load(std::memory_order_relaxed));
  times.owned = owned;
  times.constructed_s = (now_ms - std::min(now_ms, times.created_ms)) / 1000;
  word.store(MakeTimes(times), std::memory_order_relaxed);
}

void ObjectIndex::SetDeleted(uint32_t entry) {
  auto& word = At(entry).times_and_flags;
  word.store(word.load(std::memory_order_relaxed) | kEntryDeletedFlag, std::memory_order_relaxed);
}

bool ObjectIndex::Repair() {
  if (bound_ > entries_) return false;
  std::vector<bool> linked(bound_);
  const auto in_chain = [](EntryState state) {
    return state == EntryState::kUnsealed || state == EntryState::kSealed || state == EntryState::kDeleted ||
           state == EntryState::kSpilled;
  };
  const bool good = chains_.Repair([&](uint32_t entry) {
    if (linked[entry] || !in_chain(StateOf(entry))) return false;
    linked[entry] = true;
    return true;
  });
  if (!good) return false;
  first_free_ = kNoLink;
  used_ = 0;
  for (uint32_t entry = bound_; entry-- > 0;) {
    const EntryState state = StateOf(entry);
    // It had begun to link an unsealed one, or to free it. A sealed one was evicted or deleted.
    if (in_chain(state) && !linked[entry])
      Change(entry, state == EntryState::kUnsealed ? EntryState::kEmpty : EntryState::kDying,
             std::memory_order_seq_cst);
    // Its memory had not been given up yet.
    if (StateOf(entry) == EntryState::kSpilled && !IsOnDisk(FieldsOf(entry).offset)) MarkHeld(entry);
    // It had begun to remove one that has no memory.
    if (StateOf(entry) == EntryState::kDying && IsOnDisk(FieldsOf(entry).offset))
      Change(entry, EntryState::kEmpty, std::memory_order_release);
    if (StateOf(entry) != EntryState::kEmpty) {
      ++used_;
      continue;
    }
    At(entry).next.store(first_free_, std::memory_order_release);  // as in Remove
    first_free_ = entry + 1;
  }
  return true;
}

void ObjectIndex::Remove(uint32_t entry) {
  RAYLET_CHECK(used_ > 0, "removed more entries than there were");
  --used_;
  if (StateOf(entry) != EntryState::kDying) chains_.Unlink(entry, IndexHash(IdOf(entry)));
  Change(entry, EntryState::kEmpty, std::memory_order_release);
  // Release: a reader that comes here along an old chain sees that the entry is empty.
  At(entry).next.store(first_free_, std::memory_order_release);
  first_free_ = entry + 1;
}

}  // namespace raylet::store
