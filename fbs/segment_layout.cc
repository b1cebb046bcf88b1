#include "fbs/segment_layout.h"

#include <new>

#include "base/strings.h"

namespace raylet {

namespace {
constexpr size_t kPage = 4096;
constexpr size_t PageUp(size_t bytes) { return (bytes + kPage - 1) & ~(kPage - 1); }

struct PartOffsets {
  size_t clients, buckets, events, old_places, chains, entries, owners, end;
};
PartOffsets Parts(uint64_t entries_max) {
  PartOffsets parts{};
  parts.clients = PageUp(sizeof(IndexHeader));
  parts.buckets = PageUp(parts.clients + sizeof(ClientRow) * kClientRowsMax);
  parts.events = PageUp(parts.buckets + sizeof(std::atomic<uint32_t>) * kBucketCount);
  parts.old_places = PageUp(parts.events + sizeof(EventSlot) * kEventSlots);
  parts.chains = PageUp(parts.old_places + sizeof(OldPlace) * kOldPlacesMax);
  parts.entries = PageUp(parts.chains + sizeof(std::atomic<uint64_t>) * entries_max);
  parts.owners = PageUp(parts.entries + sizeof(IndexEntry) * entries_max);
  parts.end = PageUp(parts.owners + sizeof(std::atomic<uint32_t>) * entries_max);
  return parts;
}
}  // namespace

size_t IndexSegmentBytes(uint64_t entries_max) { return Parts(entries_max).end; }

size_t IndexFixedBytes() { return Parts(0).chains; }

std::array<SegmentRange, 3> IndexStepRanges(uint64_t entries_max, uint64_t first, uint64_t count) {
  const PartOffsets parts = Parts(entries_max);
  return {SegmentRange{parts.chains + first * sizeof(std::atomic<uint64_t>), count * sizeof(std::atomic<uint64_t>)},
          SegmentRange{parts.entries + first * sizeof(IndexEntry), count * sizeof(IndexEntry)},
          SegmentRange{parts.owners + first * sizeof(std::atomic<uint32_t>), count * sizeof(std::atomic<uint32_t>)}};
}

IndexHeader* InitIndexSegment(void* memory, uint64_t entries_max) {
  const PartOffsets parts = Parts(entries_max);
  auto* base = static_cast<std::byte*>(memory);
  auto* header = new (memory) IndexHeader{};
  header->header_bytes = sizeof(IndexHeader);
  header->segment_bytes = parts.end;
  header->entries_max = entries_max;
  header->clients = reinterpret_cast<ClientRow*>(base + parts.clients);
  header->buckets = reinterpret_cast<std::atomic<uint32_t>*>(base + parts.buckets);
  header->events = reinterpret_cast<EventSlot*>(base + parts.events);
  header->chains = reinterpret_cast<std::atomic<uint64_t>*>(base + parts.chains);
  header->entries = reinterpret_cast<IndexEntry*>(base + parts.entries);
  header->owners = reinterpret_cast<std::atomic<uint32_t>*>(base + parts.owners);
  header->old_places = reinterpret_cast<OldPlace*>(base + parts.old_places);
  header->next_client.store(1, std::memory_order_relaxed);
  header->chain_count.store(1, std::memory_order_relaxed);
  header->layout_version = kLayoutVersion;
  header->magic = kIndexMagic;
  return header;
}

Result<const IndexHeader*> CheckIndexSegment(const void* memory, size_t bytes) {
  const auto* header = static_cast<const IndexHeader*>(memory);
  if (bytes < sizeof(IndexHeader) || header->magic != kIndexMagic)
    return Fail(ErrorCode::kProtocolError, StrCat("not an index segment: ", bytes, " bytes with another magic"));
  if (header->layout_version != kLayoutVersion)
    return Fail(ErrorCode::kVersionMismatch, StrCat("index segment of layout ", header->layout_version,
                                                    ", this program reads layout ", kLayoutVersion));
  const uint64_t entries_max = header->entries_max;
  if (entries_max == 0 || entries_max > kEntriesMost || entries_max > bytes / sizeof(IndexEntry))
    return Fail(ErrorCode::kProtocolError, StrCat("index segment of ", entries_max, " entries in ", bytes, " bytes"));
  const PartOffsets parts = Parts(entries_max);
  const auto* base = static_cast<const std::byte*>(memory);
  const bool in_place = reinterpret_cast<const std::byte*>(header->clients.get()) == base + parts.clients &&
                        reinterpret_cast<const std::byte*>(header->buckets.get()) == base + parts.buckets &&
                        reinterpret_cast<const std::byte*>(header->events.get()) == base + parts.events &&
                        reinterpret_cast<const std::byte*>(header->chains.get()) == base + parts.chains &&
                        reinterpret_cast<const std::byte*>(header->entries.get()) == base + parts.entries &&
                        reinterpret_cast<const std::byte*>(header->owners.get()) == base + parts.owners &&
                        reinterpret_cast<const std::byte*>(header->old_places.get()) == base + parts.old_places;
  const uint32_t chain_count = header->chain_count.load(std::memory_order_acquire);
  const uint32_t entry_bound = header->entry_bound.load(std::memory_order_acquire);
  if (!in_place || parts.end > bytes || header->segment_bytes != parts.end ||
      header->header_bytes != sizeof(IndexHeader) || chain_count == 0 || chain_count > entries_max ||
      entry_bound > entries_max)
    return Fail(ErrorCode::kProtocolError, "index segment whose parts are not where they belong");
  return header;
}

std::string IndexSegmentName(const std::string& socket_path) {
  // FNV-1a (Fowler, Noll, Vo): the same name in every process for the same path.
  uint64_t hash = 0xcbf29ce484222325ULL;
  for (const char c : socket_path) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
  uint8_t bytes[8];
  for (int i = 0; i < 8; ++i) bytes[i] = static_cast<uint8_t>(hash >> (56 - 8 * i));
  return StrCat(kIndexSegmentPrefix, ToHex(bytes, sizeof bytes));
}

size_t PinPageBytes() { return PageUp(sizeof(PinPage)); }

std::string PinPageName(uint32_t client) { return StrCat("plasma-pins-", client); }

}  // namespace raylet
