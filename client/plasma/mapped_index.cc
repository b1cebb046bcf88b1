#include "client/plasma/mapped_index.h"

#include <cstring>
#include <utility>

#include "base/strings.h"
#include "client/plasma/no_store.h"

namespace raylet::client {

namespace {

struct IdWords {
  uint64_t first, second;
  uint32_t third;
};

IdWords WordsOf(const ObjectId& id) {
  IdWords words;
  std::memcpy(&words.first, id.data(), 8);
  std::memcpy(&words.second, id.data() + 8, 8);
  std::memcpy(&words.third, id.data() + 16, 4);
  return words;
}

// Acquire, with the daemon's release: a field of a newer object brings the newer word along, so that the second look at
// the word tells.
template <class Word>
Word Field(const std::atomic<Word>& field) {
  return field.load(std::memory_order_acquire);
}

constexpr int kTries = 1000;             // a chain that changes under each of so many looks does not exist
constexpr uint32_t kStepsPerLook = 256;  // at the head: a reader that was led astray does not walk for long

}  // namespace

Result<MappedIndex> MappedIndex::Open(int fd) {
  const auto bytes = FileSize(fd);
  if (!bytes) return Fail(bytes.error());
  auto mapping = Mapping::Map(fd, *bytes, Mapping::Access::kReadOnly);
  if (!mapping) return Fail(std::move(mapping).error());
  auto index = Attach(mapping->data(), mapping->size());
  if (index) index->mapping_ = *std::move(mapping);
  return index;
}

Result<MappedIndex> MappedIndex::OpenByName(const std::string& socket_path) {
  const auto fd = OpenNamedSegmentReadOnly(IndexSegmentName(socket_path));
  if (!fd) {
    if (fd.error().code != ErrorCode::kNotFound) return Fail(fd.error());
    return NoStoreServes(socket_path);
  }
  return Open(fd->get());
}

Result<MappedIndex> MappedIndex::Attach(const void* memory, size_t bytes) {
  const auto header = CheckIndexSegment(memory, bytes);
  if (!header) return Fail(header.error());
  MappedIndex index;
  index.header_ = *header;
  index.entries_ = (*header)->entries.get();
  index.buckets_ = (*header)->buckets.get();
  index.chains_ = (*header)->chains.get();
  index.entries_max_ = (*header)->entries_max;
  return index;
}

std::optional<FoundObject> MappedIndex::Find(const ObjectId& id, EntryState first, EntryState second,
                                             EntryState third) const {
  const IdWords wanted = WordsOf(id);
  const uint64_t hash = IndexHash(id);
  for (int i = 0; i < kTries; ++i) {
    const uint32_t chain_count = header_->chain_count.load(std::memory_order_acquire);
    const std::atomic<uint64_t>& chain = chains_[ChainOf(hash, chain_count)];
    const uint64_t head = chain.load(std::memory_order_acquire);
    bool astray = false;
    uint32_t link = (FilterOf(head) & FilterBit(hash)) != 0 ? FirstLinkOf(head) : kNoLink;
    for (uint32_t steps = 1; link != kNoLink && !astray; ++steps) {
      if (link > entries_max_ || steps > entries_max_) return std::nullopt;  // no daemon of ours wrote this
      const IndexEntry& entry = entries_[link - 1];
      // Acquire: the daemon stores the word after the fields when an object appears.
      const uint64_t word = entry.word.load(std::memory_order_acquire);
      const EntryState state = StateOf(word);
      if ((state == first || state == second || state == third) && Field(entry.id_words[0]) == wanted.first &&
          Field(entry.id_words[1]) == wanted.second &&
          static_cast<uint32_t>(Field(entry.id_words[2])) == wanted.third) {
        FoundObject found;
        found.entry = link - 1;
        found.word = word;
        found.offset = Field(entry.offset);
        found.data_bytes = Field(entry.data_bytes);
        found.metadata_bytes = Field(entry.metadata_bytes);
        found.deleted = (Field(entry.times_and_flags) & kEntryDeletedFlag) != 0;
        return found;
      }
      // An entry that left its chain under this walk leads elsewhere.
      astray = state == EntryState::kEmpty || state == EntryState::kDying ||
               (steps % kStepsPerLook == 0 && Field(chain) != head);
      link = Field(entry.next);
    }
    // Nothing, if the chain stood still, and was the right one. The links were read with acquire. So
    // if one of them was of another chain, the change of the head that came before it shows here.
    if (!astray && Field(chain) == head && header_->chain_count.load(std::memory_order_acquire) == chain_count)
      return std::nullopt;
  }
  return std::nullopt;
}

std::optional<EntrySnapshot> MappedIndex::Read(uint64_t number) const {
  if (number >= entry_bound()) return std::nullopt;
  const IndexEntry& entry = entries_[number];
  for (int i = 0; i < kTries; ++i) {
    const uint64_t word = entry.word.load(std::memory_order_acquire);
    if (StateOf(word) == EntryState::kEmpty) return std::nullopt;
    EntrySnapshot snapshot;
    snapshot.entry = number;
    snapshot.word = word;
    const uint64_t words[3] = {Field(entry.id_words[0]), Field(entry.id_words[1]), Field(entry.id_words[2])};
    std::memcpy(snapshot.id.mutable_data(), words, ObjectId::kSize);
    snapshot.creator = static_cast<uint32_t>(words[2] >> 32);
    snapshot.offset = Field(entry.offset);
    snapshot.data_bytes = Field(entry.data_bytes);
    snapshot.metadata_bytes = Field(entry.metadata_bytes);
    const EntryTimes times = TimesOf(Field(entry.times_and_flags));
    snapshot.owned = times.owned;
    snapshot.deleted = times.deleted;
    snapshot.created_ms = times.created_ms;
    snapshot.constructed_s = times.constructed_s;
    if (entry.word.load(std::memory_order_acquire) == word) return snapshot;
  }
  return std::nullopt;
}

}  // namespace raylet::client
