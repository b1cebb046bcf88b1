// Which addresses a raylet dials and when, by a clock that the test turns.
#include "raylet/peers/dialer.h"

#include <gtest/gtest.h>

#include <map>

#include "tests/harness/manual_clock.h"
#include "tests/harness/node_number.h"

namespace raylet::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr milliseconds kInDoubt{500};

TcpAddress At(uint16_t port) { return *ParseTcpAddress("127.0.0.1:" + std::to_string(port)); }

class PeerDialerTest : public ::testing::Test, protected PeerDialer::Sessions {
 protected:
  bool Lives(const NodeId& node) const override { return in_touch_.contains(node); }
  bool InTouch(const NodeId& node) const override {
    const auto found = in_touch_.find(node);
    return found != in_touch_.end() && found->second;
  }
  PeerIdentity Identity(uint8_t number) const {
    return {NodeNumber(number), 1, MachineNumber{number}, At(7000 + number).text()};
  }
  void Connect(uint8_t number, ConnectionId connection) {
    in_touch_[NodeNumber(number)] = true;
    dialer_.Connected(Identity(number), connection);
  }
  // Dials what is due; returns the addresses' numbers.
  std::vector<int> Dial() {
    std::vector<int> dialed;
    for (const std::string& address : dialer_.TakeDue().addresses) {
      const auto attempt = dialer_.Begin(address);
      if (!attempt) continue;
      last_ = *attempt;
      dialer_.Opened(address, ++connections_);
      dialed.push_back(attempt->address.port() - 7000);
    }
    return dialed;
  }
  PeerDialer::Verdict Fail(uint8_t number, PeerDialer::Failure failure) {
    return dialer_.Failed(At(7000 + number).text(), connections_, failure);
  }
  static PeerDialer::Failure Refused() {
    return {{ErrorCode::kNotRunning, "nobody listens"}, /*refused_by_machine=*/true, false, {}};
  }
  static PeerDialer::Failure ByRaylet(wire::RefusalKind kind) {
    return {{ErrorCode::kWrongState, "refused"}, false, false, kind};
  }
  static PeerDialer::Failure OtherAddress() {
    return {{ErrorCode::kWrongState, "its address is another"}, false, false, {}, /*other_address=*/true};
  }

  ManualClock clock_;
  std::map<NodeId, bool> in_touch_;  // the sessions that live
  PeerIdentity own_ = Identity(5);
  PeerDialLimits limits_;
  PeerDialer dialer_{own_, limits_, kInDoubt, clock_, *this, [] { return uint64_t{0}; }};
  ConnectionId connections_ = 0;
  PeerDialer::Attempt last_;
};

TEST_F(PeerDialerTest, LeavesTheRayletWithTheSmallerIdTimeToDial) {
  ASSERT_TRUE(dialer_.Seek(At(7009), NodeNumber(9)));
  ASSERT_TRUE(dialer_.Seek(At(7001), NodeNumber(1)));
  EXPECT_EQ(Dial(), std::vector<int>{9});
  EXPECT_EQ(dialer_.TakeDue().next - clock_.Now(), 2 * limits_.pause_min);
  clock_.Advance(2 * limits_.pause_min);
  EXPECT_EQ(Dial(), std::vector<int>{1});
}

TEST_F(PeerDialerTest, DialsNoAddressTwiceAtATime) {
  ASSERT_TRUE(dialer_.Seek(At(7009), {}));
  EXPECT_EQ(Dial(), std::vector<int>{9});
  clock_.Advance(seconds(60));
  EXPECT_TRUE(Dial().empty());
}

TEST_F(PeerDialerTest, PausesTwiceAsLongAfterEachFailureUpToTheLimit) {
  ASSERT_TRUE(dialer_.Seek(At(7009), {}));
  Duration pause = limits_.pause_min / 2;  // the random half is 0 here
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(Dial(), std::vector<int>{9});
    EXPECT_TRUE(Fail(9, Refused()).dead.IsNil());
    EXPECT_EQ(dialer_.TakeDue().next - clock_.Now(), pause);
    clock_.Advance(pause);
    pause = std::min<Duration>(2 * pause, limits_.pause_max / 2);
  }
}

TEST_F(PeerDialerTest, RefusesAnAddressWithoutAPortAndOneThatStandsForAll) {
  EXPECT_EQ(dialer_.Seek(*ParseTcpAddress("0.0.0.0:7000"), {}).error().code, ErrorCode::kInvalid);
  EXPECT_EQ(dialer_.Seek(*ParseTcpAddress("127.0.0.1:0"), {}).error().code, ErrorCode::kInvalid);
  EXPECT_TRUE(Dial().empty());
}

TEST_F(PeerDialerTest, GivesUpAnIntroducedAddressWhoseListenerSaysAnother) {
  dialer_.OnIntroduction({{At(7009).text(), NodeNumber(9), 1}, true});
  EXPECT_EQ(Dial(), std::vector<int>{9});
  EXPECT_TRUE(Fail(9, OtherAddress()).dead.IsNil());
  clock_.Advance(seconds(60));
  EXPECT_TRUE(Dial().empty());
}

TEST_F(PeerDialerTest, DialsASoughtAddressOnThoughItsListenerSaysAnother) {
  ASSERT_TRUE(dialer_.Seek(At(7009), {}));
  EXPECT_EQ(Dial(), std::vector<int>{9});
  EXPECT_TRUE(Fail(9, OtherAddress()).dead.IsNil());
  clock_.Advance(seconds(60));
  EXPECT_EQ(Dial(), std::vector<int>{9});
}

TEST_F(PeerDialerTest, DialsASilentPeerSoonAndWithShortAttempts) {
  Connect(9, 1);
  EXPECT_TRUE(Dial().empty());
  in_touch_[NodeNumber(9)] = false;
  dialer_.OutOfTouch(NodeNumber(9));
  EXPECT_EQ(Dial(), std::vector<int>{9});
  EXPECT_EQ(last_.connect_until, clock_.Now() + kInDoubt);
  EXPECT_TRUE(Fail(9, {{ErrorCode::kTimedOut, "no answer"}, false, false, {}}).dead.IsNil());
  EXPECT_LE(dialer_.TakeDue().next, clock_.Now() + kInDoubt);
}

TEST_F(PeerDialerTest, ARefusedConnectionEndsTheSessionThatIsOutOfTouch) {
  Connect(9, 1);
  in_touch_[NodeNumber(9)] = false;
  dialer_.OutOfTouch(NodeNumber(9));
  Dial();
  const auto verdict = Fail(9, Refused());
  EXPECT_EQ(verdict.dead, NodeNumber(9));
  EXPECT_FALSE(verdict.seek_back);
  EXPECT_EQ(verdict.why.code, ErrorCode::kNotRunning);
}

TEST_F(PeerDialerTest, AnEndedSessionIsBuriedAndItsRayletDialedAgain) {
  Connect(9, 1);
  in_touch_[NodeNumber(9)] = false;
  dialer_.OutOfTouch(NodeNumber(9));
  Dial();
  const auto verdict = Fail(9, ByRaylet(wire::RefusalKind::SessionEnded));
  EXPECT_EQ(verdict.dead, NodeNumber(9));
  EXPECT_TRUE(verdict.seek_back);
  in_touch_.clear();
  dialer_.Dead(NodeNumber(9), /*of_silence=*/false);
  EXPECT_TRUE(Dial().empty());
  ASSERT_TRUE(dialer_.SeekBack(Identity(9)));
  EXPECT_EQ(Dial(), std::vector<int>{9});
}

TEST_F(PeerDialerTest, ForgetsADeadPeerUnlessItWasSoughtOrFellSilent) {
  ASSERT_TRUE(dialer_.Seek(At(7006), NodeNumber(6)));
  Dial();
  for (const uint8_t number : {6, 7, 8}) Connect(number, number == 6u ? connections_ : 0);
  in_touch_.clear();
  for (const uint8_t number : {6, 7, 8}) dialer_.Dead(NodeNumber(number), /*of_silence=*/number == 8);
  clock_.Advance(limits_.pause_max);
  EXPECT_EQ(Dial(), (std::vector<int>{6, 8}));
}

TEST_F(PeerDialerTest, GivesUpASilentPeerAfterAnHour) {
  Connect(9, 1);
  in_touch_.clear();
  dialer_.Dead(NodeNumber(9), /*of_silence=*/true);
  clock_.Advance(limits_.seek_lost_for);
  int attempts = 0;
  for (; attempts < 20 && !Dial().empty(); ++attempts) {
    Fail(9, Refused());
    clock_.Advance(limits_.pause_max);
  }
  EXPECT_EQ(attempts, 5);
}

TEST_F(PeerDialerTest, DialsAnIntroducedAddressUntilNoPeerIntroducesItAnyMore) {
  const PeerIntroductions::Place place{At(7009).text(), NodeNumber(9), 1};
  dialer_.OnIntroduction({place, true});
  EXPECT_EQ(Dial(), std::vector<int>{9});
  Fail(9, Refused());
  clock_.Advance(limits_.pause_max);
  dialer_.OnIntroduction({place, false});
  EXPECT_TRUE(Dial().empty());
}

TEST_F(PeerDialerTest, GivesUpAnIntroducedAddressAtWhichAnotherRayletAnswers) {
  dialer_.OnIntroduction({{At(7009).text(), NodeNumber(9), 1}, true});
  Dial();
  dialer_.Proven(At(7009).text(), own_.node);
  clock_.Advance(seconds(60));
  EXPECT_TRUE(Dial().empty());
}

TEST_F(PeerDialerTest, BoundsTheDialsOfIntroducedAddresses) {
  for (uint8_t number = 100; number < 200; ++number)
    dialer_.OnIntroduction({{At(7000 + number).text(), NodeNumber(number), 1}, true});
  EXPECT_EQ(Dial().size(), limits_.introduced_dials_max);
  EXPECT_TRUE(Dial().empty());
}

TEST_F(PeerDialerTest, NeverDialsItselfAgain) {
  ASSERT_TRUE(dialer_.Seek(At(7001), {}));
  Dial();
  Fail(1, {{ErrorCode::kInvalid, "this raylet itself"}, false, /*to_itself=*/true, {}});
  clock_.Advance(seconds(60));
  EXPECT_TRUE(Dial().empty());
}

}  // namespace
}  // namespace raylet::test
