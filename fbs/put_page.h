// A client's put page: how it creates small objects without a message. The daemon grants runs of the arena by size
// class. The client writes an object into a run, and posts it on the ring behind the page. The daemon checks each post
// against what it granted, and says in `done` and `outcomes` what became of it. Both write the page, and neither trusts
// it. Always holds: plain data, offsets and atomics only. The daemon's own notes say which runs a client has.
#pragma once

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/result.h"
#include "base/ring.h"
#include "base/waiter.h"
#include "fbs/segment_layout.h"

namespace raylet {

constexpr uint64_t kPutMagic = 0x31545550594c5200ULL;

// ---- size classes: multiples of 64 up to 512 bytes, then four for each doubling, as the arena rounds ----

constexpr uint64_t kPutBytesMax = 4096;  // of data, rounded up to 64, and metadata
constexpr uint32_t kPutClasses = 20;
constexpr uint64_t PutClassBytes(uint32_t put_class) {
  if (put_class < 8) return (put_class + 1) * kAlignment;
  const uint32_t doubling = (put_class - 8) / 4, step = (put_class - 8) % 4 + 5;
  return uint64_t{step} * 128 << doubling;
}
static_assert(PutClassBytes(7) == 512 && PutClassBytes(8) == 640 && PutClassBytes(11) == 1024 &&
              PutClassBytes(kPutClasses - 1) == kPutBytesMax);
// The smallest class that holds so many bytes; kPutClasses: none does.
constexpr uint32_t PutClassOf(uint64_t bytes) {
  if (bytes > kPutBytesMax) return kPutClasses;
  uint32_t put_class = bytes <= 512 ? static_cast<uint32_t>(bytes == 0 ? 0 : (bytes - 1) / kAlignment) : 8;
  while (PutClassBytes(put_class) < bytes) ++put_class;
  return put_class;
}
static_assert(PutClassOf(0) == 0 && PutClassOf(64) == 0 && PutClassOf(65) == 1 && PutClassOf(513) == 8 &&
              PutClassOf(1024) == 11 && PutClassOf(1025) == 12 && PutClassOf(4096) == 19 && PutClassOf(4097) == 20);

// PinPage::writing: the run at `offset`, of this class.
constexpr uint64_t WritingRun(uint64_t offset, uint32_t put_class) { return offset + put_class + 1; }
static_assert(kPutClasses < kAlignment);

// ---- posts: the records of the ring ----

enum class PutPostType : uint32_t {
  kPut = 1,    // PutPost: publish the object that lies in the run
  kSeal = 2,   // PutPost: seal an object that the client created by a message; `slot` and sizes say nothing
  kBatch = 3,  // PutBatchHead, then `count` of PutBatchObject: publish all of them, or none
  kWant = 4,   // PutWant: grant runs of a class
};

constexpr uint32_t kGrantsPerClass = 256;
constexpr uint32_t kPutSlots = kPutClasses * kGrantsPerClass;  // a slot names a run: class * kGrantsPerClass + place
constexpr uint32_t kPutEvictFlag = 1, kPutOwnedFlag = 2;
constexpr uint32_t kPutBatchObjectsMax = 256;

// `frames`: the messages that the client had sent before, not counting its Hello. The daemon carries them out first.
struct PutPost {
  uint64_t frames;
  uint8_t id[20];
  uint32_t slot;
  uint32_t data_bytes, metadata_bytes;
  uint32_t owner;
  uint32_t flags;
};
static_assert(sizeof(PutPost) == 48);
struct PutBatchHead {
  uint64_t frames;
  uint32_t count;
  uint32_t flags;
};
static_assert(sizeof(PutBatchHead) == 16);
struct PutBatchObject {
  uint8_t id[20];
  uint32_t slot;
  uint32_t data_bytes, metadata_bytes;
};
static_assert(sizeof(PutBatchObject) == 32);
struct PutWant {
  uint32_t put_class;
  uint32_t count;
};
static_assert(sizeof(PutWant) == 8);

// ---- the page ----

constexpr uint32_t kPostsMax = 1024;  // under way at a time
constexpr size_t kPutRingBytes = size_t{64} << 10;

struct PutPage {
  uint64_t magic;
  uint32_t layout_version;
  uint32_t client;
  // 1: the daemon looks at the ring only when the client rings its bell. The daemon sets it, then looks once more; a
  // client posts, then takes it. Both with a full fence, so that one of them sees the other.
  alignas(64) std::atomic<uint32_t> daemon_sleeps;
  alignas(64) std::atomic<uint32_t> done;     // posts that the daemon has carried out; release after their outcomes
  Doorbell answers;                           // rung after `done` has changed
  std::atomic<uint16_t> outcomes[kPostsMax];  // ErrorCode of post n, at n % kPostsMax
  // Runs of each class in the order in which the client takes them: offset + 1, or 0. A run belongs to the side that
  // exchanges it for 0: the client takes from the front, and the daemon takes back from the end.
  alignas(64) std::atomic<uint64_t> grants[kPutClasses][kGrantsPerClass];
  // Then a ring (base/ring.h) of kPutRingBytes.
};
constexpr size_t kPutRingOffset = (sizeof(PutPage) + 127) & ~size_t{127};
size_t PutPageBytes();
// Makes a page with its ring of zeroed memory of PutPageBytes().
void InitPutPage(std::span<std::byte> memory, uint32_t client);
// kProtocolError, kVersionMismatch unless it is a put page of this client.
Result<PutPage*> CheckPutPage(std::span<std::byte> memory, uint32_t client);
inline std::span<std::byte> PutRingOf(std::span<std::byte> memory) {
  return memory.subspan(kPutRingOffset, RingBytes(kPutRingBytes));
}

// The daemon will see the posts before this without a bell, or true is the answer to one caller: ring it.
inline bool TakeDaemonSleeps(PutPage& page) {
  std::atomic_thread_fence(std::memory_order_seq_cst);
  return page.daemon_sleeps.load(std::memory_order_relaxed) != 0 &&
         page.daemon_sleeps.exchange(0, std::memory_order_seq_cst) != 0;
}
// The daemon looks at the ring once more after this, and then only after a bell.
inline void SayDaemonSleeps(PutPage& page, bool sleeps) {
  page.daemon_sleeps.store(sleeps ? 1 : 0, std::memory_order_seq_cst);
  std::atomic_thread_fence(std::memory_order_seq_cst);
}

}  // namespace raylet
