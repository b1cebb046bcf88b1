// A ring of variable-size records in shared memory, with one producer and one consumer.
// Always holds: the two sides are processes that need not trust each other. Each checks the
// positions and sizes that it reads. Nonsense is a kProtocolError, never a crash or a read out of
// bounds.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "base/result.h"

namespace raylet {

// In shared memory: a header, then `capacity` bytes (a power of two, at least 4096). Positions are 64-bit counts of
// bytes that only grow. A record is {u32 size, u32 type} and its bytes, padded to 8. A padding record precedes a record
// that would cross the end; its type is 0xffffffff. The position `base` lies at the beginning of the bytes. A producer
// moves `base` of an empty ring rather than enter another page. So a ring in unreserved memory costs two pages while
// one record at a time is under way.
struct RingHeader {
  uint64_t magic = 0;
  uint64_t capacity = 0;
  alignas(128) std::atomic<uint64_t> tail{0};  // producer: release after the bytes; consumer: acquire before its reads
  std::atomic<uint64_t> base{0};               // producer: before the tail's release; consumer: after its acquire
  alignas(128) std::atomic<uint64_t> head{0};  // consumer: release after its last read; producer: acquire before reuse
};

size_t RingBytes(size_t capacity);                            // header and data
void InitRing(std::span<std::byte> memory, size_t capacity);  // memory.size() == RingBytes(capacity), 128-byte aligned

struct RingRecord {
  uint32_t type = 0;
  std::span<const std::byte> bytes;  // in the ring: valid until Pop
};

class RingProducer {
 public:
  RingProducer() = default;
  static Result<RingProducer> Attach(std::span<std::byte> memory);

  size_t record_bytes_max() const { return capacity_ / 4; }
  // Room for one record, or nothing while the ring is full. Fill it, then publish it by Commit with
  // the same size. size <= record_bytes_max().
  std::optional<std::span<std::byte>> TryReserve(size_t size);
  void Commit(uint32_t type, size_t size);
  // Whether a record of this size certainly finds room. Reserves nothing.
  bool HasRoomFor(size_t size);
  bool TryPush(uint32_t type, std::span<const std::byte> bytes);
  // The consumer's position made no sense at the last read. The ring counts as full and never
  // empties.
  bool broken() const { return broken_; }

 private:
  static constexpr size_t kNothingReserved = ~size_t{0};
  size_t Offset() const { return (tail_ - base_) & (capacity_ - 1); }
  void BeginAnew();

  RingHeader* header_ = nullptr;
  std::byte* data_ = nullptr;
  size_t capacity_ = 0;
  uint64_t tail_ = 0;         // our own copy is the truth; the shared copy is for the consumer
  uint64_t base_ = 0;         // likewise
  size_t touched_ = 0;        // how far laps have come since pages were last given back
  int short_laps_ = 0;        // in a row, since the last lap that needed more than the pages kept
  uint64_t cached_head_ = 0;  // the last head seen; read again only when the ring looks full
  size_t reserved_bytes_ = kNothingReserved;
  bool broken_ = false;
};

class RingConsumer {
 public:
  RingConsumer() = default;
  static Result<RingConsumer> Attach(std::span<std::byte> memory);

  bool Empty() const;  // one acquire load at most
  // The next record, nothing when empty, kProtocolError when the shared side makes no sense.
  Result<std::optional<RingRecord>> Peek();
  void Pop();  // the record that Peek returned
  // Whether there may be new room, since this was last true, for a producer that found the ring full. Ask after the
  // last Pop of a turn, and wake the producer if so. True at most once for each eighth of a ring, so that a wake costs
  // little for each record.
  bool TakeRoomNews();

 private:
  RingHeader* header_ = nullptr;
  const std::byte* data_ = nullptr;
  size_t capacity_ = 0;
  uint64_t base_ = 0;  // the producer's, checked
  uint64_t head_ = 0;
  uint64_t told_head_ = 0;  // where TakeRoomNews was last true
  mutable uint64_t cached_tail_ = 0;
  size_t peeked_bytes_ = 0;  // size of the record that Pop drops, with the padding before it
};

}  // namespace raylet
