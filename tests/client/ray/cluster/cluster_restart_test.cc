// The store's server is killed under running tasks and actors.
#include <gtest/gtest.h>
#include <signal.h>

#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "base/shm_segment.h"
#include "fbs/segment_layout.h"
#include "tests/client/ray/cluster/cluster_fixture.h"
#include "tests/harness/daemon_process.h"

namespace cluster_test {
namespace {

using raylet::test::Eventually;
using namespace std::chrono_literals;

class ClusterRestartTest : public ClusterTest {
 protected:
  static std::string StoreSocket() {
    const int raylet = *ray::Task(ParentPid).Remote().Get();
    std::ifstream file("/proc/" + std::to_string(raylet) + "/cmdline", std::ios::binary);
    std::string word, before;
    while (std::getline(file, word, '\0')) {
      if (before == "--store-socket") return word;
      before = word;
    }
    return {};
  }
  static pid_t ServerAt(const std::string& socket) {
    const auto fd = raylet::OpenNamedSegmentReadOnly(raylet::IndexSegmentName(socket));
    if (!fd) return -1;
    const auto mapping =
        raylet::Mapping::Map(fd->get(), sizeof(raylet::IndexHeader), raylet::Mapping::Access::kReadOnly);
    return mapping ? mapping->As<const raylet::IndexHeader>()->daemon_pid : -1;
  }
};

TEST_F(ClusterRestartTest, TasksActorsAndObjectsGoOn) {
  constexpr int kKills = 8, kLong = 200'000;  // results of this length lie in the store
  const std::string socket = StoreSocket();
  ASSERT_GT(ServerAt(socket), 0) << socket;
  auto counter = ray::Actor(Counter::Create).Remote(0);
  const auto kept = ray::Put(std::string(kLong, 'k'));
  const int raylet = *ray::Task(ParentPid).Remote().Get();
  int increments = 0;
  for (int kill = 0; kill < kKills; ++kill) {
    std::vector<ray::ObjectRef<std::string>> results;
    for (int i = 0; i < 6; ++i) results.push_back(ray::Task(Repeat).Remote(std::string(10, 'x'), kLong / 10));
    const auto array = ray::Task(Ramp).Remote(100'000);
    auto length = ray::Task(Length).Remote(results.front());
    const pid_t server = ServerAt(socket);
    ASSERT_EQ(::kill(server, SIGKILL), 0);
    const auto put = ray::Put(std::string(kLong, static_cast<char>('a' + kill)));
    EXPECT_EQ(*counter.Task(&Counter::Increment).Remote(1).Get(), ++increments);
    for (const auto& result : results) EXPECT_EQ(result.Get()->size(), static_cast<size_t>(kLong));
    EXPECT_EQ(*length.Get(), static_cast<size_t>(kLong));
    EXPECT_EQ(*ray::Task(Length).Remote(put).Get(), static_cast<size_t>(kLong));
    EXPECT_EQ(array.Get()->size(), 100'000u);
    EXPECT_EQ(*kept.Get(), std::string(kLong, 'k'));
    ASSERT_TRUE(Eventually(30s, [&] { return ServerAt(socket) != server; }));
  }
  EXPECT_EQ(*ray::Task(ParentPid).Remote().Get(), raylet) << "the raylet goes on";
}

}  // namespace
}  // namespace cluster_test
