// The layout of shared memory: the index segment and the clients' pin pages. The daemon writes the
// index; everybody else maps it read-only. A client and the daemon write that client's pin page.
// Always holds: plain data, offsets and atomics only, with asserted sizes. A reader checks magic,
// layout version and sizes before it believes anything else.
#pragma once

#include <atomic>
#include <boost/interprocess/offset_ptr.hpp>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "fbs/ids.h"

namespace raylet {

constexpr uint64_t kIndexMagic = 0x3158444c59415200ULL;  // "\0RAYLDX1"
constexpr uint64_t kPinsMagic = 0x31534e50594c5200ULL;
constexpr uint32_t kLayoutVersion = 2;
constexpr uint64_t kAlignment = 64;  // of data and of metadata

// ---- the index ------------------------------------------------------------------------------

enum class EntryState : uint8_t {
  kEmpty = 0,      // ends a probe
  kTombstone = 1,  // was used; a probe goes on
  kUnsealed = 2,   // being written by its creator
  kSealed = 3,     // immutable, may be pinned
  kDying = 4,      // deleted or evicted, memory still pinned; invisible to new gets
};

// One object. The word changes last when an entry appears and first when it goes. A reader that
// sees the same word before and after the other fields has read one object's fields.
struct IndexEntry {
  std::atomic<uint64_t> word;         // low 8 bits: EntryState; the rest: generation, +1 at every change of state
  std::atomic<uint64_t> id_words[3];  // 20 bytes of id, then the creator's client number (32 bits)
  std::atomic<uint64_t> offset;       // of the data in the arena
  std::atomic<uint64_t> data_bytes;
  std::atomic<uint64_t> metadata_bytes_and_flags;  // low 32 bits: bytes of metadata; bit 32: owned
  std::atomic<uint64_t> created_ms;                // since the daemon started
};
static_assert(sizeof(IndexEntry) == 64 && std::atomic<uint64_t>::is_always_lock_free);
constexpr uint64_t kEntryOwnedFlag = uint64_t{1} << 32;

constexpr EntryState StateOf(uint64_t word) { return static_cast<EntryState>(word & 0xff); }
constexpr uint64_t GenerationOf(uint64_t word) { return word >> 8; }
constexpr uint64_t MakeWord(EntryState state, uint64_t generation) {
  return generation << 8 | static_cast<uint64_t>(state);
}
constexpr uint64_t AlignUp(uint64_t bytes) { return (bytes + kAlignment - 1) & ~(kAlignment - 1); }
// Metadata follows the data.
constexpr uint64_t MetadataOffset(uint64_t data_offset, uint64_t data_bytes) {
  return data_offset + AlignUp(data_bytes);
}

// One connected client, for objstat. number == 0: the row is free.
struct ClientRow {
  std::atomic<uint32_t> number;
  std::atomic<int32_t> pid;
  std::atomic<uint64_t> connected_ms;  // since the daemon started
  std::atomic<uint64_t> created_count;
  std::atomic<uint64_t> created_bytes;
  std::atomic<uint64_t> unsealed_bytes;
  std::atomic<uint64_t> owned_bytes;
  char name[64];  // written before number, zero-terminated
};
static_assert(sizeof(ClientRow) == 112);

// Counters that add up. The daemon makes mutation_seq odd, changes the counters together with the
// entries, and makes it even again. A reader of several counters retries until it sees the same
// even number before and after.
struct IndexCounters {
  std::atomic<uint64_t> mutation_seq;
  std::atomic<uint64_t> sealed_bytes, sealed_count;  // logical bytes: data + metadata, as asked for
  std::atomic<uint64_t> unsealed_bytes, unsealed_count;
  std::atomic<uint64_t> dying_bytes, dying_count;
  std::atomic<uint64_t> physical_bytes;  // bytes that the allocator handed out, rounding included
  std::atomic<uint64_t> creates, seals, deletes, evictions, evicted_bytes, full_failures;
  std::atomic<uint64_t> clients;
  std::atomic<uint64_t> bytes_received, bytes_sent;  // over the socket
  std::atomic<uint64_t> watched_ids;                 // seals that clients wait to be told of
};

constexpr uint32_t kBucketCount = 1024;  // futex words for blocked gets
constexpr uint32_t kClientRowsMax = 512;

// The start of the index segment. offset_ptrs (Boost.Interprocess) name the parts, so the segment
// means the same wherever it is mapped. A process that maps it checks that they point inside.
struct IndexHeader {
  uint64_t magic;
  uint32_t layout_version;
  uint32_t header_bytes;
  uint64_t segment_bytes;
  uint64_t entry_count;  // a power of two
  uint64_t capacity_bytes;
  uint64_t arena_bytes;
  int32_t daemon_pid;
  uint32_t reserved;
  uint64_t started_unix_ms;
  uint64_t started_monotonic_ns;  // created_ms and connected_ms count from here
  char socket_path[112];
  char build[32];
  boost::interprocess::offset_ptr<IndexEntry> entries;
  boost::interprocess::offset_ptr<ClientRow> clients;              // kClientRowsMax
  boost::interprocess::offset_ptr<std::atomic<uint32_t>> buckets;  // kBucketCount; +1 at each seal of its objects
  alignas(64) IndexCounters counters;
};

size_t IndexSegmentBytes(uint64_t entry_count);
// Makes an index, with its parts in place, of zeroed memory of IndexSegmentBytes(entry_count).
IndexHeader* InitIndexSegment(void* memory, uint64_t entry_count);
// kProtocolError unless magic, version, sizes and parts fit `bytes`.
Result<const IndexHeader*> CheckIndexSegment(const void* memory, size_t bytes);

// The start of the probe for an id, and the futex word that its seal increments.
inline uint64_t ProbeStart(const ObjectId& id, uint64_t entry_count) { return id.Hash() & (entry_count - 1); }
inline uint32_t BucketOf(const ObjectId& id) { return static_cast<uint32_t>(id.Hash() >> 40) & (kBucketCount - 1); }

constexpr std::string_view kIndexSegmentPrefix = "plasma-index-";
// The name in /dev/shm of the index of the store that serves `socket_path`. The caller makes the
// path absolute.
std::string IndexSegmentName(const std::string& socket_path);

// ---- a client's pin page ---------------------------------------------------------------------

constexpr uint32_t kPinSlots = 65536;  // objects that one process may pin at a time
constexpr uint32_t kTouchSlots = 1024;

// To pin: write slot = entry number + 1, fence fully, read entry.word again. An unchanged word
// means that the daemon sees the pin before it frees anything: it makes the entry dying, fences,
// and only then reads the slots.
struct PinPage {
  uint64_t magic;
  uint32_t layout_version;
  uint32_t client;                               // the client's number
  alignas(64) std::atomic<uint32_t> waiting;     // threads parked on a bucket; at 0 the daemon wakes nobody
  std::atomic<uint32_t> slots_high_water;        // slots from here on were never used: the daemon does not read them
  alignas(64) std::atomic<uint64_t> touch_tail;  // gets so far; touches[(n) % kTouchSlots] = entry number of get n
  std::atomic<uint32_t> touches[kTouchSlots];    // the daemon reads them before it chooses what to evict
  alignas(64) std::atomic<uint32_t> slots[kPinSlots];
};
size_t PinPageBytes();
// The name of the memfd, by which objstat finds it among a process's descriptors.
std::string PinPageName(uint32_t client);

}  // namespace raylet
