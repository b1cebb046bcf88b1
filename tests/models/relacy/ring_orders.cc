// A ring's records under weak memory: base/ring.cc itself, and the sleep of its reader by fbs/put_page.h. A producer
// pushes records into a ring that they fill and wrap. The consumer reads them, and waits for a bell where it is empty.
//
// Always holds: a record's bytes are written before the consumer reads them, and read before the producer writes there
// again. No record is left while the consumer waits for a bell that nobody rings.
#include <sys/mman.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/result.h"
#include "base/strings.h"
#include "fbs/ids.h"
#include "tests/models/relacy/orders.h"
// After it, whose names they use.
#include "base/ring.cc"
#include "fbs/put_page.h"

namespace {

using raylet::PutPage;

constexpr size_t kCapacity = 4096, kRecordBytes = 1000, kInRing = kRecordBytes + 8;
constexpr int kRecords = 6;

struct RingOrders : rl::test_suite<RingOrders, 2> {
  alignas(4096) static inline std::byte memory[sizeof(raylet::RingHeader) + kCapacity];
  static inline std::byte* const page_memory = static_cast<std::byte*>(
      ::mmap(nullptr, sizeof(PutPage), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));

  // What lies in the ring's bytes, as relacy sees it: it finds each read that no order separates from a write.
  rl::var<int> cells[kCapacity / kInRing];
  rl::atomic<int> bell;
  raylet::RingProducer producer;
  raylet::RingConsumer consumer;

  static raylet::RingHeader& header() { return *reinterpret_cast<raylet::RingHeader*>(memory); }
  static PutPage& page() { return *reinterpret_cast<PutPage*>(page_memory); }

  void before() {
    for (auto& cell : cells) VAR(cell) = 0;
    bell.store(0, rl::mo_relaxed, $);
    raylet::InitRing(memory, kCapacity);
    new (&page().daemon_sleeps) rl::atomic<uint32_t>(0);
    producer = *raylet::RingProducer::Attach(memory);
    consumer = *raylet::RingConsumer::Attach(memory);
  }
  void after() {
    page().daemon_sleeps.~atomic();
    header().~RingHeader();
  }

  size_t CellOf(const std::byte* at) { return static_cast<size_t>(at - memory - sizeof(raylet::RingHeader)) / kInRing; }
  void thread(unsigned index) {
    if (index == 0)
      Push();
    else
      Pop();
  }
  void Push() {
    for (int number = 1; number <= kRecords; ++number) {
      auto room = producer.TryReserve(kRecordBytes);
      for (; !room; room = producer.TryReserve(kRecordBytes)) rl::yield(1, $);
      const size_t cell = CellOf(room->data());
      VAR(cells[cell]) = number;
      producer.Commit(1, kRecordBytes);
      if (TakeDaemonSleeps(page())) bell.store(1, rl::mo_release, $);
    }
  }
  void Pop() {
    for (int number = 1; number <= kRecords;) {
      const auto record = consumer.Peek();
      RL_ASSERT(record.has_value());
      if (*record) {
        const size_t cell = CellOf((*record)->bytes.data());
        RL_ASSERT(VAR(cells[cell]) == number);
        consumer.Pop();
        ++number;
        continue;
      }
      SayDaemonSleeps(page(), true);
      if (consumer.Empty()) {
        while (bell.load(rl::mo_acquire, $) == 0) rl::yield(1, $);
        bell.store(0, rl::mo_relaxed, $);
      }
      SayDaemonSleeps(page(), false);
    }
  }
};

}  // namespace

int main() {
  return orders::Check<RingOrders>("ring",
                                   {{"PublishTail", rl::mo_release, rl::mo_relaxed},
                                    {"SeeTail", rl::mo_acquire, rl::mo_relaxed},
                                    {"PublishHead", rl::mo_release, rl::mo_relaxed},
                                    {"SeeHead", rl::mo_acquire, rl::mo_relaxed},
                                    {"TakeDaemonSleeps", rl::mo_seq_cst, rl::mo_relaxed},
                                    {"SayDaemonSleeps", rl::mo_seq_cst, rl::mo_relaxed}},
                                   3000);
}
