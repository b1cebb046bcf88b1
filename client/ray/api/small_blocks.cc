#include <ray/internal/small_blocks.h>

#include <array>
#include <utility>

namespace ray::internal {
namespace {

constexpr size_t kStepBytes = 16;
// The address sanitizer looks at each use of freed memory, so none is kept from it.
#ifdef RAYLET_SANITIZED_ADDRESS
constexpr size_t kKeptBytesMax = 0;
#else
constexpr size_t kKeptBytesMax = size_t{1} << 20;  // by one thread
#endif

struct FreeBlock {
  FreeBlock* next;
};

// One thread's. It is plain memory, so it can still be used while the thread's other objects are destroyed.
struct KeptBlocks {
  std::array<FreeBlock*, kSmallBlockBytesMax / kStepBytes> first;  // of each size
  size_t room;                                                     // for further bytes; none before Begin and after End
  bool begun;

  void Begin() {
    begun = true;
    room = kKeptBytesMax;
  }
  void End() {
    room = 0;
    for (FreeBlock*& each : first)
      while (each != nullptr) ::operator delete(std::exchange(each, each->next));
  }
};
// initial-exec: reached without a call. The few bytes fit into what the loader has to spare for this.
constinit thread_local KeptBlocks kept [[gnu::tls_model("initial-exec")]] = {};

// Made with the first block that a thread gives. It frees the blocks at the thread's end.
struct Keeper {
  Keeper() { kept.Begin(); }
  ~Keeper() { kept.End(); }
};

constexpr size_t IndexOf(size_t bytes) { return (bytes - 1) / kStepBytes; }
constexpr size_t BlockBytes(size_t bytes) { return (IndexOf(bytes) + 1) * kStepBytes; }
constexpr bool IsSmall(size_t bytes) { return bytes - 1 < kSmallBlockBytesMax; }  // and not zero

[[gnu::noinline]] void GiveWithoutRoom(void* block, size_t bytes) noexcept {
  if (!IsSmall(bytes) || kept.begun) return ::operator delete(block);
  thread_local const Keeper keeper;
  static_cast<void>(keeper);
  GiveBlock(block, bytes);
}

}  // namespace

void* TakeBlock(size_t bytes) {
  if (!IsSmall(bytes)) return ::operator new(bytes);
  FreeBlock*& first = kept.first[IndexOf(bytes)];
  if (first == nullptr) return ::operator new(BlockBytes(bytes));
  kept.room += BlockBytes(bytes);
  return std::exchange(first, first->next);
}

void GiveBlock(void* block, size_t bytes) noexcept {
  if (!IsSmall(bytes) || kept.room < BlockBytes(bytes)) return GiveWithoutRoom(block, bytes);
  FreeBlock*& first = kept.first[IndexOf(bytes)];
  first = new (block) FreeBlock{first};
  kept.room -= BlockBytes(bytes);
}

}  // namespace ray::internal
