#include "base/ring.h"

#include <sys/stat.h>

#include <deque>
#include <limits>
#include <thread>

#include "base/shm_segment.h"
#include "base/waiter.h"
#include "testing.h"

namespace raylet {
namespace {

// Exactly as many bytes as the ring has, so that a sanitizer sees any step past them.
class RingMemory {
 public:
  explicit RingMemory(size_t capacity)
      : size_(RingBytes(capacity)), data_(static_cast<std::byte*>(std::aligned_alloc(128, size_))) {
    std::memset(data_, 0, size_);
    InitRing(span(), capacity);
  }
  RingMemory(const RingMemory&) = delete;
  RingMemory& operator=(const RingMemory&) = delete;
  ~RingMemory() { std::free(data_); }
  std::span<std::byte> span() const { return {data_, size_}; }
  std::span<std::byte> records() const { return span().subspan(sizeof(RingHeader)); }
  RingHeader& header() const { return *reinterpret_cast<RingHeader*>(data_); }

 private:
  size_t size_;
  std::byte* data_;
};

std::vector<std::byte> Copy(std::span<const std::byte> bytes) { return {bytes.begin(), bytes.end()}; }

TEST(RingTest, BehavesAsAQueueForRandomSizesAndTurns) {
  for (uint64_t seed = 0; seed < 60; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    RingMemory memory(size_t{4096} << seed % 3);
    RingProducer producer = RingProducer::Attach(memory.span()).value();
    RingConsumer consumer = RingConsumer::Attach(memory.span()).value();
    const size_t size_max = seed % 2 == 0 ? 100 : producer.record_bytes_max();
    std::deque<std::pair<uint32_t, std::vector<std::byte>>> model;
    bool was_full = false;
    for (uint32_t step = 0; step < 3000; ++step) {
      if (random() % 100 < 50 + seed % 10) {
        auto bytes = RandomBytes(random, random() % (size_max + 1));
        if (producer.TryPush(step, bytes)) {
          model.emplace_back(step, std::move(bytes));
        } else {
          was_full = true;
          ASSERT_FALSE(model.empty()) << "an empty ring has room for any record";
        }
      } else {
        ASSERT_EQ(consumer.Empty(), model.empty());
        const auto record = consumer.Peek();
        ASSERT_TRUE(record) << record.error().message;
        ASSERT_EQ(record->has_value(), !model.empty());
        if (model.empty()) continue;
        EXPECT_EQ((*record)->type, model.front().first);
        ASSERT_EQ(Copy((*record)->bytes), model.front().second);
        consumer.Pop();
        model.pop_front();
      }
    }
    EXPECT_TRUE(was_full || size_max < 1000);
    EXPECT_FALSE(producer.broken());
  }
}

TEST(RingTest, AFullRingTakesNothingAndGoesOnAfterOnePop) {
  RingMemory memory(4096);
  RingProducer producer = RingProducer::Attach(memory.span()).value();
  RingConsumer consumer = RingConsumer::Attach(memory.span()).value();
  const std::vector<std::byte> bytes(56);
  int pushed = 0;
  while (producer.TryPush(1, bytes)) ++pushed;
  EXPECT_EQ(pushed, 64) << "64 records of 64 bytes fill 4096 exactly";
  EXPECT_FALSE(producer.TryPush(1, {}));
  ASSERT_TRUE(consumer.Peek().value().has_value());
  consumer.Pop();
  EXPECT_TRUE(producer.TryPush(1, bytes));
  EXPECT_FALSE(producer.TryPush(1, bytes));
}

// A producer that found no room sleeps, and the consumer says when there is room.
TEST(RingTest, AConsumerSaysThatThereIsRoomToAProducerThatFoundNone) {
  std::mt19937_64 random(1);
  RingMemory memory(4096);
  RingProducer producer = RingProducer::Attach(memory.span()).value();
  RingConsumer consumer = RingConsumer::Attach(memory.span()).value();
  int news = 0;
  for (int round = 0; round < 2000; ++round) {
    std::vector<std::byte> bytes(random() % (producer.record_bytes_max() + 1));
    while (producer.TryPush(1, bytes)) bytes.resize(random() % (producer.record_bytes_max() + 1));
    bool told = false;
    while (consumer.Peek().value()) {
      consumer.Pop();
      if (random() % 3 != 0 || !consumer.TakeRoomNews()) continue;
      ++news;
      told = true;
      if (random() % 2 == 0) break;  // one report after any of the pops is enough
    }
    if (!told && consumer.TakeRoomNews()) ++news, told = true;
    ASSERT_TRUE(told) << round;
  }
  EXPECT_LT(news, 2000 * 8);
}

TEST(RingTest, ARecordNeverCrossesTheEnd) {
  RingMemory memory(4096);
  RingProducer producer = RingProducer::Attach(memory.span()).value();
  RingConsumer consumer = RingConsumer::Attach(memory.span()).value();
  for (uint32_t i = 0; i < 1000; ++i) {
    const size_t size = 1 + i * 37 % producer.record_bytes_max();
    const auto room = producer.TryReserve(size);
    ASSERT_TRUE(room) << i;
    ASSERT_EQ(room->size(), size);
    EXPECT_GE(room->data(), memory.records().data());
    EXPECT_LE(room->data() + size, memory.records().data() + 4096);
    std::memset(room->data(), static_cast<int>(i & 0xff), size);
    producer.Commit(i, size);
    const auto record = consumer.Peek().value();
    ASSERT_TRUE(record);
    EXPECT_EQ(record->bytes.data(), room->data());
    EXPECT_EQ(record->bytes.back(), static_cast<std::byte>(i & 0xff));
    consumer.Pop();
  }
}

// A ring in a memfd that is not reserved, as those of call channels.
class SparseRing {
 public:
  SparseRing() : fd_(CreateMemfd("ring", RingBytes(kCapacity), /*reserve=*/false).value()) {
    mapping_ = Mapping::Map(fd_.get(), RingBytes(kCapacity), Mapping::Access::kReadWrite).value();
    InitRing({mapping_.data(), mapping_.size()}, kCapacity);
    producer = RingProducer::Attach({mapping_.data(), mapping_.size()}).value();
    consumer = RingConsumer::Attach({mapping_.data(), mapping_.size()}).value();
  }
  size_t resident_bytes() const {
    struct stat status {};
    EXPECT_EQ(::fstat(fd_.get(), &status), 0);
    return static_cast<size_t>(status.st_blocks) * 512;
  }
  // Passes `records` records, one at a time.
  void PassOn(int records, size_t bytes) {
    const std::vector<std::byte> record(bytes);
    for (int i = 0; i < records; ++i) {
      ASSERT_TRUE(producer.TryPush(1, record));
      ASSERT_TRUE(consumer.Peek().value());
      consumer.Pop();
    }
  }
  int Fill(size_t bytes) {
    const std::vector<std::byte> record(bytes);
    int pushed = 0;
    while (producer.TryPush(1, record)) ++pushed;
    return pushed;
  }
  void Empty() {
    while (consumer.Peek().value()) consumer.Pop();
  }

  static constexpr size_t kCapacity = size_t{1} << 20;
  RingProducer producer;
  RingConsumer consumer;

 private:
  UniqueFd fd_;
  Mapping mapping_;
};

TEST(RingTest, OneRecordAtATimeStaysInTheFirstPage) {
  SparseRing ring;
  ring.PassOn(100'000, 100);
  EXPECT_EQ(ring.resident_bytes(), 4096u);
  ring.PassOn(1000, 50'000);
  EXPECT_LE(ring.resident_bytes(), 56u << 10) << "as much as a large record needs";
}

TEST(RingTest, ARingThatBeganAnewTakesAsMuchAsANewOne) {
  SparseRing ring;
  const int whole = ring.Fill(120);
  EXPECT_EQ(whole, static_cast<int>(SparseRing::kCapacity / 128));
  ring.Empty();
  for (int records = 1; records < 100; ++records) {
    ring.PassOn(records, 120);
    ASSERT_EQ(ring.Fill(120), whole) << records;
    ring.Empty();
  }
}

TEST(RingTest, ThePagesOfABurstAreGivenBackOnceTheyAreLongUnused) {
  SparseRing ring;
  for (int burst = 0; burst < 3; ++burst) {
    ring.Fill(1000);
    EXPECT_GE(ring.resident_bytes(), SparseRing::kCapacity - 4096);
    ring.Empty();
    ring.PassOn(1000, 100);
    EXPECT_GE(ring.resident_bytes(), SparseRing::kCapacity - 4096) << "the next burst may come soon";
    ring.PassOn(10'000, 100);
    EXPECT_LE(ring.resident_bytes(), 76u << 10);
  }
}

TEST(RingTest, ABaseThatCannotBeIsAProtocolError) {
  RingMemory memory(4096);
  RingProducer producer = RingProducer::Attach(memory.span()).value();
  RingConsumer consumer = RingConsumer::Attach(memory.span()).value();
  ASSERT_TRUE(producer.TryPush(1, Bytes("one")));
  memory.header().base = 8;
  EXPECT_EQ(consumer.Peek().error().code, ErrorCode::kProtocolError);
  EXPECT_FALSE(RingConsumer::Attach(memory.span()));
}

TEST(RingTest, ReservedRecordIsSeenOnlyOnceCommitted) {
  RingMemory memory(4096);
  RingProducer producer = RingProducer::Attach(memory.span()).value();
  RingConsumer consumer = RingConsumer::Attach(memory.span()).value();
  ASSERT_TRUE(producer.TryReserve(8));
  EXPECT_TRUE(consumer.Empty());
  EXPECT_FALSE(consumer.Peek().value());
  producer.Commit(3, 8);
  EXPECT_FALSE(consumer.Empty());
  EXPECT_EQ(consumer.Peek().value()->type, 3U);
  EXPECT_EQ(consumer.Peek().value()->type, 3U) << "a second look sees the same";
}

TEST(RingTest, TwoThreadsPassEveryRecordInOrder) {
  RingMemory memory(4096);
  Doorbell filled;
  Doorbell drained;
  constexpr uint64_t kRecords = 30000;
  std::thread producing([&] {
    RingProducer producer = RingProducer::Attach(memory.span()).value();
    SpinPark waiter;
    std::mt19937_64 random(1);
    for (uint64_t i = 0; i < kRecords; ++i) {
      std::vector<std::byte> bytes(8 + random() % 500, static_cast<std::byte>(i));
      std::memcpy(bytes.data(), &i, sizeof i);
      waiter.WaitUntil(drained, Deadline::Never(), [&] { return producer.TryPush(5, bytes); }, {});
      Ring(filled);
    }
  });
  RingConsumer consumer = RingConsumer::Attach(memory.span()).value();
  SpinPark waiter;
  uint64_t wrong = 0;
  for (uint64_t i = 0; i < kRecords; ++i) {
    waiter.WaitUntil(filled, Deadline::Never(), [&] { return !consumer.Empty(); }, {});
    const auto record = consumer.Peek();
    if (!record || !record->has_value()) {
      ++wrong;
      break;
    }
    uint64_t number = 0;
    std::memcpy(&number, (*record)->bytes.data(), sizeof number);
    if (number != i || (*record)->type != 5) ++wrong;
    for (size_t at = 8; at < (*record)->bytes.size(); ++at) wrong += (*record)->bytes[at] != static_cast<std::byte>(i);
    consumer.Pop();
    Ring(drained);
  }
  producing.join();
  EXPECT_EQ(wrong, 0U);
  EXPECT_TRUE(consumer.Empty());
}

TEST(RingTest, ALateComerGoesOnWhereTheRingStands) {
  RingMemory memory(4096);
  {
    RingProducer producer = RingProducer::Attach(memory.span()).value();
    ASSERT_TRUE(producer.TryPush(1, Bytes("one")));
    ASSERT_TRUE(producer.TryPush(2, Bytes("two")));
    RingConsumer consumer = RingConsumer::Attach(memory.span()).value();
    ASSERT_EQ(consumer.Peek().value()->type, 1U);
    consumer.Pop();
  }
  RingProducer producer = RingProducer::Attach(memory.span()).value();
  ASSERT_TRUE(producer.TryPush(3, Bytes("three")));
  RingConsumer consumer = RingConsumer::Attach(memory.span()).value();
  EXPECT_EQ(consumer.Peek().value()->type, 2U);
  consumer.Pop();
  EXPECT_EQ(Copy(consumer.Peek().value()->bytes), Bytes("three"));
}

TEST(RingTest, MemoryThatIsNoRingIsRefused) {
  RingMemory memory(4096);
  EXPECT_FALSE(RingConsumer::Attach(memory.span().first(100)));
  EXPECT_FALSE(RingConsumer::Attach(memory.span().first(RingBytes(4096) - 1)));
  EXPECT_FALSE(RingConsumer::Attach(memory.span().subspan(8)));
  for (const uint64_t capacity : {uint64_t{0}, uint64_t{2048}, uint64_t{4097}, uint64_t{8192}, ~uint64_t{0}}) {
    memory.header().capacity = capacity;
    EXPECT_EQ(RingConsumer::Attach(memory.span()).error().code, ErrorCode::kProtocolError) << capacity;
  }
  memory.header().capacity = 4096;
  EXPECT_TRUE(RingProducer::Attach(memory.span()));
  memory.header().tail = 8192;
  EXPECT_FALSE(RingProducer::Attach(memory.span()));
  memory.header().tail = 0;
  memory.header().magic ^= 1;
  EXPECT_FALSE(RingProducer::Attach(memory.span()));
}

TEST(RingTest, ATailThatCannotBeIsAProtocolError) {
  for (const uint64_t tail : {uint64_t{4104}, uint64_t{4}, ~uint64_t{0}, uint64_t{1} << 63}) {
    RingMemory memory(4096);
    RingConsumer consumer = RingConsumer::Attach(memory.span()).value();
    memory.header().tail = tail;
    EXPECT_FALSE(consumer.Empty());
    const auto record = consumer.Peek();
    ASSERT_FALSE(record) << tail;
    EXPECT_EQ(record.error().code, ErrorCode::kProtocolError);
  }
}

TEST(RingTest, AHeadThatCannotBeLeavesTheProducerFullAndItSaysSo) {
  for (const uint64_t head : {uint64_t{1} << 40, ~uint64_t{0}, uint64_t{4}}) {
    RingMemory memory(4096);
    RingProducer producer = RingProducer::Attach(memory.span()).value();
    while (producer.TryPush(1, std::vector<std::byte>(1000))) {}
    EXPECT_FALSE(producer.broken()) << "full is not broken";
    memory.header().head = head;
    EXPECT_FALSE(producer.TryPush(1, std::vector<std::byte>(1000)));
    EXPECT_TRUE(producer.broken()) << head;
  }
}

TEST(RingTest, RecordsThatClaimTooMuchAreAProtocolError) {
  struct Lie {
    uint32_t size;
    uint32_t type;
  };
  for (const Lie lie : {Lie{17, 1}, Lie{0xffffffff, 1}, Lie{0xfffffff8, 1}, Lie{4088, 1}, Lie{0, 0xffffffff},
                        Lie{4088, 0xffffffff}, Lie{0xffffffff, 0xffffffff}}) {
    RingMemory memory(4096);
    RingProducer producer = RingProducer::Attach(memory.span()).value();
    RingConsumer consumer = RingConsumer::Attach(memory.span()).value();
    ASSERT_TRUE(producer.TryPush(1, std::vector<std::byte>(16)));
    std::memcpy(memory.records().data(), &lie, sizeof lie);
    const auto record = consumer.Peek();
    ASSERT_FALSE(record) << lie.size << " " << lie.type;
    EXPECT_EQ(record.error().code, ErrorCode::kProtocolError);
  }
}

TEST(RingTest, RandomlyCorruptedMemoryNeverLeadsOutOfTheRing) {
  uint64_t errors = 0;
  for (uint64_t seed = 0; seed < 2000; ++seed) {
    std::mt19937_64 random(seed);
    RingMemory memory(4096);
    RingProducer producer = RingProducer::Attach(memory.span()).value();
    RingConsumer consumer = RingConsumer::Attach(memory.span()).value();
    for (int step = 0; step < 60; ++step) {
      producer.TryPush(1, RandomBytes(random, random() % 200));
      if (step % 3 == 0) {
        const auto start = memory.span().subspan(128, random() % 2 == 0 ? 384 : memory.span().size() - 128);
        const uint64_t word = random() % 2 == 0 ? random() : random() % 8192;
        std::memcpy(start.data() + random() % (start.size() / 8) * 8, &word, sizeof word);
      }
      const auto record = consumer.Peek();
      if (!record) {
        EXPECT_EQ(record.error().code, ErrorCode::kProtocolError);
        ++errors;
        break;
      }
      if (!record->has_value()) continue;
      const auto bytes = (*record)->bytes;
      ASSERT_GE(bytes.data(), memory.records().data());
      ASSERT_LE(bytes.data() + bytes.size(), memory.records().data() + 4096);
      volatile unsigned sum = 0;  // a sanitizer watches these reads
      for (const std::byte each : bytes) sum = sum + std::to_integer<unsigned>(each);
      consumer.Pop();
    }
  }
  EXPECT_GT(errors, 100U) << "the corruption must have been noticed";
}

}  // namespace
}  // namespace raylet
