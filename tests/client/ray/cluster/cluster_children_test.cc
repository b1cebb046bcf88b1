// Processes that workers start, which end with their worker, and workers that end in peace.
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>

#include "tests/client/ray/cluster/cluster_fixture.h"
#include "tests/client/ray/cluster/cluster_functions.h"
#include "tests/client/ray/cluster/daemons_fixture.h"
#include "tests/harness/daemon_process.h"
#include "tests/harness/run_folder.h"

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
// Writes a line when it is destroyed.
struct Line {
  ~Line() {
    if (!path.empty()) std::ofstream(path, std::ios::app) << text << std::endl;
  }
  std::string path, text;
};
Line of_the_program;  // a static object
std::string exit_path;

class Starter {
 public:
  static Starter* Create() { return new Starter(); }
  int Start() { return StartSleep(); }
  int Pid() { return ::getpid(); }
  int SleepAfter(const std::string& path, int ms) {
    std::ofstream(path) << "begun" << std::endl;
    return SleepMs(ms);
  }
  // What writes into the file when the process ends in peace.
  void LeaveLinesIn(const std::string& path) {
    of_the_actor_.path = of_the_program.path = path;
    of_the_actor_.text = "actor";
    of_the_program.text = "static object";
    exit_path = path;
    std::atexit([] { std::ofstream(exit_path, std::ios::app) << "exit handler" << std::endl; });
  }

 private:
  Line of_the_actor_;
};

RAY_REMOTE(StartSleep, Starter::Create, &Starter::Start, &Starter::Pid, &Starter::LeaveLinesIn, &Starter::SleepAfter);

// Outlives its job.
class Tally {
 public:
  static Tally* Create() { return new Tally(); }
  int Add(int n) { return sum_ += n; }

 private:
  int sum_ = 0;
};

// Uses an actor of another job when it is destroyed.
class Parting {
 public:
  static Parting* Create(const std::string& path, bool looks_up) { return new Parting{path, looks_up}; }
  int Meet() {
    tally_ = ray::GetActor<Tally>("tally");
    tally_->Task(&Tally::Add).Remote(1).Get();
    return ::getpid();
  }
  ~Parting() {
    std::ofstream(path_, std::ios::app) << "begun" << std::endl;
    if (looks_up_)
      ray::GetActor<Tally>("tally");
    else
      tally_->Task(&Tally::Add).Remote(10).Get();
    std::ofstream(path_, std::ios::app) << "answered" << std::endl;
  }
  Parting(const Parting&) = delete;
  Parting& operator=(const Parting&) = delete;

 private:
  Parting(const std::string& path, bool looks_up) : path_(path), looks_up_(looks_up) {}

  const std::string path_;
  const bool looks_up_;
  boost::optional<ray::ActorHandle<Tally>> tally_;
};
RAY_REMOTE(Tally::Create, &Tally::Add, Parting::Create, &Parting::Meet);

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

TEST_F(ChildrenTest, AWorkerThatIsLetGoRunsItsExitHandlersAndDestroysItsObjects) {
  const raylet::test::RunFolder folder;
  const std::string path = folder.File("lines");
  {
    auto starter = ray::Actor(Starter::Create).Remote();
    starter.Task(&Starter::LeaveLinesIn).Remote(path).Get();
  }
  std::string lines;
  EXPECT_TRUE(Eventually(60s, [&] {
    std::ifstream file(path);
    lines.assign(std::istreambuf_iterator<char>(file), {});
    return lines.find("static object") != std::string::npos;
  })) << lines;
  EXPECT_EQ(lines, "actor\nexit handler\nstatic object\n");
}

constexpr const char* kEndInPeace = "actor\nexit handler\nstatic object\n";

std::string Content(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST_F(ChildrenTest, ShutdownDestroysActorsAndEndsTheirWorkersInPeace) {
  const raylet::test::RunFolder folder;
  auto starter = ray::Actor(Starter::Create).Remote();
  auto named = ray::Actor(Starter::Create).SetName("named").Remote();
  starter.Task(&Starter::LeaveLinesIn).Remote(folder.File("lines")).Get();
  named.Task(&Starter::LeaveLinesIn).Remote(folder.File("named")).Get();
  ray::Shutdown();
  EXPECT_EQ(Content(folder.File("lines")), kEndInPeace);
  EXPECT_EQ(Content(folder.File("named")), kEndInPeace);
}

TEST_F(ChildrenTest, ShutdownKillsAnActorThatDoesNotEnd) {
  const raylet::test::RunFolder folder;
  auto starter = ray::Actor(Starter::Create).Remote();
  starter.Task(&Starter::LeaveLinesIn).Remote(folder.File("lines")).Get();
  const int pid = *starter.Task(&Starter::Pid).Remote().Get();
  const auto busy = starter.Task(&Starter::SleepAfter).Remote(folder.File("begun"), 60'000);
  ASSERT_TRUE(Eventually(60s, [&] { return !Content(folder.File("begun")).empty(); }));
  const auto start = std::chrono::steady_clock::now();
  ray::Shutdown();
  EXPECT_LT(std::chrono::steady_clock::now() - start, 30s);
  EXPECT_TRUE(Gone(pid));
  EXPECT_EQ(Content(folder.File("lines")), "");
}

// A raylet that was started by hand, which stays.
using DaemonsChildrenTest = DaemonsTest;

TEST_F(DaemonsChildrenTest, ADriversEndDestroysItsActors) {
  Start("2");
  const std::string path = folder_.File("lines");
  auto starter = ray::Actor(Starter::Create).Remote();
  starter.Task(&Starter::LeaveLinesIn).Remote(path).Get();
  ray::Shutdown();
  EXPECT_TRUE(Eventually(60s, [&] { return Content(path) == kEndInPeace; })) << Content(path);
}

// As the guide says.
TEST_F(DaemonsChildrenTest, ADestructorAtTheJobsEndReachesKnownActorsAndNotTheRaylet) {
  Start("2");
  ray::Shutdown();
  ray::RayConfig config;
  config.address = raylet_socket_;
  config.ray_namespace = "shared";
  config.default_actor_lifetime = ray::ActorLifetime::DETACHED;
  ray::Init(config);
  ray::Actor(Tally::Create).SetName("tally").Remote();
  ray::Shutdown();

  config.default_actor_lifetime = ray::ActorLifetime::NON_DETACHED;
  ray::Init(config);
  const std::string calls_path = folder_.File("calls"), looks_path = folder_.File("looks");
  auto calls = ray::Actor(Parting::Create).Remote(calls_path, false);
  auto looks = ray::Actor(Parting::Create).Remote(looks_path, true);
  calls.Task(&Parting::Meet).Remote().Get();
  const int looking = *looks.Task(&Parting::Meet).Remote().Get();
  ray::Shutdown();
  EXPECT_TRUE(Eventually(60s, [&] { return Content(calls_path) == "begun\nanswered\n"; })) << Content(calls_path);
  EXPECT_TRUE(Eventually(60s, [&] { return Gone(looking); }));
  EXPECT_EQ(Content(looks_path), "begun\n") << "the raylet answered";

  ray::Init(config);
  auto tally = ray::GetActor<Tally>("tally");
  ASSERT_TRUE(tally);
  EXPECT_EQ(*tally->Task(&Tally::Add).Remote(0).Get(), 12);
  tally->Kill();
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
