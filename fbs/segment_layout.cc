#include "fbs/segment_layout.h"

#include <bit>
#include <new>

#include "base/strings.h"

namespace raylet {

namespace {
constexpr size_t kPage = 4096;
constexpr size_t PageUp(size_t bytes) { return (bytes + kPage - 1) & ~(kPage - 1); }

struct PartOffsets {
  size_t clients, buckets, entries, end;
};
PartOffsets Parts(uint64_t entry_count) {
  PartOffsets parts{};
  parts.clients = PageUp(sizeof(IndexHeader));
  parts.buckets = PageUp(parts.clients + sizeof(ClientRow) * kClientRowsMax);
  parts.entries = PageUp(parts.buckets + sizeof(std::atomic<uint32_t>) * kBucketCount);
  parts.end = PageUp(parts.entries + sizeof(IndexEntry) * entry_count);
  return parts;
}
}  // namespace

size_t IndexSegmentBytes(uint64_t entry_count) { return Parts(entry_count).end; }

IndexHeader* InitIndexSegment(void* memory, uint64_t entry_count) {
  const PartOffsets parts = Parts(entry_count);
  auto* base = static_cast<std::byte*>(memory);
  auto* header = new (memory) IndexHeader{};
  header->header_bytes = sizeof(IndexHeader);
  header->segment_bytes = parts.end;
  header->entry_count = entry_count;
  header->clients = reinterpret_cast<ClientRow*>(base + parts.clients);
  header->buckets = reinterpret_cast<std::atomic<uint32_t>*>(base + parts.buckets);
  header->entries = reinterpret_cast<IndexEntry*>(base + parts.entries);
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
  const uint64_t entry_count = header->entry_count;
  if (!std::has_single_bit(entry_count) || entry_count > bytes / sizeof(IndexEntry))
    return Fail(ErrorCode::kProtocolError, StrCat("index segment with ", entry_count, " entries in ", bytes, " bytes"));
  const PartOffsets parts = Parts(entry_count);
  const auto* base = static_cast<const std::byte*>(memory);
  const bool in_place = reinterpret_cast<const std::byte*>(header->clients.get()) == base + parts.clients &&
                        reinterpret_cast<const std::byte*>(header->buckets.get()) == base + parts.buckets &&
                        reinterpret_cast<const std::byte*>(header->entries.get()) == base + parts.entries;
  if (!in_place || parts.end > bytes || header->segment_bytes != parts.end ||
      header->header_bytes != sizeof(IndexHeader))
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
