// A client writes nonsense on its put page and its ring. The store's ledger adds up, each run of the arena has one
// owner, and the posts end with a protocol error at worst.
#include "store/put_posts.h"

#include <memory>
#include <optional>

#include "base/clock.h"
#include "tests/fuzz/fuzz.h"
#include "tests/harness/pin_page.h"

namespace raylet::store {
namespace {

constexpr uint64_t kCapacity = 1 << 20, kEntries = 4096;

struct Free {
  void operator()(std::byte* memory) const { std::free(memory); }
};
using Memory = std::unique_ptr<std::byte, Free>;

Memory Zeroed(size_t bytes) {
  Memory memory(static_cast<std::byte*>(std::aligned_alloc(4096, (bytes + 4095) / 4096 * 4096)));
  std::memset(memory.get(), 0, bytes);
  return memory;
}

// A store, and the one client of a run with its ring.
struct Daemon {
  Daemon() {
    header = InitIndexSegment(index.get(), kEntries);
    arena = *Arena::Create(kCapacity);
    store.emplace(kCapacity, *arena, header, clock);
    leases.emplace(*arena, kCapacity / 4);
    store->OnNoRoom([this] { return leases->TakeBack(); });
  }
  void Connect() {
    std::memset(page.get(), 0, PutPageBytes());
    client = *store->AddClient(1, "fuzz", pins.get());
    InitPutPage(Page(), client);
    posts.emplace(*PutPosts::Attach(*store, *leases, client, Page()));
    leases->AddClient(client, &posts->page());
  }
  std::span<std::byte> Page() { return {page.get(), PutPageBytes()}; }
  void Check() {
    const IndexCounters& counters = header->counters;
    FUZZ_ASSERT(counters.mutation_seq.load() % 2 == 0);
    FUZZ_ASSERT(counters.sealed_bytes + counters.unsealed_bytes + counters.dying_bytes + store->free_bytes() ==
                kCapacity);
    FUZZ_ASSERT(counters.leased_bytes == leases->leased_bytes());
    FUZZ_ASSERT(leases->leased_bytes() <= kCapacity / 4);
  }

  Memory index = Zeroed(IndexSegmentBytes(kEntries)), page = Zeroed(PutPageBytes());
  SteadyClock clock;
  IndexHeader* header = nullptr;
  std::unique_ptr<Arena> arena;
  test::PinPagePtr pins = test::MakePinPage();
  std::optional<ObjectStore> store;
  std::optional<WriteLeases> leases;
  uint32_t client = 0;
  std::optional<PutPosts> posts;
};

void Run(fuzz::Input input) {
  static Daemon daemon;
  daemon.Connect();
  auto ring = *RingProducer::Attach(PutRingOf(daemon.Page()));
  bool broken = false;
  while (!input.empty() && !broken) {
    switch (input.Take<uint8_t>() % 8) {
      case 0: {  // a post that may be sound
        PutPost post{};
        post.id[0] = input.Take<uint8_t>() % 16;
        post.slot = input.Take<uint16_t>() % (kPutSlots + 8);
        post.data_bytes = input.Take<uint16_t>();
        post.metadata_bytes = input.Take<uint8_t>();
        post.flags = input.Take<uint8_t>();
        ring.TryPush(1 + input.Take<uint8_t>() % 2,
                     fuzz::AsBytes(reinterpret_cast<const uint8_t*>(&post), sizeof post));
        break;
      }
      case 1: {
        const PutWant want{input.Take<uint8_t>() % (kPutClasses + 1), input.Take<uint16_t>()};
        ring.TryPush(4, fuzz::AsBytes(reinterpret_cast<const uint8_t*>(&want), sizeof want));
        break;
      }
      case 2: {
        struct {
          PutBatchHead head;
          PutBatchObject objects[3];
        } batch{};
        batch.head = {.frames = input.Take<uint8_t>() % 2U, .count = input.Take<uint8_t>() % 5U, .flags = 1};
        for (PutBatchObject& object : batch.objects) {
          object.id[0] = input.Take<uint8_t>() % 16;
          object.slot = input.Take<uint16_t>() % kPutSlots;
          object.data_bytes = input.Take<uint8_t>();
        }
        ring.TryPush(3, fuzz::AsBytes(reinterpret_cast<const uint8_t*>(&batch), sizeof batch));
        break;
      }
      case 3: {  // anything
        const auto type = input.Take<uint8_t>();
        ring.TryPush(type, input.TakeBytes(input.Take<uint8_t>()));
        break;
      }
      case 4: {  // a word of the page or the ring
        const size_t at = input.Take<uint32_t>() % (PutPageBytes() / 8) * 8;
        const auto value = input.Take<uint64_t>();
        std::memcpy(daemon.page.get() + at, &value, sizeof value);
        break;
      }
      case 5: daemon.leases->TakeBack(); break;
      default: {
        const auto carried = daemon.posts->CarryOut(1 + input.Take<uint8_t>() % 20, input.Take<uint8_t>() % 3);
        broken = !carried;
        if (broken) FUZZ_ASSERT(carried.error().code == ErrorCode::kProtocolError);
      }
    }
    // TakeBack outside of a post leaves its count to the next one.
    daemon.header->counters.leased_bytes = daemon.leases->leased_bytes();
    daemon.Check();
  }
  daemon.leases->RemoveClient(daemon.client);
  daemon.store->RemoveClient(daemon.client);
  daemon.store->Evict(kCapacity);
  FUZZ_ASSERT(daemon.arena->physical_bytes() == 0);
}

}  // namespace
}  // namespace raylet::store

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  raylet::store::Run(raylet::fuzz::Input(data, size));
  return 0;
}
