#include "store/huge_pages.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <string>

#include "base/shm_segment.h"
#include "base/strings.h"
#include "tests/store/store_daemon_fixture.h"

namespace raylet::test {
namespace {

constexpr uint64_t kHugePagesMiB = uint64_t{1} << 20;

// The number of KiB in this line of the arena's mapping in a process.
uint64_t ArenaKiB(pid_t pid, const std::string& line) {
  std::ifstream smaps(StrCat("/proc/", pid, "/smaps"));
  uint64_t kib = 0;
  bool arena = false;
  for (std::string text; std::getline(smaps, text);) {
    if (text.find('-') < text.find(' ') && text.find(':') > text.find(' '))
      arena = text.find("plasma-arena") != std::string::npos;
    if (arena && text.starts_with(line + ":")) kib += std::stoull(text.substr(line.size() + 1));
  }
  return kib;
}

TEST(HugePagesTest, MissingPagesAreNamedWithTheSetting) {
  const auto hugetlb = store::CreateHugetlbMemory("test", size_t{1} << 50);
  ASSERT_FALSE(hugetlb);
  EXPECT_EQ(hugetlb.error().code, ErrorCode::kFull);
  EXPECT_NE(hugetlb.error().message.find("vm.nr_hugepages"), std::string::npos) << hugetlb.error().message;
  for (const std::string setting : {"", "always within_size advise [never] deny force"}) {
    const auto advised = store::CreateAdvisedMemory("test", kHugePagesMiB, setting);
    ASSERT_FALSE(advised);
    EXPECT_EQ(advised.error().code, ErrorCode::kInvalid);
    EXPECT_NE(advised.error().message.find("shmem_enabled"), std::string::npos) << advised.error().message;
  }
}

// Whatever the kernel makes of the advice.
TEST(HugePagesTest, AdvisedMemoryIsAllThereAndKeepsItsSize) {
  const auto fd = store::CreateAdvisedMemory("test", 5 * kHugePagesMiB + 4096, "always [advise] never");
  ASSERT_TRUE(fd) << fd.error().message;
  struct stat status {};
  ASSERT_EQ(::fstat(fd->get(), &status), 0);
  EXPECT_EQ(static_cast<uint64_t>(status.st_size), 5 * kHugePagesMiB + 4096);
  EXPECT_GE(static_cast<uint64_t>(status.st_blocks) * 512, 5 * kHugePagesMiB + 4096);
  EXPECT_NE(::ftruncate(fd->get(), kHugePagesMiB), 0);
  const auto mapping = Mapping::Map(fd->get(), 5 * kHugePagesMiB + 4096, Mapping::Access::kReadWrite);
  ASSERT_TRUE(mapping) << mapping.error().message;
  mapping->data()[5 * kHugePagesMiB + 4095] = std::byte{1};
  EXPECT_FALSE(store::IsHugetlb(fd->get()));
}

class HugePages : public StoreDaemonTest {
 protected:
  void SetUp() override {
    auto daemon = DaemonProcess::Start("plasma_store", {"-m", "32M", "-s", socket_, "-h"});
    ASSERT_TRUE(daemon) << daemon.error().message;
    daemon_.emplace(std::move(*daemon));
  }
};

// The store says which pages it has, and the kernel says the same.
TEST_F(HugePages, StoreSaysWhichPagesItHasAndServes) {
  const std::string said = daemon_->Output();
  RawClient client = Connect();
  ASSERT_EQ(client.Create(1, 8 * kHugePagesMiB), ErrorCode::kOk);
  const pid_t server = daemon_->server_pid();
  const auto arena = Mapping::Map(client.connection.fds().at(0).get(), 8 * kHugePagesMiB, Mapping::Access::kReadOnly);
  ASSERT_TRUE(arena) << arena.error().message;
  uint64_t sum = 0;
  for (uint64_t at = 0; at < arena->size(); at += 4096) sum += static_cast<uint64_t>(arena->data()[at]);
  EXPECT_EQ(sum, 0u);
  const pid_t self = ::getpid();
  if (said.find("reserved huge pages (hugetlb)") != std::string::npos) {
    EXPECT_GE(ArenaKiB(self, "KernelPageSize"), 2048u);
  } else if (said.find("huge pages that the kernel makes") != std::string::npos) {
    EXPECT_GT(ArenaKiB(self, "ShmemPmdMapped"), 0u);
  } else {
    EXPECT_NE(said.find("objects lie in pages of 4 KiB"), std::string::npos) << said;
    EXPECT_NE(said.find("vm.nr_hugepages"), std::string::npos) << said;
    EXPECT_NE(said.find(store::ShmemHugePages()), std::string::npos) << said;
    EXPECT_EQ(ArenaKiB(self, "KernelPageSize"), 4u);
  }
  ::kill(server, SIGKILL);
  ASSERT_TRUE(Eventually(std::chrono::seconds(20),
                         [&] { return daemon_->server_pid() != server && daemon_->server_pid() != daemon_->pid(); }));
  RawClient next = Connect();
  EXPECT_EQ(next.Create(2, 8 * kHugePagesMiB), ErrorCode::kOk) << "from the next server";
}

}  // namespace
}  // namespace raylet::test
