#include "tests/harness/network.h"

#include <gtest/gtest.h>
#include <signal.h>

namespace raylet::test {
namespace {

class NetworkTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(network_) << network_.error().message; }
  // Whether `from` gets an answer from `to` within a second.
  bool Reaches(size_t from, size_t to) {
    ProcessOptions options;
    options.network = network_->Namespace(from);
    const std::string line = "exec 3<>/dev/tcp/" + network_->Ip(to) + "/9999";
    auto shell = DaemonProcess::StartPlain("/usr/bin/timeout", {"1", "/bin/bash", "-c", line}, options);
    EXPECT_TRUE(shell);
    // Nobody listens there: bash is refused at once, with 1, where the packets pass.
    return shell && shell->Wait(Deadline::AfterMs(20'000))->exit_code == 1 &&
           shell->Output().find("refused") != std::string::npos;
  }

  Result<Network> network_ = Network::Make(2);
};

TEST_F(NetworkTest, HostsReachEachOtherUnlessALinkIsCutOrPacketsVanish) {
  EXPECT_TRUE(Reaches(0, 1));
  network_->Cut(1);
  EXPECT_FALSE(Reaches(0, 1));
  network_->Heal(1);
  EXPECT_TRUE(Eventually(std::chrono::seconds(20), [&] { return Reaches(0, 1); }));
  network_->Drop(0, Network::Packets::kIn);
  EXPECT_FALSE(Reaches(0, 1));
  EXPECT_FALSE(Reaches(1, 0));
  network_->Pass(0);
  EXPECT_TRUE(Reaches(0, 1));
}

TEST_F(NetworkTest, AllProcessesOfAHostAreFoundAndKilled) {
  ProcessOptions options;
  options.network = network_->Namespace(0);
  auto shell = DaemonProcess::StartPlain("/bin/sh", {"-c", "sleep 600 & sleep 600"}, options);
  ASSERT_TRUE(shell);
  ASSERT_TRUE(Eventually(std::chrono::seconds(20), [&] { return network_->Processes(0).size() == 3; }));
  EXPECT_TRUE(network_->Processes(1).empty());
  network_->KillAll(0);
  EXPECT_EQ(shell->Wait(Deadline::AfterMs(20'000))->signal, SIGKILL);
}

}  // namespace
}  // namespace raylet::test
