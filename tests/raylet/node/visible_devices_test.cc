// CUDA_VISIBLE_DEVICES of the raylet and of its workers.
#include "raylet/node/visible_devices.h"

#include <gtest/gtest.h>

namespace raylet {
namespace {

TEST(VisibleDevices, GpusAreNumberedWhereTheRayletHasNoVariable) {
  EXPECT_EQ(*NamesOfGpus(std::nullopt, 3), GpuNames({"0", "1", "2"}));
  EXPECT_EQ(*NamesOfGpus(std::nullopt, 0), GpuNames());
}

TEST(VisibleDevices, TheRayletsOwnVariableNamesTheGpus) {
  EXPECT_EQ(*NamesOfGpus("4, 6,GPU-8f", 3), GpuNames({"4", "6", "GPU-8f"}));
  EXPECT_EQ(*NamesOfGpus("4,6,7", 2), GpuNames({"4", "6"}));
  EXPECT_EQ(*NamesOfGpus("", 0), GpuNames());
}

TEST(VisibleDevices, MoreGpusThanTheVariableNamesAreRefusedWithBothNumbers) {
  const auto refused = NamesOfGpus("4,6", 3);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("offer 3 GPUs"), std::string::npos) << refused.error().message;
  EXPECT_NE(refused.error().message.find("names 2"), std::string::npos) << refused.error().message;
  EXPECT_FALSE(NamesOfGpus("", 1));
  EXPECT_FALSE(NamesOfGpus("-1", 1));
  EXPECT_FALSE(NamesOfGpus("NoDevFiles", 1));
  EXPECT_FALSE(NamesOfGpus("0,-1,1", 2)) << "CUDA sees one";
}

TEST(VisibleDevices, AGpuThatTheVariableNamesTwiceIsRefused) {
  const auto refused = NamesOfGpus("3,3", 2);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("names 3 twice"), std::string::npos) << refused.error().message;
}

TEST(VisibleDevices, AWorkersVariableHasTheNamesOfItsDevices) {
  EXPECT_EQ(VisibleDevices({"4", "6", "7"}, {0, 2}), "4,7");
  EXPECT_EQ(VisibleDevices({"4", "6", "7"}, {}), "");
}

}  // namespace
}  // namespace raylet
