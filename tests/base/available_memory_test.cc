#include "base/available_memory.h"

#include <filesystem>
#include <fstream>

#include "base/shm_segment.h"
#include "testing.h"
#include "tests/harness/run_folder.h"

namespace raylet {
namespace {

constexpr size_t kMiB = size_t{1} << 20;

class AvailableMemoryTest : public testing::Test {
 protected:
  void Write(const std::string& path, const std::string& text) {
    const std::filesystem::path file(root_.File(path));
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << text;
  }
  void MachineHas(size_t mib) {
    Write("proc/meminfo", "MemTotal: 99999999 kB\nMemAvailable:   " + std::to_string(mib * 1024) + " kB\nX: 1 kB\n");
  }
  size_t Left() const { return AvailableMemoryBytesBelow(root_.path()); }
  test::RunFolder root_;
};

TEST_F(AvailableMemoryTest, WithoutACgroupItIsTheMachines) {
  MachineHas(1000);
  EXPECT_EQ(Left(), 1000 * kMiB);
}

TEST_F(AvailableMemoryTest, ACgroupV2LeavesItsLimitMinusWhatIsUsed) {
  MachineHas(1000);
  Write("proc/self/cgroup", "0::/user/app\n");
  Write("sys/fs/cgroup/user/app/memory.max", "524288000\n");
  Write("sys/fs/cgroup/user/app/memory.current", "209715200\n");
  EXPECT_EQ(Left(), 300 * kMiB);
  Write("sys/fs/cgroup/user/app/memory.stat", "anon 1\ninactive_file 104857600\nactive_file 5\n");
  EXPECT_EQ(Left(), 400 * kMiB);
}

TEST_F(AvailableMemoryTest, AGroupAboveMayBeTighter) {
  MachineHas(1000);
  Write("proc/self/cgroup", "0::/user/app\n");
  Write("sys/fs/cgroup/user/app/memory.max", "max\n");
  Write("sys/fs/cgroup/user/app/memory.current", "0\n");
  Write("sys/fs/cgroup/user/memory.max", "104857600\n");
  Write("sys/fs/cgroup/user/memory.current", "0\n");
  EXPECT_EQ(Left(), 100 * kMiB);
}

TEST_F(AvailableMemoryTest, ACgroupV1IsAskedToo) {
  MachineHas(1000);
  Write("proc/self/cgroup", "7:cpu,cpuacct:/x\n4:hugetlb,memory:/box\n0::/\n");
  Write("sys/fs/cgroup/memory/box/memory.limit_in_bytes", "104857600\n");
  Write("sys/fs/cgroup/memory/box/memory.usage_in_bytes", "52428800\n");
  EXPECT_EQ(Left(), 50 * kMiB);
}

TEST_F(AvailableMemoryTest, InsideAContainerTheMountIsOurGroup) {
  MachineHas(1000);
  Write("proc/self/cgroup", "0::/../somewhere/else\n");
  Write("sys/fs/cgroup/memory.max", "104857600\n");
  Write("sys/fs/cgroup/memory.current", "209715200\n");  // above its limit: nothing is left
  EXPECT_EQ(Left(), 0U);
}

TEST_F(AvailableMemoryTest, ThisMachineHasSome) {
  EXPECT_GT(AvailableMemoryBytes(), kMiB);
  EXPECT_LT(AvailableMemoryBytes(), size_t{1} << 50);
}

}  // namespace
}  // namespace raylet
