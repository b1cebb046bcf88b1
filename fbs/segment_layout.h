// The layout of shared memory: the index segment and the clients' pin pages. The daemon writes the
// index; everybody else maps it read-only. A client and the daemon write that client's pin page.
// Always holds: plain data, offsets and atomics only, with asserted sizes. A reader checks magic,
// layout version and sizes before it believes anything else.
#pragma once

#include <algorithm>
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
#include "fbs/event_log.h"
#include "fbs/ids.h"

namespace raylet {

constexpr uint64_t kIndexMagic = 0x3158444c59415200ULL;  // "\0RAYLDX1"
constexpr uint64_t kPinsMagic = 0x31534e50594c5200ULL;
constexpr uint32_t kLayoutVersion = 6;
constexpr uint64_t kAlignment = 64;                 // of data and of metadata
constexpr const char* kArenaName = "plasma-arena";  // of the memfd, by which objstat finds it

// ---- the index ------------------------------------------------------------------------------

enum class EntryState : uint8_t {
  kEmpty = 0,     // holds no object
  kUnsealed = 2,  // being written by its creator
  kSealed = 3,    // immutable, may be pinned
  kDying = 4,     // gone, memory still pinned; in no chain, so invisible to new gets
  kDeleted = 5,   // sealed and deleted, perhaps held; not to be pinned. Soon it is sealed again, or gone
  kSpilled = 6,   // sealed, and not to be pinned: its bytes are on disk, or soon. A get asks the daemon for them
};

// One object. The word changes last when an entry appears and first when it goes. A reader that
// sees the same word before and after the other fields has read one object's fields. When a sealed
// object moves, the offset changes and then the word, while both places hold its bytes.
struct IndexEntry {
  std::atomic<uint64_t> word;         // low 8 bits: EntryState; the rest: generation, +1 at every change of state
  std::atomic<uint64_t> id_words[3];  // 20 bytes of id, then the creator's client number (32 bits)
  std::atomic<uint64_t> offset;       // of the data in the arena, or its place on disk (DiskWord)
  std::atomic<uint64_t> data_bytes;
  std::atomic<uint32_t> metadata_bytes;
  std::atomic<uint32_t> next;             // link to the next entry of its chain
  std::atomic<uint64_t> times_and_flags;  // see EntryTimes
};
static_assert(sizeof(IndexEntry) == 64 && std::atomic<uint64_t>::is_always_lock_free);

// In one word: 40 bits of milliseconds (34 years), 22 bits of seconds (48 days; longer counts as that), and two flags.
struct EntryTimes {
  uint64_t created_ms = 0;     // since the daemon started
  uint64_t constructed_s = 0;  // from the create to the seal
  bool owned = false;
  bool deleted = false;  // it goes at its last release
};
constexpr uint64_t kEntryOwnedFlag = uint64_t{1} << 63, kEntryDeletedFlag = uint64_t{1} << 62;
constexpr uint64_t kCreatedMsMax = (uint64_t{1} << 40) - 1, kConstructedSMax = (uint64_t{1} << 22) - 1;
constexpr uint64_t MakeTimes(const EntryTimes& times) {
  return std::min(times.created_ms, kCreatedMsMax) | std::min(times.constructed_s, kConstructedSMax) << 40 |
         (times.owned ? kEntryOwnedFlag : 0) | (times.deleted ? kEntryDeletedFlag : 0);
}
constexpr EntryTimes TimesOf(uint64_t word) {
  return {.created_ms = word & kCreatedMsMax,
          .constructed_s = word >> 40 & kConstructedSMax,
          .owned = (word & kEntryOwnedFlag) != 0,
          .deleted = (word & kEntryDeletedFlag) != 0};
}

constexpr EntryState StateOf(uint64_t word) { return static_cast<EntryState>(word & 0xff); }
constexpr uint64_t GenerationOf(uint64_t word) { return word >> 8; }
constexpr uint64_t MakeWord(EntryState state, uint64_t generation) {
  return generation << 8 | static_cast<uint64_t>(state);
}
// Where a spilled object's bytes are, in the place of its offset: file and row, or nowhere, because they are lost.
// While the object is being spilled its offset still leads into the arena: the change of this one word moves it.
struct DiskPlace {
  uint64_t file = 0;  // below kSpillFilesMax
  uint32_t row = 0;   // below kSpillRowsMax
};
constexpr uint64_t kOnDiskFlag = uint64_t{1} << 63, kLostWord = ~uint64_t{0};
constexpr uint64_t kSpillRowsMax = uint64_t{1} << 16, kSpillFilesMax = uint64_t{1} << 46;
constexpr uint64_t DiskWord(const DiskPlace& place) { return kOnDiskFlag | place.file << 16 | place.row; }
constexpr bool IsOnDisk(uint64_t offset) { return (offset & kOnDiskFlag) != 0; }
constexpr DiskPlace DiskPlaceOf(uint64_t word) {
  return {.file = (word & ~kOnDiskFlag) >> 16, .row = static_cast<uint32_t>(word & (kSpillRowsMax - 1))};
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

// A chain: the unsealed, sealed, deleted and spilled objects whose hashes share their low bits. One atomic word is its
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
  std::atomic<uint32_t> heir;         // a client's number; 0: none
  std::atomic<uint32_t> being_named;  // its number while the name is written and `number` is 0
  char name[64];                      // written before number, zero-terminated
};
static_assert(sizeof(ClientRow) == 120);

// The place that an object had before it moved. Its memory stays while somebody may have pinned it there.
struct OldPlace {
  std::atomic<uint32_t> link;  // to the object's entry; 0: the row is free
  uint32_t reserved;
  std::atomic<uint64_t> offset;  // written before the link
};
constexpr uint32_t kOldPlacesMax = 1024;

// Counters that add up. The daemon makes mutation_seq odd, changes the counters together with the
// entries, and makes it even again. A reader of several counters retries until it sees the same
// even number before and after.
struct IndexCounters {
  std::atomic<uint64_t> mutation_seq;
  std::atomic<uint64_t> sealed_bytes, sealed_count;  // logical bytes: data + metadata, as asked for
  std::atomic<uint64_t> unsealed_bytes, unsealed_count;
  std::atomic<uint64_t> dying_bytes, dying_count;
  std::atomic<uint64_t> restoring_bytes;               // taken for spilled objects that are being read
  std::atomic<uint64_t> spilled_bytes, spilled_count;  // on disk; not in the capacity
  std::atomic<uint64_t> spill_file_bytes;              // of the files, with what is dead in them
  std::atomic<uint64_t> spills, spilled_out_bytes, restores, restored_bytes, spill_failures, lost_objects;  // so far
  std::atomic<uint64_t> physical_bytes;  // bytes that the allocator handed out, rounding included
  std::atomic<uint64_t> creates, seals, deletes, evictions, evicted_bytes, full_failures;
  std::atomic<uint64_t> clients;
  std::atomic<uint64_t> bytes_received, bytes_sent;  // over the socket
  std::atomic<uint64_t> watched_ids;                 // seals that clients wait to be told of
  std::atomic<uint64_t> lent_bytes;                  // of the arena: pages given up for entries of the index
  std::atomic<uint64_t> leased_bytes;                // of physical_bytes: runs for objects that clients have not posted
};

constexpr uint32_t kBucketCount = 1024;  // futex words for blocked gets
constexpr uint32_t kClientRowsMax = 4096;

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
  boost::interprocess::offset_ptr<EventSlot> events;               // kEventSlots
  boost::interprocess::offset_ptr<std::atomic<uint64_t>> chains;   // heads
  boost::interprocess::offset_ptr<IndexEntry> entries;
  // For the daemon alone, which may be started again (store/recovery.cc).
  boost::interprocess::offset_ptr<std::atomic<uint32_t>> owners;  // of each entry: a client's number; 0: nobody
  boost::interprocess::offset_ptr<OldPlace> old_places;           // kOldPlacesMax
  std::atomic<uint64_t> entries_at_start, entries_with_memory;    // set before an entry is used
  std::atomic<uint32_t> next_client;                              // set before the number is given
  std::atomic<uint32_t> restarts;                 // servers that have gone on; before they free anything
  std::atomic<uint32_t> has_lent;                 // set before the arena gives pages up
  alignas(64) std::atomic<uint32_t> chain_count;  // both only grow
  std::atomic<uint32_t> entry_bound;              // entries from here on were never used
  std::atomic<uint64_t> last_event;               // the number of the last event; 0: none so far
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
// The ranges of the segment, whole pages, that hold the entries from `first` on, as many heads of
// chains, and as many owners. Both numbers are multiples of kIndexStep, so that no page belongs to two steps.
struct SegmentRange {
  uint64_t offset = 0, bytes = 0;
};
constexpr uint64_t kIndexStep = 4096;
constexpr uint64_t kSharedBytesPerEntry =
    sizeof(IndexEntry) + sizeof(std::atomic<uint64_t>) + sizeof(std::atomic<uint32_t>);
std::array<SegmentRange, 3> IndexStepRanges(uint64_t entries_max, uint64_t first, uint64_t count);

// The futex word that the seal of an object increments.
inline uint32_t BucketOf(const ObjectId& id) { return static_cast<uint32_t>(IndexHash(id) >> 40) & (kBucketCount - 1); }

constexpr std::string_view kIndexSegmentPrefix = "plasma-index-";
// The name in /dev/shm of the index of the store that serves `socket_path`. The caller makes the
// path absolute.
std::string IndexSegmentName(const std::string& socket_path);

// ---- a client's pin page ---------------------------------------------------------------------

// Objects that one connection may pin at a time. Memory lies only behind the slots that were used: 4 bytes each.
constexpr uint32_t kPinSlots = uint32_t{1} << 22;
constexpr uint32_t kTouchSlots = 4096;
constexpr uint32_t kReservedSlot = ~uint32_t{0};  // a slot's value that keeps the slot for its client, and pins nothing

// To pin: write slot = entry number + 1, raise the high-water mark above the slot, read entry.word again, each with a
// full fence. If the word is unchanged, the daemon sees the pin before it frees anything. For the daemon makes the
// entry dying, fences, and only then reads the mark and the slots below it. The daemon lowers a mark over slots that it
// saw empty, and then reads those once more. So either it sees the pin, or the client sees the lowered mark and raises
// it.
struct PinPage {
  uint64_t magic;
  uint32_t layout_version;
  uint32_t client;                            // the client's number
  uint64_t ticket;                            // by which a client that connects again shows that it is the same
  std::atomic<uint64_t> frames_handled;       // of the present connection, by the daemon
  alignas(64) std::atomic<uint32_t> waiting;  // threads parked on a bucket; at 0 the daemon wakes nobody
  std::atomic<uint32_t> slots_high_water;     // slots from here on pin nothing: the daemon does not read them
  // The leased run that the client writes into, as WritingRun makes it; 0: none. The client sets it, reads
  // IndexHeader::restarts again, and only then writes. So the next server sees the run, or the client sees that server.
  std::atomic<uint64_t> writing;
  alignas(64) std::atomic<uint64_t> touch_tail;  // releases so far; touches[n % kTouchSlots] = entry of release n
  std::atomic<uint32_t> touches[kTouchSlots];    // the daemon reads them before it chooses what to evict
  alignas(64) std::atomic<uint32_t> slots[kPinSlots];
};
size_t PinPageBytes();
// The name of the memfd, by which objstat finds it among a process's descriptors.
std::string PinPageName(uint32_t client);

}  // namespace raylet
