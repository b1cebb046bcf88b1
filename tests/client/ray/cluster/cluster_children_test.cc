// Processes that workers start: they end with their worker.
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <string>

#include "tests/client/ray/cluster/cluster_fixture.h"
#include "tests/harness/daemon_process.h"

extern char** environ;

namespace cluster_test::children {
namespace {

using raylet::test::Eventually;
using namespace std::chrono_literals;

int StartSleep() {
  pid_t pid = 0;
  const char* const arguments[] = {"sleep", "1000", nullptr};
  if (::posix_spawnp(&pid, "sleep", nullptr, nullptr, const_cast<char* const*>(arguments), environ) != 0) return 0;
  return pid;
}
class Starter {
 public:
  static Starter* Create() { return new Starter(); }
  int Start() { return StartSleep(); }
  int Pid() { return ::getpid(); }
};

RAY_REMOTE(StartSleep, Starter::Create, &Starter::Start, &Starter::Pid);

// Its new parent may not have waited for it yet.
bool Gone(int pid) {
  std::ifstream stat("/proc/" + std::to_string(pid) + "/stat");
  std::string number, name, state;
  stat >> number >> name >> state;
  return !stat || state == "Z";
}

using ChildrenTest = ClusterTest;

TEST_F(ChildrenTest, EndWithAKilledActor) {
  auto starter = ray::Actor(Starter::Create).Remote();
  const int child = *starter.Task(&Starter::Start).Remote().Get();
  ASSERT_GT(child, 0);
  ASSERT_FALSE(Gone(child));
  starter.Kill();
  EXPECT_TRUE(Eventually(60s, [&] { return Gone(child); }));
}

TEST_F(ChildrenTest, EndWithAWorkerThatIsKilled) {
  auto starter = ray::Actor(Starter::Create).Remote();
  const int child = *starter.Task(&Starter::Start).Remote().Get();
  ASSERT_GT(child, 0);
  ASSERT_EQ(::kill(*starter.Task(&Starter::Pid).Remote().Get(), SIGKILL), 0);
  EXPECT_TRUE(Eventually(60s, [&] { return Gone(child); }));
}

TEST_F(ChildrenTest, EndWithTheSession) {
  const int child = *ray::Task(StartSleep).Remote().Get();
  ASSERT_GT(child, 0);
  EXPECT_FALSE(Gone(child)) << "they go on while the worker lives";
  ray::Shutdown();
  EXPECT_TRUE(Eventually(60s, [&] { return Gone(child); }));
}

}  // namespace
}  // namespace cluster_test::children
