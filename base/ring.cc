#include "base/ring.h"

#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <new>

#include "base/check.h"
#include "base/strings.h"

namespace raylet {
namespace {

constexpr uint64_t kRingMagic = 0x32676e6972796172;  // "rayring2"
constexpr size_t kCapacityMin = 4096;
constexpr uint32_t kPaddingType = 0xffffffff;  // skip the rest, up to the end of the data

static_assert(sizeof(RingHeader) == 384 && offsetof(RingHeader, tail) == 128 && offsetof(RingHeader, base) == 136 &&
              offsetof(RingHeader, head) == 256);
static_assert(std::atomic<uint64_t>::is_always_lock_free);

constexpr size_t kRecordHeaderBytes = 8;

constexpr uintptr_t kPageBytes = 4096;
// A producer gives back the pages of a burst, all but the first ones, after this many laps that
// did without them. A lap ends where the ring begins anew, so it has a page's worth of records at
// least.
constexpr size_t kKeptBytes = size_t{64} << 10;
constexpr int kShortLapsUntilGivenBack = 64;

size_t RecordBytes(size_t size) { return kRecordHeaderBytes + ((size + 7) & ~size_t{7}); }

uint64_t PackRecordHeader(uint32_t type, size_t size) { return uint64_t{type} << 32 | size; }

// Reads and writes the header in one piece. The other side may change it at any time, so the value
// used must be the value checked.
uint64_t LoadRecordHeader(const std::byte* at) {
  return __atomic_load_n(reinterpret_cast<const uint64_t*>(at), __ATOMIC_RELAXED);
}
void StoreRecordHeader(std::byte* at, uint64_t header) {
  __atomic_store_n(reinterpret_cast<uint64_t*>(at), header, __ATOMIC_RELAXED);
}

// tail: the producer publishes the bytes before it (release). The consumer sees them (acquire).
void PublishTail(RingHeader& header, uint64_t tail) { header.tail.store(tail, std::memory_order_release); }
uint64_t SeeTail(const RingHeader& header) { return header.tail.load(std::memory_order_acquire); }
// head: the consumer publishes that it has read all bytes before it (release). The producer may
// then overwrite them (acquire).
void PublishHead(RingHeader& header, uint64_t head) { header.head.store(head, std::memory_order_release); }
uint64_t SeeHead(const RingHeader& header) { return header.head.load(std::memory_order_acquire); }

// Whether the first of these bytes, or a later one, is the first one of a page.
bool EntersPage(const std::byte* at, size_t bytes) {
  const auto address = std::bit_cast<uintptr_t>(at);
  return (address - 1) / kPageBytes != (address + bytes - 1) / kPageBytes;
}

bool PositionsMakeSense(uint64_t head, uint64_t tail, size_t capacity) {
  return head <= tail && tail - head <= capacity && head % 8 == 0 && tail % 8 == 0;
}

struct Attached {
  RingHeader* header;
  std::byte* data;
  size_t capacity;
  uint64_t tail;
  uint64_t head;
  uint64_t base;
};

Result<Attached> AttachRing(std::span<std::byte> memory) {
  if (memory.size() < sizeof(RingHeader) || std::bit_cast<uintptr_t>(memory.data()) % alignof(RingHeader) != 0) {
    return Fail(ErrorCode::kProtocolError, StrCat("a ring does not fit in ", memory.size(), " bytes, or not there"));
  }
  auto* const header = reinterpret_cast<RingHeader*>(memory.data());
  // Read once: the other side may change them.
  const uint64_t magic = __atomic_load_n(&header->magic, __ATOMIC_RELAXED);
  const uint64_t capacity = __atomic_load_n(&header->capacity, __ATOMIC_RELAXED);
  if (magic != kRingMagic) return Fail(ErrorCode::kProtocolError, "this memory holds no ring: its magic is wrong");
  if (!std::has_single_bit(capacity) || capacity < kCapacityMin || capacity > memory.size() - sizeof(RingHeader)) {
    return Fail(ErrorCode::kProtocolError,
                StrCat("a ring claims ", capacity, " bytes of data in a segment of ", memory.size()));
  }
  const uint64_t tail = SeeTail(*header);
  const uint64_t head = SeeHead(*header);
  const uint64_t base = header->base.load(std::memory_order_relaxed);
  if (!PositionsMakeSense(head, tail, capacity) || base > head || base % 8 != 0) {
    return Fail(ErrorCode::kProtocolError,
                StrCat("a ring's positions make no sense: head ", head, ", tail ", tail, ", base ", base));
  }
  return Attached{header, memory.data() + sizeof(RingHeader), capacity, tail, head, base};
}

}  // namespace

size_t RingBytes(size_t capacity) { return sizeof(RingHeader) + capacity; }

void InitRing(std::span<std::byte> memory, size_t capacity) {
  RAYLET_CHECK(std::has_single_bit(capacity) && capacity >= kCapacityMin, "ring capacity ", capacity);
  RAYLET_CHECK(memory.size() == RingBytes(capacity), "ring of ", capacity, " bytes in ", memory.size());
  RAYLET_CHECK(std::bit_cast<uintptr_t>(memory.data()) % alignof(RingHeader) == 0);
  auto* const header = new (memory.data()) RingHeader();
  header->capacity = capacity;
  header->magic = kRingMagic;
}

Result<RingProducer> RingProducer::Attach(std::span<std::byte> memory) {
  const auto attached = AttachRing(memory);
  if (!attached) return Fail(attached.error());
  RingProducer producer;
  producer.header_ = attached->header;
  producer.data_ = attached->data;
  producer.capacity_ = attached->capacity;
  producer.tail_ = attached->tail;
  producer.base_ = attached->base;
  producer.cached_head_ = attached->head;
  return producer;
}

// Only an empty ring begins anew. Its consumer reads `base` once it sees a new tail, and has then
// popped everything before `base`.
void RingProducer::BeginAnew() {
  if (cached_head_ != tail_ && SeeHead(*header_) != tail_) return;
  cached_head_ = tail_;
  const size_t lap = std::min<uint64_t>(tail_ - base_, capacity_);
  touched_ = std::max(touched_, lap);
  base_ = tail_;
  header_->base.store(base_, std::memory_order_relaxed);
  if (lap > kKeptBytes) short_laps_ = 0;
  if (touched_ <= kKeptBytes || ++short_laps_ < kShortLapsUntilGivenBack) return;
  // Whole pages only. In memory of another kind the call fails, and the pages stay.
  const uintptr_t first = (std::bit_cast<uintptr_t>(data_ + kKeptBytes) + kPageBytes - 1) / kPageBytes;
  const uintptr_t end = std::bit_cast<uintptr_t>(data_ + touched_) / kPageBytes;
  if (end > first) ::madvise(std::bit_cast<void*>(first * kPageBytes), (end - first) * kPageBytes, MADV_REMOVE);
  touched_ = kKeptBytes;
  short_laps_ = 0;
}

std::optional<std::span<std::byte>> RingProducer::TryReserve(size_t size) {
  RAYLET_CHECK(size <= record_bytes_max(), "a record of ", size, " bytes in a ring of ", capacity_);
  const size_t record = RecordBytes(size);
  if (const size_t at = Offset(); at != 0 && EntersPage(data_ + at, record)) BeginAnew();
  const size_t at = Offset();
  const size_t to_end = capacity_ - at;
  const bool wraps = record > to_end;
  const size_t wanted = wraps ? to_end + record : record;
  if (capacity_ - (tail_ - cached_head_) < wanted) {
    const uint64_t head = SeeHead(*header_);
    // An impossible head is ignored. The ring then stays full.
    broken_ = head < cached_head_ || !PositionsMakeSense(head, tail_, capacity_);
    if (broken_) return std::nullopt;
    cached_head_ = head;
    if (capacity_ - (tail_ - cached_head_) < wanted) return std::nullopt;
  }
  reserved_bytes_ = size;
  return std::span<std::byte>(data_ + (wraps ? 0 : at) + kRecordHeaderBytes, size);
}

// A record that would cross the end takes the room up to there, too, which is less than its own size.
bool RingProducer::HasRoomFor(size_t size) {
  const size_t wanted = 2 * RecordBytes(size);
  if (capacity_ - (tail_ - cached_head_) >= wanted) return true;
  const uint64_t head = SeeHead(*header_);
  broken_ = head < cached_head_ || !PositionsMakeSense(head, tail_, capacity_);
  if (broken_) return false;
  cached_head_ = head;
  return capacity_ - (tail_ - cached_head_) >= wanted;
}

void RingProducer::Commit(uint32_t type, size_t size) {
  RAYLET_CHECK(size == reserved_bytes_ && type != kPaddingType, "commit of ", size, " bytes, type ", type);
  reserved_bytes_ = kNothingReserved;
  const size_t at = Offset();
  const size_t to_end = capacity_ - at;
  const size_t record = RecordBytes(size);
  if (record > to_end) {
    StoreRecordHeader(data_ + at, PackRecordHeader(kPaddingType, to_end - kRecordHeaderBytes));
    StoreRecordHeader(data_, PackRecordHeader(type, size));
    tail_ += to_end + record;
  } else {
    StoreRecordHeader(data_ + at, PackRecordHeader(type, size));
    tail_ += record;
  }
  PublishTail(*header_, tail_);
}

bool RingProducer::TryPush(uint32_t type, std::span<const std::byte> bytes) {
  const auto room = TryReserve(bytes.size());
  if (!room) return false;
  if (!bytes.empty()) std::memcpy(room->data(), bytes.data(), bytes.size());
  Commit(type, bytes.size());
  return true;
}

Result<RingConsumer> RingConsumer::Attach(std::span<std::byte> memory) {
  const auto attached = AttachRing(memory);
  if (!attached) return Fail(attached.error());
  RingConsumer consumer;
  consumer.header_ = attached->header;
  consumer.data_ = attached->data;
  consumer.capacity_ = attached->capacity;
  consumer.base_ = attached->base;
  consumer.head_ = attached->head;
  consumer.told_head_ = attached->head;
  consumer.cached_tail_ = attached->head;  // the first Peek looks
  return consumer;
}

bool RingConsumer::Empty() const { return head_ == cached_tail_ && SeeTail(*header_) == head_; }

Result<std::optional<RingRecord>> RingConsumer::Peek() {
  if (head_ == cached_tail_) {
    const uint64_t tail = SeeTail(*header_);
    if (tail == head_) return std::nullopt;
    if (!PositionsMakeSense(head_, tail, capacity_)) {
      return Fail(ErrorCode::kProtocolError, StrCat("a ring's tail makes no sense: head ", head_, ", tail ", tail));
    }
    if (const uint64_t base = header_->base.load(std::memory_order_relaxed); base != base_) {
      if (base != head_)
        return Fail(ErrorCode::kProtocolError, StrCat("a ring's base makes no sense: head ", head_, ", base ", base));
      base_ = base;
    }
    cached_tail_ = tail;
  }
  const size_t published = cached_tail_ - head_;
  size_t at = (head_ - base_) & (capacity_ - 1);
  size_t skipped = 0;
  uint64_t header = LoadRecordHeader(data_ + at);
  if (header >> 32 == kPaddingType) {
    // Padding fills exactly the space left before the end. A record follows it at the start.
    skipped = capacity_ - at;
    if ((header & 0xffffffff) != skipped - kRecordHeaderBytes || published < skipped + kRecordHeaderBytes) {
      return Fail(ErrorCode::kProtocolError, StrCat("a ring's padding at ", at, " makes no sense"));
    }
    at = 0;
    header = LoadRecordHeader(data_);
  }
  const auto type = static_cast<uint32_t>(header >> 32);
  const size_t size = header & 0xffffffff;
  if (type == kPaddingType || size > capacity_ - at - kRecordHeaderBytes || RecordBytes(size) > published - skipped) {
    return Fail(ErrorCode::kProtocolError, StrCat("a ring's record at ", at, " claims ", size, " bytes of type ", type,
                                                  " where ", published - skipped, " are published"));
  }
  peeked_bytes_ = skipped + RecordBytes(size);
  return RingRecord{type, {data_ + at + kRecordHeaderBytes, size}};
}

void RingConsumer::Pop() {
  RAYLET_CHECK(peeked_bytes_ > 0, "Pop without a Peek");
  head_ += peeked_bytes_;
  peeked_bytes_ = 0;
  PublishHead(*header_, head_);
}

// A record and the padding before it have less than twice a record's most, which is half a ring. So a producer finds
// the ring full only with half a ring to pop before it. A consumer that pops that far says so here after at least one
// of those pops.
bool RingConsumer::TakeRoomNews() {
  if (head_ - told_head_ < capacity_ / 8) return false;
  told_head_ = head_;
  return true;
}

}  // namespace raylet
