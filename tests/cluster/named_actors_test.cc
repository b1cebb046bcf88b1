// Names of actors in a cluster with a real Redis: found, taken and freed from every machine.
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <chrono>

#include "base/unix_socket.h"
#include "tests/client/ray/cluster/cluster_functions.h"
#include "tests/cluster/machines.h"

namespace cluster_test {

int IncrementNamed(const std::string& name, int by) {
  const auto counter = ray::GetActor<Counter>(name);
  return counter ? *counter->Task(&Counter::Increment).Remote(by).Get() : -1;
}
// Why the actor could not be created; empty where it was.
std::string CreateNamed(const std::string& name) {
  try {
    static std::vector<ray::ActorHandle<Counter>> kept;
    kept.push_back(ray::Actor(Counter::Create).SetName(name).Remote(100));
    return "";
  } catch (const ray::internal::RayException& e) {
    return e.what();
  }
}
bool KillNamed(const std::string& name) {
  auto counter = ray::GetActor<Counter>(name);
  if (counter) counter->Kill();
  return counter.has_value();
}
RAY_REMOTE(IncrementNamed, CreateNamed, KillNamed);

namespace {

using raylet::test::DaemonProcess;
using raylet::test::Eventually;
using raylet::test::Machine;
using raylet::test::RunFolder;
using raylet::test::WriteToken;
using namespace std::chrono_literals;

class NamedActorsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto redis = DaemonProcess::StartPlain(
        "/usr/bin/redis-server",
        {"--port", "0", "--unixsocket", folder_.File("redis"), "--dir", folder_.path(), "--save", ""});
    ASSERT_TRUE(redis) << redis.error().message;
    redis_ = std::make_unique<DaemonProcess>(*std::move(redis));
    ASSERT_TRUE(Eventually(20s, [&] { return raylet::ConnectUnix(folder_.File("redis")).has_value(); }));
    // Nobody had names in the store before, so nobody needs time to restore them.
    const auto link = raylet::ConnectUnix(folder_.File("redis"));
    const std::string restored = "SET raylet:restored: \"raylet1 restored\"\r\n";
    ASSERT_EQ(::write(link->get(), restored.data(), restored.size()), static_cast<ssize_t>(restored.size()));
    char answer[16] = {};
    ASSERT_TRUE(raylet::WaitReadable(link->get(), raylet::Deadline::After(30s)).value_or(false));
    ASSERT_GT(::read(link->get(), answer, sizeof answer), 0);
    a_ = WithControl("{}");
    b_ = WithControl(R"({"there": 4})");
    ray::RayConfig config;
    config.address = a_->socket();
    ray::Init(config);
    EXPECT_EQ(*ray::Task(Add).SetResource("there", 1).Remote(1, 1).Get(20'000), 2);  // they have found each other
  }
  void TearDown() override { ray::Shutdown(); }

  std::unique_ptr<Machine> WithControl(const std::string& resources) {
    return std::make_unique<Machine>(token_, std::vector<std::string>{"--num-cpus", "2", "--resources", resources,
                                                                      "--control", "unix://" + folder_.File("redis")});
  }
  template <class F, class... Arguments>
  auto There(F function, Arguments&&... arguments) {
    return ray::Task(function).SetResource("there", 1).Remote(std::forward<Arguments>(arguments)...);
  }

  RunFolder folder_;
  const std::string token_ = WriteToken(folder_);
  std::unique_ptr<DaemonProcess> redis_;
  std::unique_ptr<Machine> a_, b_;
};

TEST_F(NamedActorsTest, ANameIsFoundTakenAndFreedFromEveryMachine) {
  const std::string name = "ps";
  auto counter = ray::Actor(Counter::Create).SetName(name).SetResource("there", 1).Remote(0);
  EXPECT_EQ(*There(IncrementNamed, name, 1).Get(20'000), 1);
  EXPECT_EQ(IncrementNamed(name, 1), 2);
  const std::string taken = *There(CreateNamed, name).Get(20'000);
  EXPECT_NE(taken.find("belongs to actor"), std::string::npos) << taken;
  EXPECT_NE(CreateNamed(name).find("is taken by"), std::string::npos);
  EXPECT_EQ(*There(IncrementNamed, std::string("nobody"), 1).Get(20'000), -1);
  EXPECT_TRUE(*There(KillNamed, name).Get(20'000));
  ASSERT_TRUE(Eventually(20s, [&] { return There(CreateNamed, name).Get(20'000)->empty(); }));
  EXPECT_EQ(IncrementNamed(name, 1), 101);
  counter.Kill(true);  // the old actor, which is long dead
  EXPECT_EQ(IncrementNamed(name, 1), 102);
}

TEST_F(NamedActorsTest, ALostMachinesNamesAreFreeAndCallersOfItsActorsHearOfIt) {
  const std::string name = "ps";
  ASSERT_EQ(*There(CreateNamed, name).Get(20'000), "");
  auto counter = *ray::GetActor<Counter>(name);
  EXPECT_EQ(*counter.Task(&Counter::Increment).Remote(1).Get(20'000), 101);
  ASSERT_TRUE(b_->raylet->Terminate());
  // The actor may run here, and may answer until this machine has heard of the other machine's end.
  EXPECT_TRUE(Eventually(20s, [&] {
    try {
      (void)counter.Task(&Counter::Value).Remote().Get(20'000);
      return false;
    } catch (const ray::internal::RayActorException&) {
      return true;
    }
  }));
  ASSERT_TRUE(Eventually(20s, [&] { return CreateNamed(name).empty(); }));
  EXPECT_EQ(IncrementNamed(name, 1), 101);
}

TEST_F(NamedActorsTest, LocalNamesAndActorsWithoutOneNeedNoControlStore) {
  auto counter = ray::Actor(Counter::Create).SetName("ps").SetResource("there", 1).Remote(0);
  EXPECT_EQ(IncrementNamed("ps", 1), 1);
  redis_->Signal(SIGSTOP);
  EXPECT_EQ(IncrementNamed("ps", 1), 2);
  auto nameless = ray::Actor(Counter::Create).SetResource("there", 1).Remote(5);
  EXPECT_EQ(*nameless.Task(&Counter::Increment).Remote(1).Get(20'000), 6);
  redis_->Signal(SIGCONT);
  EXPECT_EQ(*There(IncrementNamed, std::string("ps"), 1).Get(20'000), 3);
}

}  // namespace
}  // namespace cluster_test
