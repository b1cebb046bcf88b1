// The layout of shared memory: the index segment and the clients' pin pages. The daemon writes the
// index; everybody else maps it read-only. A client and the daemon write that client's pin page.
// Always holds: plain data, offsets and atomics only, with asserted sizes. A reader checks magic,
// layout version and sizes before it believes anything else.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <boost/interprocess/offset_ptr.hpp>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "base/result.h"
#include "fbs/ids.h"

namespace raylet {

constexpr uint64_t kIndexMagic = 0x3158444c59415200ULL;  // "\0RAYLDX1"
constexpr uint64_t kPinsMagic = 0x31534e50594c5200ULL;
constexpr uint32_t kLayoutVersion = 3;
constexpr uint64_t kAlignment = 64;  // of data and of metadata

// ---- the index ------------------------------------------------------------------------------

enum class EntryState : uint8_t {
  kEmpty = 0,     // holds no object
  kUnsealed = 2,  // being written by its creator
  kSealed = 3,    // immutable, may be pinned
  kDying = 4,     // deleted or evicted, memory still pinned; in no chain, so invisible to new gets
};

// One object. The word changes last when an entry appears and first when it goes. A reader that
// sees the same word before and after the other fields has read one object's fields.
struct IndexEntry {
  std::atomic<uint64_t> word;         // low 8 bits: EntryState; the rest: generation, +1 at every change of state
  std::atomic<uint64_t> id_words[3];  // 20 bytes of id, then the creator's client number (32 bits)
  std::atomic<uint64_t> offset;       // of the data in the arena
  std::atomic<uint64_t> data_bytes;
  std::atomic<uint32_t> metadata_bytes;
  std::atomic<uint32_t> next;                  // link to the next entry of its chain
  std::atomic<uint64_t> created_ms_and_flags;  // since the daemon started; bit 63: owned
};
static_assert(sizeof(IndexEntry) == 64 && std::atomic<uint64_t>::is_always_lock_free);
constexpr uint64_t kEntryOwnedFlag = uint64_t{1} << 63;

constexpr EntryState StateOf(uint64_t word) { return static_cast<EntryState>(word & 0xff); }
constexpr uint64_t GenerationOf(uint64_t word) { return word >> 8; }
constexpr uint64_t MakeWord(EntryState state, uint64_t generation) {
  return generation << 8 | static_cast<uint64_t>(state);
}
constexpr uint64_t AlignUp(uint64_t bytes) { return (bytes + kAlignment - 1) & ~(kAlignment - 1); }

// 64 well-mixed bits of an id, by which the index finds it; the same in every process. Two multiplications, since every
// get waits for them (after wyhash by Wang Yi, public domain).
inline uint64_t IndexHash(const ObjectId& id) {
  __extension__ using Wide = unsigned __int128;
  constexpr auto fold = [](uint64_t a, uint64_t b) {
    const Wide product = Wide{a} * b;
    return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
  };
  static_assert(ObjectId::kSize == 20);
  uint64_t first = 0, second = 0;
  uint32_t third = 0;
  std::memcpy(&first, id.data(), 8);
  std::memcpy(&second, id.data() + 8, 8);
  std::memcpy(&third, id.data() + 16, 4);
  const uint64_t both = fold(first ^ 0xa0761d6478bd642fULL, second ^ 0xe7037ed1a0b428dbULL);
  return fold(both ^ third ^ 0x8ebc6af09c88c6e3ULL, second ^ first ^ 0x589965cc75374cc3ULL);
}

// A link names an entry by its number + 1; 0 ends a chain.
constexpr uint32_t kNoLink = 0;
constexpr uint64_t kEntriesMost = uint64_t{1} << 31;

// A chain: the unsealed and sealed objects whose hashes share their low bits. One atomic word is its
// head. Every change of the chain changes the head, so a reader that found nothing looks at the head
// again: unchanged, there was nothing. The filter has a bit for each object of the chain, and so
// most readers of absent objects touch no entry.
constexpr uint64_t MakeHead(uint32_t first_link, uint32_t changes, uint8_t filter) {
  return uint64_t{first_link} | uint64_t{changes & 0xffffff} << 32 | uint64_t{filter} << 56;
}
constexpr uint32_t FirstLinkOf(uint64_t head) { return static_cast<uint32_t>(head); }
constexpr uint32_t ChangesOf(uint64_t head) { return static_cast<uint32_t>(head >> 32) & 0xffffff; }
constexpr uint8_t FilterOf(uint64_t head) { return static_cast<uint8_t>(head >> 56); }
constexpr uint8_t FilterBit(uint64_t hash) { return static_cast<uint8_t>(1U << (hash >> 61)); }
// The chain of a hash, of `chain_count` (linear hashing). One chain more moves the objects of a single
// other chain.
constexpr uint32_t ChainOf(uint64_t hash, uint32_t chain_count) {
  const uint32_t mask = std::bit_ceil(chain_count) - 1;
  const uint32_t chain = static_cast<uint32_t>(hash) & mask;
  return chain < chain_count ? chain : chain & (mask >> 1);
}

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
  std::atomic<uint64_t> lent_bytes;                  // of the arena: pages given up for entries of the index
};

constexpr uint32_t kBucketCount = 1024;  // futex words for blocked gets
constexpr uint32_t kClientRowsMax = 512;

// The start of the index segment. offset_ptrs (Boost.Interprocess) name the parts, so the segment
// means the same wherever it is mapped. A process that maps it checks that they point inside.
// The segment has places for entries_max entries and as many chains. Memory lies only behind those
// that the daemon uses. A reader stays below chain_count and entry_bound, and follows links.
struct IndexHeader {
  uint64_t magic;
  uint32_t layout_version;
  uint32_t header_bytes;
  uint64_t segment_bytes;
  uint64_t entries_max;
  uint64_t capacity_bytes;
  uint64_t arena_bytes;
  int32_t daemon_pid;
  uint32_t reserved;
  uint64_t started_unix_ms;
  uint64_t started_monotonic_ns;  // created_ms and connected_ms count from here
  char socket_path[112];
  char build[32];
  boost::interprocess::offset_ptr<ClientRow> clients;              // kClientRowsMax
  boost::interprocess::offset_ptr<std::atomic<uint32_t>> buckets;  // kBucketCount; +1 at each seal of its objects
  boost::interprocess::offset_ptr<std::atomic<uint64_t>> chains;   // heads
  boost::interprocess::offset_ptr<IndexEntry> entries;
  alignas(64) std::atomic<uint32_t> chain_count;  // both only grow
  std::atomic<uint32_t> entry_bound;              // entries from here on were never used
  alignas(64) IndexCounters counters;
};

// The size of a segment: most of it may be a hole.
size_t IndexSegmentBytes(uint64_t entries_max);
// Makes an empty index, with its parts in place, of zeroed memory of IndexSegmentBytes(entries_max).
// Writes to the first IndexFixedBytes() alone.
IndexHeader* InitIndexSegment(void* memory, uint64_t entries_max);
// kProtocolError unless magic, version, sizes and parts fit `bytes`.
Result<const IndexHeader*> CheckIndexSegment(const void* memory, size_t bytes);

// The parts that need memory from the start, whatever the number of entries.
size_t IndexFixedBytes();
// The ranges of the segment, whole pages, that hold the entries from `first` on and as many heads of
// chains. Both numbers are multiples of kIndexStep, so that no page belongs to two steps.
struct SegmentRange {
  uint64_t offset = 0, bytes = 0;
};
constexpr uint64_t kIndexStep = 4096;
constexpr uint64_t kSharedBytesPerEntry = sizeof(IndexEntry) + sizeof(std::atomic<uint64_t>);
std::array<SegmentRange, 2> IndexStepRanges(uint64_t entries_max, uint64_t first, uint64_t count);

// The futex word that the seal of an object increments.
inline uint32_t BucketOf(const ObjectId& id) { return static_cast<uint32_t>(IndexHash(id) >> 40) & (kBucketCount - 1); }

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
  alignas(64) std::atomic<uint64_t> touch_tail;  // releases so far; touches[n % kTouchSlots] = entry of release n
  std::atomic<uint32_t> touches[kTouchSlots];    // the daemon reads them before it chooses what to evict
  alignas(64) std::atomic<uint32_t> slots[kPinSlots];
};
size_t PinPageBytes();
// The name of the memfd, by which objstat finds it among a process's descriptors.
std::string PinPageName(uint32_t client);

}  // namespace raylet
