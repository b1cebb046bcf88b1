// A PeerPost and another one on the same loop. The other one takes nothing while the first one tells it too much.
#include "raylet/node/peer_post.h"

#include <gtest/gtest.h>
#include <uv.h>

namespace raylet::test {
namespace {

class Heard final : public PeerLinks::Handler {
 public:
  void OnPeerUp(const NodeId&) override { ++up; }
  Result<void> OnPeerMessage(const NodeId&, const Frame&) override {
    ++messages;
    return {};
  }
  void OnPeerRoom(const NodeId&) override {}
  void OnPeerChanged(const NodeId&) override {}
  void OnPeerVouched(const NodeId&, TimePoint) override {}
  void OnPeerDead(const NodeId&, const Error& why, TimePoint) override {
    dead_while_telling = dead_while_telling || telling;
    dead.push_back(why);
  }
  NodeLoad OwnLoad() override { return {}; }
  void OnBulk(const NodeId&, UniqueFd) override {}

  int up = 0, messages = 0;
  bool telling = false, dead_while_telling = false;
  std::vector<Error> dead;
};

class PeerPostTest : public ::testing::Test {
 protected:
  static ClusterOptions Options() {
    ClusterOptions options;
    options.listen = *MakeTcpAddress("127.0.0.1", 0);
    options.token = *PeerToken::FromBytes("a token of the cluster");
    options.limits.unacked_messages_max = 4;
    options.outbox_bytes_max = 10'000;
    return options;
  }
  void Join(PeerPost& post, Heard& heard, ClusterOptions options) {
    const auto joined = post.Join(options, heard);
    ASSERT_TRUE(joined.has_value()) << joined.error().message;
  }
  template <class Condition>
  bool RunUntil(Condition condition) {
    const TimePoint end = clock_.Now() + std::chrono::seconds(20);
    Timer wakes(loop_, std::chrono::milliseconds(10), std::chrono::milliseconds(10), [] {});
    while (!condition() && clock_.Now() < end) uv_run(loop_.raw(), UV_RUN_ONCE);
    return condition();
  }

  Loop loop_;
  SteadyClock clock_;
  Heard there_heard_, here_heard_;
  PeerPost there_{loop_, clock_, Options()};
  PeerPost here_{loop_, clock_, Options()};
};

TEST_F(PeerPostTest, EndsTheSessionOfAMachineThatDoesNotKeepUpInALaterTurn) {
  Join(there_, there_heard_, Options());
  ClusterOptions options = Options();
  options.peers.push_back(*ParseTcpAddress(there_.OwnAddress()));
  Join(here_, here_heard_, options);
  ASSERT_TRUE(RunUntil([&] { return here_heard_.up == 1 && there_heard_.up == 1; }));
  here_heard_.telling = true;
  for (int i = 0; i < 20; ++i) here_.Tell(there_.node(), wire::WorkMessage::JobEnded, Bytes(1'000));
  here_heard_.telling = false;
  EXPECT_TRUE(here_heard_.dead.empty()) << "the caller is in the middle of its decisions";
  ASSERT_TRUE(RunUntil([&] { return !here_heard_.dead.empty(); }));
  EXPECT_FALSE(here_heard_.dead_while_telling);
  EXPECT_EQ(here_heard_.dead.front().code, ErrorCode::kSlowConsumer) << here_heard_.dead.front().message;
  here_.MachineLost(there_.node());
  // The next session is not ended for it.
  ASSERT_TRUE(RunUntil([&] { return here_heard_.up == 2; }));
  const int before = there_heard_.messages;
  here_.Tell(there_.node(), wire::WorkMessage::JobEnded, Bytes(1'000));
  EXPECT_TRUE(RunUntil([&] { return there_heard_.messages == before + 1; }));
  EXPECT_EQ(here_heard_.dead.size(), 1u);
}

}  // namespace
}  // namespace raylet::test
