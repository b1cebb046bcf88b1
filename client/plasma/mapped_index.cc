#include "client/plasma/mapped_index.h"

#include <cstring>
#include <utility>

#include "base/strings.h"

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
uint64_t Field(const std::atomic<uint64_t>& field) { return field.load(std::memory_order_acquire); }

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
    return Fail(ErrorCode::kNotRunning,
                StrCat("no plasma_store serves ", socket_path, ": start one with plasma_store -m 1G -s ", socket_path));
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
  index.mask_ = (*header)->entry_count - 1;
  return index;
}

std::optional<FoundObject> MappedIndex::Find(const ObjectId& id, EntryState state) const {
  const IdWords wanted = WordsOf(id);
  uint64_t at = id.Hash() & mask_;
  for (uint64_t step = 0; step <= mask_; ++step, at = (at + 1) & mask_) {
    const IndexEntry& entry = entries_[at];
    // Acquire: the daemon stores the word last when an object appears; we see its other fields.
    const uint64_t word = entry.word.load(std::memory_order_acquire);
    if (StateOf(word) == EntryState::kEmpty) return std::nullopt;
    if (StateOf(word) != state || Field(entry.id_words[0]) != wanted.first ||
        Field(entry.id_words[1]) != wanted.second || static_cast<uint32_t>(Field(entry.id_words[2])) != wanted.third)
      continue;
    FoundObject found;
    found.entry = at;
    found.word = word;
    found.offset = Field(entry.offset);
    found.data_bytes = Field(entry.data_bytes);
    found.metadata_bytes = Field(entry.metadata_bytes_and_flags) & 0xffffffff;
    return found;
  }
  return std::nullopt;
}

std::optional<EntrySnapshot> MappedIndex::Read(uint64_t number) const {
  constexpr int kTries = 100;
  const IndexEntry& entry = entries_[number & mask_];
  for (int i = 0; i < kTries; ++i) {
    const uint64_t word = entry.word.load(std::memory_order_acquire);
    if (StateOf(word) == EntryState::kEmpty || StateOf(word) == EntryState::kTombstone) return std::nullopt;
    EntrySnapshot snapshot;
    snapshot.entry = number & mask_;
    snapshot.word = word;
    const uint64_t words[3] = {Field(entry.id_words[0]), Field(entry.id_words[1]), Field(entry.id_words[2])};
    std::memcpy(snapshot.id.mutable_data(), words, ObjectId::kSize);
    snapshot.creator = static_cast<uint32_t>(words[2] >> 32);
    snapshot.offset = Field(entry.offset);
    snapshot.data_bytes = Field(entry.data_bytes);
    const uint64_t metadata = Field(entry.metadata_bytes_and_flags);
    snapshot.metadata_bytes = metadata & 0xffffffff;
    snapshot.owned = (metadata & kEntryOwnedFlag) != 0;
    snapshot.created_ms = Field(entry.created_ms);
    if (entry.word.load(std::memory_order_acquire) == word) return snapshot;
  }
  return std::nullopt;
}

}  // namespace raylet::client
