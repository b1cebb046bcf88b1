// ray::Init and `raylet status` take host:port for the raylet of this machine that is in that cluster.
// The machines here share a network. A raylet that others know but that does not answer itself stands
// for one on another machine.
#include "client/finder/raylet_finder.h"

#include <gtest/gtest.h>

#include <csignal>

#include "base/tcp_socket.h"
#include "tests/cluster/machines.h"

namespace raylet::test {
namespace {

using client::FindRaylet;

struct Ran {
  int exit_code = -1;
  std::string output;
};

class LocalRaylets : public ::testing::Test {
 protected:
  // A program that begins with ray::Init and is told of the address as users tell theirs.
  static Ran Run(const std::string& program, const std::string& argument, const std::string& address) {
    ProcessOptions options;
    options.environment = {{"RAY_ADDRESS", address}};
    auto process = DaemonProcess::StartPlain(program, {argument}, options);
    if (!process) return {-1, process.error().message};
    const auto end = process->Wait(Deadline::After(std::chrono::seconds(20)));
    return {end ? end->exit_code : -2, process->Output()};
  }
  static std::string PortOf(const std::string& address) { return address.substr(address.rfind(':')); }
  // Until the one knows the other.
  static bool Knows(const Machine& machine, const std::string& address) {
    return Eventually(std::chrono::seconds(30), [&] {
      for (const client::LocalRaylet& each : client::LocalRaylets(Deadline::After(std::chrono::seconds(30))))
        if (each.socket == machine.socket() &&
            std::find(each.addresses.begin(), each.addresses.end(), address) != each.addresses.end())
          return true;
      return false;
    });
  }
  static bool Contains(const std::string& text, const std::string& part) { return text.find(part) != text.npos; }

  RunFolder folder_;
  const std::string token_ = WriteToken(folder_);
};

TEST_F(LocalRaylets, TheAddressOfARayletHereIsThatRayletByNumberAndByName) {
  const Machine a(token_, {});
  const Machine b(token_, {"--peers", a.address});
  ASSERT_TRUE(Knows(b, a.address));
  EXPECT_EQ(FindRaylet(a.address).value(), a.socket());
  EXPECT_EQ(FindRaylet(b.address).value(), b.socket());
  EXPECT_EQ(FindRaylet("localhost" + PortOf(b.address)).value(), b.socket());
  EXPECT_EQ(FindRaylet("127.0.1.1" + PortOf(b.address)).value(), b.socket()) << "what a machine may call itself";
  EXPECT_EQ(FindRaylet(b.socket()).value(), b.socket()) << "a path is taken as it is";
  const Ran ran = Run(RAY_CLUSTER_FINDER, "init", a.address);
  EXPECT_EQ(ran.exit_code, 0) << ran.output;
  EXPECT_TRUE(Contains(Run("raylet", "status", b.address).output, b.socket()));
}

TEST_F(LocalRaylets, TheAddressOfAnotherMachineIsTheRayletHereThatKnowsIt) {
  const Machine a(token_, {});
  const Machine b(token_, {"--peers", a.address});
  ASSERT_TRUE(Knows(b, a.address));
  a.raylet->Signal(SIGSTOP);
  EXPECT_EQ(FindRaylet(a.address).value(), b.socket()) << "one that hangs is passed over";
  a.raylet->Kill();
  EXPECT_EQ(FindRaylet(a.address).value(), b.socket()) << "the cluster lives on";
  const Ran ran = Run(RAY_CLUSTER_FINDER, "init", a.address);
  EXPECT_EQ(ran.exit_code, 0) << ran.output;
}

TEST_F(LocalRaylets, AnAddressWhereNobodyListensNamesTheCommandForThatMachine) {
  const Machine a(token_, {});
  a.raylet->Kill();
  const Ran ran = Run(RAY_CLUSTER_FINDER, "init", a.address);
  EXPECT_EQ(ran.exit_code, 3) << ran.output;
  EXPECT_TRUE(Contains(ran.output, "nobody listens on " + a.address)) << ran.output;
  EXPECT_TRUE(Contains(ran.output, "--node-ip 127.0.0.1 --port " + PortOf(a.address).substr(1))) << ran.output;
  EXPECT_EQ(Run("raylet", "status", a.address).exit_code, 3);
}

TEST_F(LocalRaylets, AnAddressOfAClusterThatNoRayletHereIsInNamesTheCommandForThisMachine) {
  const auto listening = ListenTcp(MakeTcpAddress("127.0.0.1", 0).value(), 8);
  ASSERT_TRUE(listening) << listening.error().message;
  const std::string address = LocalAddressOf(listening->get()).value().text();
  const Ran ran = Run(RAY_CLUSTER_FINDER, "init", address);
  EXPECT_EQ(ran.exit_code, 3) << ran.output;
  EXPECT_TRUE(Contains(ran.output, "somebody listens on " + address)) << ran.output;
  EXPECT_TRUE(Contains(ran.output, "--peers " + address)) << ran.output;
}

TEST_F(LocalRaylets, BadAddressIsRefused) {
  EXPECT_EQ(FindRaylet("10.0.0.1:many").error().code, ErrorCode::kInvalid);
  EXPECT_EQ(Run("raylet", "status", "10.0.0.1:many").exit_code, 2);
  const auto no_port = FindRaylet("127.0.0.1:0");
  EXPECT_EQ(no_port.error().code, ErrorCode::kInvalid);
  EXPECT_TRUE(Contains(no_port.error().message, "127.0.0.1:0 names no port")) << no_port.error().message;
  const auto machine = FindRaylet("10.88.0.2");
  EXPECT_EQ(machine.error().code, ErrorCode::kInvalid);
  EXPECT_TRUE(Contains(machine.error().message, "10.88.0.2:7000")) << machine.error().message;
  const auto name = FindRaylet("no-file-of-this-folder");
  EXPECT_EQ(name.error().code, ErrorCode::kNotRunning);
  EXPECT_TRUE(Contains(name.error().message, "host:port")) << name.error().message;
  EXPECT_EQ(Run("raylet", "status", "10.88.0.2").exit_code, 2);
}

}  // namespace
}  // namespace raylet::test
