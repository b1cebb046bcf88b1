// Machines that know one of the others are introduced to the rest, and work without the machine that introduced them.
// Work between two machines that cannot reach each other fails with the reason.
#include <gtest/gtest.h>

#include <chrono>

#include "tests/client/ray/cluster/cluster_functions.h"
#include "tests/cluster/net_machines.h"
#include "tests/harness/run_before_others.h"

namespace cluster_test {
namespace {

using raylet::test::kShortPatience;
using raylet::test::NetMachines;
using namespace std::chrono_literals;

class Introduced : public ::testing::Test {
 protected:
  Introduced() { raylet::test::RunBeforeOthers(); }
  void TearDown() override { ray::Shutdown(); }
  // The first is in the middle. Of the others each has what its number says.
  void Start(size_t host) {
    const std::string name = "at" + std::to_string(host);
    machines_.Start(host, {"--num-cpus", "2", "--resources", R"({")" + name + R"(": 4})"});
  }
  void InitAt(size_t host) {
    ray::RayConfig config;
    config.address = machines_[host].socket();
    ray::Init(config);
  }
  // Work between the driver's machine and `host` succeeds.
  void ExpectWorkAt(size_t host) {
    const std::string there = "at" + std::to_string(host);
    const auto text = ray::Task(Repeat).SetResource(there, 1).Remote(std::string("0123456789"), 100'000);
    EXPECT_EQ(*ray::Task(Length).SetResource("at1", 1).Remote(text).Get(60'000), 1'000'000u);
    EXPECT_EQ(text.Get(60'000)->size(), 1'000'000u);
    auto counter = ray::Actor(Counter::Create).SetResource(there, 1).Remote(40);
    EXPECT_EQ(*counter.Task(&Counter::Increment).Remote(2).Get(60'000), 42);
  }

  NetMachines machines_{3, kShortPatience};
};

TEST_F(Introduced, MachinesOfAStarWorkForEachOtherAfterARestartAndWithoutTheMiddle) {
  for (const size_t host : {0, 1, 2}) Start(host);
  InitAt(1);
  ASSERT_TRUE(machines_.Sees(1, 2, "up"));
  ExpectWorkAt(2);
  machines_.Destroy(2);
  ASSERT_TRUE(machines_.Sees(1, 2, "dead"));
  Start(2);
  ASSERT_TRUE(machines_.Sees(1, 2, "up"));
  ExpectWorkAt(2);
  machines_.Destroy(0);
  ASSERT_TRUE(machines_.Sees(1, 0, "dead"));
  ExpectWorkAt(2);
  // Nobody is left to introduce them again.
  machines_.network().Cut(2);
  ASSERT_TRUE(machines_.Sees(1, 2, "dead"));
  ASSERT_TRUE(machines_.Sees(2, 1, "dead"));
  machines_.network().Heal(2);
  ASSERT_TRUE(machines_.Sees(1, 2, "up"));
  ExpectWorkAt(2);
}

// The error of a call or a task that cannot have its argument; empty where it has the argument.
template <class Ref>
std::string WhyItFails(const Ref& ref) {
  try {
    ref.Get(60'000);
    return "";
  } catch (const ray::internal::RayException& e) {
    return e.what();
  }
}

TEST_F(Introduced, WorkBetweenUnreachableMachinesFailsWithTheReason) {
  machines_.network().Part(1, 2);
  for (const size_t host : {0, 1, 2}) Start(host);
  InitAt(0);
  for (const size_t host : {1, 2}) ASSERT_TRUE(machines_.Sees(0, host, "up"));
  auto counter = ray::Actor(Counter::Create).SetResource("at1", 1).Remote(0);
  const auto began = std::chrono::steady_clock::now();
  std::vector<ray::ObjectRef<size_t>> tasks;
  std::vector<ray::ObjectRef<int>> calls;
  for (int i = 0; i < 12; ++i) {
    const auto text = ray::Task(Repeat).SetResource("at2", 1).Remote(std::string("0123456789"), 50'000);
    tasks.push_back(ray::Task(Length).SetResource("at1", 1).Remote(text));
    tasks.push_back(ray::Task(LengthOfRefs).SetResource("at1", 1).Remote(std::vector{text, text}));
    calls.push_back(counter.Task(&Counter::Length).Remote(text));
  }
  for (const auto& ref : tasks) EXPECT_NE(WhyItFails(ref).find("could be reached from this one"), std::string::npos);
  for (const auto& ref : calls) EXPECT_NE(WhyItFails(ref).find("could be reached from this one"), std::string::npos);
  EXPECT_LT(std::chrono::steady_clock::now() - began, 100s) << "one after the other they would take 4.5 s each";
  EXPECT_EQ(*counter.Task(&Counter::Increment).Remote(2).Get(60'000), 2) << "it goes on";
  // A machine that reaches both brings the object of one to the other.
  const auto text = ray::Task(Repeat).SetResource("at2", 1).Remote(std::string("0123456789"), 50'000);
  EXPECT_EQ(text.Get(60'000)->size(), 500'000u);
  EXPECT_EQ(*ray::Task(Length).SetResource("at1", 1).Remote(text).Get(60'000), 500'000u);
}

}  // namespace
}  // namespace cluster_test
