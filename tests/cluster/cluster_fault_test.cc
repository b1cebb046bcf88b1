// Faults of a cluster other than lost machines: its control store stops, is emptied or starts again, and strangers come
// to its ports. Work goes on.
#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "base/strings.h"
#include "base/tcp_socket.h"
#include "base/unix_socket.h"
#include "fbs/messages.h"
#include "tests/client/ray/cluster/cluster_functions.h"
#include "tests/cluster/machines.h"
#include "tests/harness/redis_server.h"

namespace cluster_test {
namespace {

using raylet::Deadline;
using raylet::UniqueFd;
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
  // Runs one task on each machine, which needs both.
  static void Work() {
    ASSERT_EQ(*ray::Task(Add).Remote(1, 2).Get(60'000), 3);
    ASSERT_EQ(*ray::Task(Add).SetResource("there", 1).Remote(3, 4).Get(60'000), 7);
  }
  static bool Says(const Machine& machine, const std::string& words) {
    return Eventually(60s, [&] { return machine.raylet->Output().find(words) != std::string::npos; });
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

TEST_F(ControlFaults, WorkGoesOnWhileTheStoreIsSilentForTwentySeconds) {
  ASSERT_TRUE(Eventually(60s, [&] { return BothAreInIt(); }));
  redis_.Stop();
  // The length of the fault, longer than the leases; the loop waits for nothing.
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
  const auto closed = [](const UniqueFd& fd) {
    char bytes[256];
    const ssize_t got = ::read(fd.get(), bytes, sizeof bytes);
    return got == 0 || (got < 0 && errno != EAGAIN);
  };
  std::vector<UniqueFd> open;
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
  const auto since = std::chrono::steady_clock::now();
  // Headers of a Hello. One announces more bytes than a handshake takes. Only a part of the other's body follows.
  say(b, std::string("\0\x10\0\0\1\0\0\0\0\0\0\0\0\0\0\0", 16));
  EXPECT_TRUE(Eventually(60s, [&] { return closed(open.back()); }));
  say(b, std::string("\xf0\0\0\0\1\0\0\0\0\0\0\0\0\0\0\0 and", 20));
  const UniqueFd unfinished = std::move(open.back());
  open.pop_back();
  // The raylets close each connection, and silent ones after five seconds.
  for (const UniqueFd& fd : open) EXPECT_TRUE(Eventually(60s, [&] { return closed(fd); }));
  EXPECT_TRUE(Eventually(60s, [&] { return closed(unfinished); }));
  EXPECT_GE(std::chrono::steady_clock::now() - since, 5s);
  EXPECT_TRUE(Says(b, "did not finish its greeting within 5 s")) << b.raylet->Output();
  Work();
  EXPECT_NE(a.raylet->Output().find("does not speak as a raylet does"), std::string::npos) << a.raylet->Output();
}

// The greeting of a raylet of a later release.
raylet::Bytes HelloOfVersions(uint16_t least, uint16_t most) {
  raylet::wire::PeerHelloT hello;
  hello.magic = raylet::kPeerMagic;
  hello.version_min = least;
  hello.version_max = most;
  hello.build = "of tomorrow";
  hello.node = std::make_unique<raylet::wire::Id20>(raylet::ToWire(raylet::NodeId::FromRandom()));
  hello.epoch = 1;
  hello.machine_number = 1;
  hello.nonce.assign(32, 1);
  hello.address = "127.0.0.1:9";
  raylet::Bytes bytes;
  raylet::AppendFrame(bytes, static_cast<uint16_t>(raylet::wire::PeerMessage::Hello), 0, raylet::Encode(hello));
  return bytes;
}

// The text that the other side sends until it closes.
std::string Answer(const UniqueFd& fd) {
  std::string answer;
  char bytes[4096];
  while (*raylet::WaitReadable(fd.get(), Deadline::AfterMs(60'000))) {
    const ssize_t got = ::read(fd.get(), bytes, sizeof bytes);
    if (got <= 0) break;
    answer.append(bytes, static_cast<size_t>(got));
  }
  return answer;
}

TEST_F(ClusterFaults, ARayletOfAnotherProtocolHearsBothVersionsAndNoWorkIsDisturbed) {
  const uint16_t later = raylet::kPeerProtocolMax + 1;
  const auto listener = raylet::ListenTcp(*raylet::ParseTcpAddress("127.0.0.1:0"), 8);
  ASSERT_TRUE(listener) << listener.error().message;
  const std::string address = raylet::LocalAddressOf(listener->get())->text();
  Machine a(token_, {"--num-cpus", "2"});
  Machine b(token_, {"--num-cpus", "2", "--resources", R"({"there": 2})", "--peers", a.address + "," + address});
  InitAt(a);
  Work();
  const std::string theirs = raylet::StrCat("the one at 127.0.0.1:9 (of tomorrow) ", later, " to ", later + 1,
                                            ": use the same release for both");
  auto dialed = raylet::ConnectTcp(*raylet::ParseTcpAddress(a.address));
  ASSERT_TRUE(dialed && *raylet::WaitWritable(dialed->get(), Deadline::AfterMs(60'000)));
  ASSERT_TRUE(raylet::SendSome(dialed->get(), HelloOfVersions(later, later + 1), {}));
  EXPECT_NE(Answer(*dialed).find(theirs), std::string::npos);
  EXPECT_TRUE(Says(a, theirs)) << a.raylet->Output();

  EXPECT_TRUE(Eventually(60s, [&] {  // a raylet without an answer dials again
    const auto accepted = raylet::AcceptTcp(listener->get());
    if (!accepted || !*accepted) return false;
    return raylet::SendSome(accepted->get(), HelloOfVersions(later, later + 1), {}) &&
           Answer(*accepted).find(theirs) != std::string::npos;
  }));
  EXPECT_TRUE(Says(b, "no connection to the raylet at " + address + ": the raylet at " + b.address));
  Work();
}

}  // namespace
}  // namespace cluster_test
