// Raylets that know a few of the others, and meet all of them.
#include "tests/raylet/peers/peer_side.h"

namespace raylet::test {
namespace {

class PeerIntroducing : public PeerLinksTest {
 protected:
  PeerLinksOptions OptionsOf(uint8_t node, const std::string& token = "a token of the cluster") {
    auto options = PeerLinksTest::OptionsOf(node, token);
    options.dials.pause_max = milliseconds(400);
    return options;
  }
  PeerSide& Make(uint8_t node) { return PeerLinksTest::Make(OptionsOf(node)); }
  using PeerLinksTest::Make;
  // Long enough for every pending dial.
  void GoOn(Duration time) {
    const TimePoint end = clock_.Now() + time;
    ASSERT_TRUE(RunOnUntil([&] { return clock_.Now() >= end; }));
  }
  bool AllMet() const {
    for (const auto& side : sides_)
      for (const auto& other : sides_)
        if (side != other && !side->Connected(other->links->own().node.data()[0])) return false;
    return true;
  }
};

TEST_F(PeerIntroducing, AllRayletsMeetOnceInAnyTreeOfAddresses) {
  // Parents of the nodes 2, 3 …: a star, a chain, and ids that do not fall or rise along it.
  const std::vector<std::vector<int>> trees = {{1, 1, 1, 1, 1, 1}, {1, 2, 3, 4, 5, 6}, {1, 1, 2, 2, 3, 3}};
  for (size_t tree = 0; tree < trees.size(); ++tree) {
    for (const bool backwards : {false, true}) {
      SCOPED_TRACE(testing::Message() << tree << " " << backwards);
      sides_.clear();
      const auto number = [&](size_t i) { return static_cast<uint8_t>(backwards ? 9 - i : 1 + i); };
      Make(number(0));
      for (size_t i = 0; i < trees[tree].size(); ++i) {
        PeerSide& side = Make(number(i + 1));
        Seek(side, *sides_[static_cast<size_t>(trees[tree][i] - 1)]);
      }
      ASSERT_TRUE(RunOnUntil([&] { return AllMet(); }));
      GoOn(seconds(1));
      for (const auto& side : sides_) EXPECT_EQ(side->events.size(), sides_.size() - 1) << "up, each once";
    }
  }
}

TEST_F(PeerIntroducing, AnUnreachableRayletIsDialedUntilNobodyHasASessionWithIt) {
  TcpProxy to_b, to_c;
  PeerSide& a = Make(1);
  PeerSide& b = MakeBehind(to_b, OptionsOf(2));
  PeerSide& c = MakeBehind(to_c, OptionsOf(3));
  to_b.Refuse(true);
  to_c.Refuse(true);
  Seek(b, a);
  Seek(c, a);
  // The raylet with the smaller id dials, and cannot. So B and C reach A, and nobody reaches them.
  to_b.Refuse(false);
  ASSERT_TRUE(Meet(a, b));
  to_b.Refuse(true);
  to_c.Refuse(false);
  ASSERT_TRUE(Meet(a, c));
  to_c.Refuse(true);
  GoOn(seconds(3));
  EXPECT_FALSE(b.Has("up 3") || c.Has("up 2"));
  EXPECT_EQ(a.events, (std::vector<std::string>{"up 2", "up 3"})) << "what B is told of C harms neither";
  to_c.Refuse(false);
  ASSERT_TRUE(Meet(b, c));
  // Once A and C have gone, nobody dials C any more.
  a.links->Stop();
  c.links->Stop();
  ASSERT_TRUE(RunOnUntil([&] { return b.Has("dead 1") && b.Has("dead 3"); }));
  GoOn(seconds(3));
  const uint64_t dialed = to_c.connections();
  to_c.Refuse(false);
  GoOn(seconds(3));
  EXPECT_EQ(to_c.connections(), dialed);
}

TEST_F(PeerIntroducing, RayletsFindEachOtherAgainAfterTheMiddleOneHasGone) {
  TcpProxy to_b, to_c;
  PeerSide& a = Make(1);
  PeerSide& b = MakeBehind(to_b, OptionsOf(2));
  PeerSide& c = MakeBehind(to_c, OptionsOf(3));
  Seek(b, a);
  Seek(c, a);
  ASSERT_TRUE(Meet(b, c));
  a.links.reset();
  ASSERT_TRUE(RunOnUntil([&] { return b.Has("dead 1") && c.Has("dead 1"); }));
  EXPECT_TRUE(b.Connected(3));
  to_b.Freeze(true, true);
  to_c.Freeze(true, true);
  ASSERT_TRUE(RunOnUntil([&] { return b.Has("dead 3") && c.Has("dead 2"); }));
  to_b.Freeze(false, false);
  to_c.Freeze(false, false);
  ASSERT_TRUE(Meet(b, c));
}

TEST_F(PeerIntroducing, PeersMeetARayletThatStartsAgainAtAnAddressTheyNeverHeard) {
  PeerSide& a = Make(1);
  PeerSide& b = Make(2);
  PeerSide& c = Make(3);
  Seek(b, a);
  Seek(c, a);
  ASSERT_TRUE(Meet(b, c));
  c.links.reset();
  auto options = OptionsOf(4);
  PeerSide& again = Make(options);
  Seek(again, a);
  ASSERT_TRUE(Meet(b, again));
  ASSERT_TRUE(RunOnUntil([&] { return b.Has("dead 3"); }));
  EXPECT_EQ(again.events.size(), 2u);
}

TEST_F(PeerIntroducing, AWrongOrUnusedAddressIsGivenUpWithoutHarm) {
  for (const std::string whose : {"its own", "another's", "a stranger's", "nobody's"}) {
    SCOPED_TRACE(whose);
    sides_.clear();
    TcpProxy to_a, lie;
    PeerSide& a = MakeBehind(to_a, OptionsOf(8));
    PeerSide& b = Make(9);
    auto strange = OptionsOf(7, "the token of another cluster");
    if (whose == "a stranger's") strange.advertised = lie.address().text();
    PeerSide& stranger = Make(strange);
    if (whose == "its own") lie.SetTarget(a.links->listening());
    if (whose == "another's") lie.SetTarget(b.links->listening());
    if (whose == "a stranger's") lie.SetTarget(stranger.links->listening());
    if (whose == "nobody's") lie.Refuse(true);
    Seek(a, b);
    ASSERT_TRUE(Meet(a, b));
    to_a.Refuse(true);  // so that the raylet with the wrong address does not reach A: A must dial that address
    auto options = OptionsOf(1);
    options.advertised = lie.address().text();
    PeerSide& liar = Make(options);
    Seek(liar, b);
    ASSERT_TRUE(RunOnUntil([&] { return b.Connected(1); }));
    GoOn(milliseconds(1500));
    EXPECT_EQ(a.events, std::vector<std::string>{"up 9"});
    EXPECT_TRUE(a.Connected(9));
    EXPECT_TRUE(stranger.events.empty());
    if (whose == "its own" || whose == "another's") {
      EXPECT_EQ(lie.connections(), 1u) << "known now";
    }
    if (whose == "a stranger's") {
      EXPECT_GT(lie.connections(), 1u) << "its token may be put right yet";
    }
    liar.links->Stop();
    ASSERT_TRUE(RunOnUntil([&] { return b.Has("dead 1"); }));
    GoOn(milliseconds(1500));
    const uint64_t dialed = lie.connections();
    lie.Refuse(false);
    GoOn(seconds(1));
    EXPECT_EQ(lie.connections(), dialed);
  }
}

}  // namespace
}  // namespace raylet::test
