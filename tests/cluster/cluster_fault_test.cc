// What befalls a cluster beside its machines: its control store stops, is emptied or starts again, and strangers come
// to its ports. Work goes on.
#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "base/tcp_socket.h"
#include "base/unix_socket.h"
#include "tests/client/ray_cluster_functions.h"
#include "tests/cluster/machines.h"
#include "tests/raylet/redis_server.h"

namespace cluster_test {
namespace {

using raylet::Deadline;
using raylet::test::Eventually;
using raylet::test::Machine;
using raylet::test::RedisServer;
using raylet::test::RunFolder;
using raylet::test::WriteToken;
using namespace std::chrono_literals;

class ClusterFaults : public ::testing::Test {
 protected:
  void TearDown() override { ray::Shutdown(); }

  static void InitAt(const Machine& machine) {
    ray::RayConfig config;
    config.address = machine.socket();
    ray::Init(config);
  }
  // One task here and one there, which both machines must be well for.
  static void Work() {
    ASSERT_EQ(*ray::Task(Add).Remote(1, 2).Get(60'000), 3);
    ASSERT_EQ(*ray::Task(Add).SetResource("there", 1).Remote(3, 4).Get(60'000), 7);
  }

  RunFolder folder_;
  const std::string token_ = WriteToken(folder_);
};

class ControlFaults : public ClusterFaults {
 protected:
  ControlFaults() {
    InitAt(a_);
    Work();
  }
  bool BothAreInIt() const { return redis_.Ask({"SCARD", "raylet:index:node"}).integer == 2; }

  RedisServer redis_;
  Machine a_{token_, {"--num-cpus", "2", "--control", redis_.address().Shown()}};
  Machine b_{token_, {"--num-cpus", "2", "--resources", R"({"there": 2})", "--control", redis_.address().Shown()}};
};

TEST_F(ControlFaults, AStoreThatAnswersNothingForTwentySecondsIsMissedByNobody) {
  ASSERT_TRUE(Eventually(60s, [&] { return BothAreInIt(); }));
  redis_.Stop();
  // Longer than its leases: the fault's own length, and no wait for anything.
  const auto end = std::chrono::steady_clock::now() + 20s;
  while (std::chrono::steady_clock::now() < end && !HasFatalFailure()) {
    Work();
    std::this_thread::sleep_for(100ms);
  }
  redis_.Continue();
  EXPECT_TRUE(Eventually(60s, [&] { return BothAreInIt(); }));
  Work();
}

TEST_F(ControlFaults, AnEmptiedStoreAndOneThatStartsAgainHealInTheMiddleOfWork) {
  std::vector<ray::ObjectRef<std::string>> texts;
  const auto submit = [&] {
    for (int i = 0; i < 50; ++i)
      texts.push_back(ray::Task(Repeat).SetResource(i % 2 == 0 ? "there" : "CPU", 1).Remote(std::string("y"), 100'000));
  };
  submit();
  redis_.Ask({"FLUSHALL"});
  submit();
  EXPECT_TRUE(Eventually(60s, [&] { return BothAreInIt(); }));
  submit();
  redis_.Kill();
  submit();
  redis_.Start();
  submit();
  EXPECT_TRUE(Eventually(60s, [&] { return BothAreInIt(); }));
  for (const auto& text : texts) EXPECT_EQ(text.Get(60'000)->size(), 100'000u);
  Work();
}

TEST_F(ClusterFaults, StrangersAtTheirPortsAreTurnedAwayAndNoWorkIsDisturbed) {
  Machine a(token_, {"--num-cpus", "2"});
  Machine b(token_, {"--num-cpus", "2", "--resources", R"({"there": 2})", "--peers", a.address});
  InitAt(a);
  Work();
  std::vector<raylet::UniqueFd> open;
  const auto say = [&](const Machine& machine, std::string_view words) {
    const auto address = raylet::ParseTcpAddress(machine.address);
    auto fd = raylet::ConnectTcp(*address);
    ASSERT_TRUE(fd) << fd.error().message;
    ASSERT_TRUE(raylet::WaitWritable(fd->get(), Deadline::AfterMs(60'000)));
    if (!words.empty()) raylet::SendSome(fd->get(), std::as_bytes(std::span(words)), {});
    open.push_back(std::move(*fd));
  };
  const std::string garbage(100'000, '\xa5');
  for (int round = 0; round < 20; ++round) {
    for (const Machine* const machine : {&a, &b}) {
      say(*machine, "GET / HTTP/1.1\r\nHost: here\r\n\r\n");
      say(*machine, garbage);
      say(*machine, "");
      if (round % 2 == 0) open.pop_back();  // a port scan looks in and goes
    }
    Work();
  }
  // Each is closed, those who say nothing when their five seconds are over.
  for (const raylet::UniqueFd& fd : open) {
    EXPECT_TRUE(Eventually(60s, [&] {
      char bytes[256];
      const ssize_t got = ::read(fd.get(), bytes, sizeof bytes);
      return got == 0 || (got < 0 && errno != EAGAIN);
    }));
  }
  Work();
  EXPECT_NE(a.raylet->Output().find("does not speak as a raylet does"), std::string::npos) << a.raylet->Output();
}

}  // namespace
}  // namespace cluster_test
