#include "store/memory_budget.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "base/available_memory.h"
#include "base/strings.h"
#include "store/arena_map.h"
#include "store/index_memory.h"
#include "tests/harness/run_folder.h"

namespace raylet::store {
namespace {

constexpr uint64_t kMiB = uint64_t{1} << 20;

void Write(const std::string& path, const std::string& text) {
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  std::ofstream(path) << text;
}

TEST(MemoryBudget, AStoreLargerThanItsCgroupIsRefusedWithBothNumbers) {
  const test::RunFolder machine;  // with 1000 MiB, 100 MiB of them in a cgroup that has used 40
  Write(machine.File("proc/meminfo"), "MemAvailable: 1024000 kB\n");
  Write(machine.File("proc/self/cgroup"), "0::/app\n");
  Write(machine.File("sys/fs/cgroup/app/memory.max"), std::to_string(100 * kMiB));
  Write(machine.File("sys/fs/cgroup/app/memory.current"), std::to_string(40 * kMiB));
  const uint64_t available = AvailableMemoryBytesBelow(machine.path());
  ASSERT_EQ(available, 60 * kMiB);
  EXPECT_TRUE(MemoryBudget::For(24 * kMiB).Check("24M", available));
  const MemoryBudget large = MemoryBudget::For(64 * kMiB);
  const auto refused = large.Check("64M", available);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kFull);
  EXPECT_EQ(refused.error().message.find("-m 64M needs " + FormatBytes(large.total_bytes())), 0u)
      << refused.error().message;
  EXPECT_NE(refused.error().message.find("cgroup has 60.0 MiB left; say a smaller -m"), std::string::npos);
}

TEST(MemoryBudget, CountedBytesAreTheReservedBytes) {
  const MemoryBudget budget = MemoryBudget::For(1024 * kMiB);
  EXPECT_EQ(budget.index_entries, 262144u);
  EXPECT_GE(budget.index_bytes, budget.index_entries * kMemoryPerEntry);
  EXPECT_GT(budget.arena_bytes, 1280 * kMiB);
  EXPECT_GE(budget.daemon_bytes, budget.arena_bytes / kPageBytes * kMapBytesPerPage);
  EXPECT_LT(budget.total_bytes(), 1350 * kMiB);
  EXPECT_TRUE(budget.Check("1G", budget.total_bytes()));
  EXPECT_FALSE(budget.Check("1G", budget.total_bytes() - 1));
}

TEST(MemoryBudget, EntriesBeyondTheFirstFitIntoWhatTheArenaHasForRounding) {
  for (const uint64_t capacity : {uint64_t{1}, 16 * kMiB, 1024 * kMiB, 4096 * kMiB, uint64_t{1} << 40}) {
    const MemoryBudget budget = MemoryBudget::For(capacity);
    EXPECT_EQ(budget.index_entries % kIndexStep, 0u);
    EXPECT_LE((budget.index_entries_max - budget.index_entries) * kMemoryPerEntry, budget.arena_bytes - capacity);
    EXPECT_LE(budget.index_entries_max, kEntriesMost);
  }
  EXPECT_GE(MemoryBudget::For(4096 * kMiB).index_entries_max, 10'000'000u);
}

TEST(MemoryBudget, AStoreThatFillsItsCgroupWithoutRoomForItsClientsIsRefused) {
  // 150 MiB of objects reserve 196 MiB; the daemon and its clients would be killed for the rest.
  const MemoryBudget budget = MemoryBudget::For(150 * kMiB);
  EXPECT_FALSE(budget.Check("150M", 200 * kMiB));
  EXPECT_TRUE(MemoryBudget::For(140 * kMiB).Check("140M", 200 * kMiB));
}

TEST(MemoryGuard, ARequestForMemoryIsRefusedUnlessSomeIsLeftBesideIt) {
  uint64_t left = kTrafficBytes + 1000;
  const MemoryGuard guard([&] { return left; });
  EXPECT_TRUE(guard.RoomFor(1000, "one more client"));
  left -= 1;
  const auto refused = guard.RoomFor(1000, "one more client");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kLimit);
  EXPECT_EQ(refused.error().message.find("plasma_store has no memory for one more client: it needs 8.0 MiB and the "
                                         "machine or its cgroup has 8.0 MiB left"),
            0u)
      << refused.error().message;
  EXPECT_TRUE(MemoryGuard().RoomFor(~uint64_t{0} / 2, "anything")) << "where nobody says what is left";
}

}  // namespace
}  // namespace raylet::store
