// A store of any capacity can be filled to the last object that fits, whatever the objects' one size is.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "store/memory_budget.h"
#include "store/object_store.h"
#include "tests/harness/pin_page.h"

namespace raylet::store {
namespace {

ObjectId IdOf(uint64_t number) {
  ObjectId id;
  std::memcpy(id.mutable_data(), &number, sizeof number);
  return id;
}

// Fills a store, makes every third object's room free in random order, and fills it again.
void Fill(uint64_t capacity_bytes, uint64_t data_bytes, uint64_t metadata_bytes, uint64_t seed) {
  SCOPED_TRACE(testing::Message() << "capacity " << capacity_bytes << ", data " << data_bytes << ", metadata "
                                  << metadata_bytes << ", seed " << seed);
  const MemoryBudget budget = MemoryBudget::For(capacity_bytes);
  const size_t segment_bytes = IndexSegmentBytes(budget.index_entries_max);
  const auto memory = CreateMemfd("index", segment_bytes, false);
  const auto mapping = Mapping::Map(memory->get(), segment_bytes, Mapping::Access::kReadWrite);
  const auto arena = Arena::Create(capacity_bytes);
  ASSERT_TRUE(mapping && arena);
  const SteadyClock clock;
  ObjectStore store(capacity_bytes, **arena, InitIndexSegment(mapping->data(), budget.index_entries_max), clock,
                    {memory->get(), budget.index_entries});
  const auto page = test::MakePinPage();
  const auto client = store.AddClient(1, "filler", page.get());
  ASSERT_TRUE(client);
  const ObjectOptions options = {
      .data_bytes = data_bytes, .metadata_bytes = metadata_bytes, .evict_if_full = false, .owned = false};
  // Beyond these, the arena gives up pages for entries.
  const uint64_t fit = std::min(capacity_bytes / (data_bytes + metadata_bytes), budget.index_entries);
  FullNumbers full;
  const auto create = [&](uint64_t number) {
    const auto made = store.Create(*client, IdOf(number), options, full);
    ASSERT_TRUE(made) << number << " of " << fit << ": " << made.error().message;
  };
  for (uint64_t i = 0; i < fit; ++i) ASSERT_NO_FATAL_FAILURE(create(i));
  if (fit < budget.index_entries) {
    EXPECT_FALSE(store.Create(*client, IdOf(fit), options, full)) << "more than fits";
  }

  std::vector<uint64_t> numbers(fit);
  for (uint64_t i = 0; i < fit; ++i) numbers[i] = i;
  std::mt19937_64 random(seed);
  std::shuffle(numbers.begin(), numbers.end(), random);
  numbers.resize(fit / 3);
  for (const uint64_t number : numbers) ASSERT_TRUE(store.Abort(*client, IdOf(number)));
  for (const uint64_t number : numbers) ASSERT_NO_FATAL_FAILURE(create(number));
}

TEST(Capacity, ObjectsOfAnyOneSizeFillAStoreOfAnyCapacity) {
  std::mt19937_64 random(11);
  const auto log_uniform = [&](double low, double high) {
    const double at = std::uniform_real_distribution<double>(std::log2(low), std::log2(high))(random);
    return static_cast<uint64_t>(std::exp2(at));
  };
  for (uint64_t seed = 1; seed <= 25; ++seed) {
    const uint64_t capacity = log_uniform(5000, 48e6);
    const uint64_t data = std::max<uint64_t>(1, log_uniform(1, static_cast<double>(capacity)));
    const uint64_t metadata = random() % 2 == 0 ? 0 : random() % std::min<uint64_t>(100, capacity - data + 1);
    ASSERT_NO_FATAL_FAILURE(Fill(capacity, data, metadata, seed));
  }
}

// One byte more than what the allocator has a size for, where rounding costs the most.
TEST(Capacity, SizesThatRoundUpTheMostFillTheStoreTooWithAndWithoutMetadata) {
  for (const uint64_t size : {65, 129, 257, 513, 1025, 2049, 4097, 8193, 12289, 14337, 16385, 20481, 32769, 1048577}) {
    ASSERT_NO_FATAL_FAILURE(Fill(16000001, size, 0, size));
    ASSERT_NO_FATAL_FAILURE(Fill(3200000, size, 0, size));
    ASSERT_NO_FATAL_FAILURE(Fill(3200000, size < 66 ? 1 : size - 65, 2, size));  // data's padding, then metadata's
  }
}

}  // namespace
}  // namespace raylet::store
