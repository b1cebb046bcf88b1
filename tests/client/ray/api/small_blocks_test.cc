#include <ray/internal/small_blocks.h>

#include <gtest/gtest.h>
#include <malloc.h>

#include <cstring>
#include <list>
#include <memory>
#include <set>
#include <thread>
#include <vector>

#include <ray/api/object_ref.h>

namespace {

using ray::internal::BlockAllocator;
using ray::internal::GiveBlock;
using ray::internal::TakeBlock;

constexpr size_t kBytes = 32;

// Destroyed after all that the main thread keeps.
std::list<ray::ObjectRef<int>> until_the_end(100);

std::vector<void*> TakeMany(int count) {
  std::vector<void*> blocks;
  for (int i = 0; i < count; ++i) {
    blocks.push_back(TakeBlock(kBytes));
    std::memset(blocks.back(), i, kBytes);
  }
  return blocks;
}
void GiveAll(const std::vector<void*>& blocks) {
  for (void* const block : blocks) GiveBlock(block, kBytes);
}

#ifndef RAYLET_SANITIZED
size_t BytesInUse() { return mallinfo2().uordblks; }

TEST(SmallBlocks, AreTakenAgainForTheirSize) {
  void* const block = TakeBlock(17);
  GiveBlock(block, 17);
  void* const larger = TakeBlock(33);
  EXPECT_NE(larger, block);
  void* const again = TakeBlock(32);
  EXPECT_EQ(again, block);
  GiveBlock(again, 32);
  GiveBlock(larger, 33);
}

TEST(SmallBlocks, KeepAMebibyteForAThreadAndNoMore) {
  const size_t before = BytesInUse();
  GiveAll(TakeMany(200'000));
  EXPECT_LT(BytesInUse(), before + (2U << 20)) << "with what malloc adds to each";
}

TEST(SmallBlocks, GoWithTheirThread) {
  std::thread([] { GiveAll(TakeMany(10)); }).join();  // what the first thread takes for ever
  const size_t before = BytesInUse();
  std::thread([] { GiveAll(TakeMany(20'000)); }).join();
  EXPECT_LT(BytesInUse(), before + 10'000);
}
#endif

TEST(SmallBlocks, MayEndOnAnotherThread) {
  const std::vector<void*> blocks = TakeMany(1'000);
  std::thread([&] {
    GiveAll(blocks);
    const std::vector<void*> others = TakeMany(2'000);
    EXPECT_EQ(std::set<void*>(others.begin(), others.end()).size(), 2'000U);
    GiveAll(others);
  }).join();
}

TEST(SmallBlocks, MayBeDeletedAsAnyMemory) {
  ::operator delete(TakeBlock(kBytes));
  GiveBlock(::operator new(kBytes), kBytes);
  void* const large = TakeBlock(10'000);
  std::memset(large, 1, 10'000);
  GiveBlock(large, 10'000);
  GiveBlock(TakeBlock(0), 0);
}

TEST(SmallBlocks, HoldValuesOfAnyAlignment) {
  struct alignas(64) Line {
    char bytes[64];
  };
  const auto line = std::allocate_shared<Line>(BlockAllocator<Line>());
  EXPECT_EQ(reinterpret_cast<uintptr_t>(line.get()) % 64, 0U);
  const auto number = std::allocate_shared<double>(BlockAllocator<double>(), 2.5);
  EXPECT_EQ(*number, 2.5);
  std::vector<int, BlockAllocator<int>> numbers(1'000, 7);
  EXPECT_EQ(numbers.back(), 7);
}

TEST(SmallBlocks, AreTheNodesOfListsOfReferences) {
  using Allocator = std::allocator_traits<std::list<ray::ObjectRef<int>>::allocator_type>;
  static_assert(std::is_same_v<Allocator::allocator_type, std::allocator<ray::ObjectRef<int>>>, "as any list's");
  const std::list<ray::ObjectRef<int>> list(5);
  std::list<ray::ObjectRef<int>> moved;
  std::thread([&moved, copy = list]() mutable {
    moved.splice(moved.end(), copy);
    copy = moved;
  }).join();
  EXPECT_EQ(moved, list);
  EXPECT_EQ(until_the_end.size(), 100U);
}

}  // namespace
