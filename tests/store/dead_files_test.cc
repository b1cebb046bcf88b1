#include "store/dead_files.h"

#include <gtest/gtest.h>

namespace raylet::store {
namespace {

constexpr uint64_t kMany = uint64_t{1} << 40;
const TimePoint kStart{};
using Files = std::vector<uint64_t>;

TEST(DeadFilesTest, FileOfItsSizeIsReplaced) {
  DeadFiles dead;
  dead.Add(1, 100'000, kStart);
  dead.Add(2, 1'000, kStart);
  dead.Add(3, 1'100, kStart);
  EXPECT_EQ(dead.Replace(1'500, kMany), (Files{2}));
  EXPECT_EQ(dead.Replace(10'000, kMany), Files{}) << "none fits";
  EXPECT_EQ(dead.Replace(60'000, kMany), (Files{1}));
  EXPECT_EQ(dead.bytes(), 1'100u);
}

TEST(DeadFilesTest, OthersGoUntilTheNewFileHasRoom) {
  DeadFiles dead;
  for (uint64_t file = 1; file <= 5; ++file) dead.Add(file, 1000, kStart);
  EXPECT_EQ(dead.Replace(100'000, 2500), (Files{1, 2, 3}));
  EXPECT_EQ(dead.Replace(1000, 0), (Files{4, 5}));
  EXPECT_TRUE(dead.Empty());
}

TEST(DeadFilesTest, FilesGoAfterAWhileAndWhenTheyAreTooMany) {
  DeadFiles dead;
  dead.Add(1, 10, kStart);
  dead.Add(2, 10, kStart + std::chrono::seconds(1));
  EXPECT_EQ(dead.TakeSurplus(kStart + kDeadFileKept - std::chrono::milliseconds(1)), Files{});
  EXPECT_EQ(dead.TakeSurplus(kStart + kDeadFileKept), (Files{1}));
  for (uint64_t file = 0; file < kDeadFilesMax; ++file) dead.Add(100 + file, 10, kStart + kDeadFileKept);
  EXPECT_EQ(dead.TakeSurplus(kStart + kDeadFileKept), (Files{2}));
  dead.Add(9999, kDeadBytesMax, kStart + kDeadFileKept);
  EXPECT_EQ(dead.TakeSurplus(kStart + kDeadFileKept).size(), kDeadFilesMax) << "all that are older than the giant";
  EXPECT_EQ(dead.TakeAll(), (Files{9999}));
  EXPECT_EQ(dead.bytes(), 0u);
}

}  // namespace
}  // namespace raylet::store
