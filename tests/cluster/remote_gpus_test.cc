// GPUs of another machine: the driver's machine A has none, B has two.
#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "tests/client/ray/cluster/gpu_user.h"
#include "tests/cluster/machines.h"

namespace cluster_test {
namespace {

using raylet::test::Machine;
using Words = std::vector<std::string>;

class RemoteGpusTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ray::RayConfig config;
    config.address = a_.socket();
    ray::Init(config);
  }
  void TearDown() override { ray::Shutdown(); }

  raylet::test::RunFolder folder_;
  const std::string token_ = raylet::test::WriteToken(folder_);
  Machine a_{token_, {"--num-cpus", "2"}};
  Machine b_{token_, {"--num-cpus", "2", "--num-gpus", "2", "--peers", a_.address}};
};

TEST_F(RemoteGpusTest, TasksAndActorsHaveGpusOfTheMachineThatRunsThem) {
  auto signal = ray::Actor(Counter::Create).Remote(0);
  std::vector<ray::ObjectRef<std::string>> refs;
  for (int i = 0; i < 2; ++i) refs.push_back(ray::Task(GpusBeside).SetResource("GPU", 1).Remote(signal, 2));
  Words gpus = {*refs[0].Get(), *refs[1].Get()};
  std::ranges::sort(gpus);
  EXPECT_EQ(gpus, (Words{"0", "1"}));
  EXPECT_EQ(*ray::Task(Gpus).SetResource("GPU", 2).Remote().Get(), "0,1");

  auto actor = ray::Actor(GpuUser::Create).SetResource("GPU", 1).Remote();
  const std::string its = *actor.Task(&GpuUser::InConstructor).Remote().Get();
  EXPECT_EQ(*ray::Task(Gpus).SetResource("GPU", 1).Remote().Get(), its == "0" ? "1" : "0");
  EXPECT_EQ(*actor.Task(&GpuUser::Now).Remote().Get(), its);
}

TEST_F(RemoteGpusTest, AMachineWithoutGpusLeavesTheVariableAlone) {
  EXPECT_EQ(*ray::Task(Gpus).Remote().Get(), "unset");
}

}  // namespace
}  // namespace cluster_test
