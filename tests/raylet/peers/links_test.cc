// Raylets that meet, part, die and are not let in.
#include "tests/raylet/peers/peer_side.h"

namespace raylet::test {
namespace {

TEST_F(PeerLinksTest, TwoRayletsMeetWhicheverOfThemSeeksTheOther) {
  for (const int seeker : {0, 1, 2}) {
    SCOPED_TRACE(seeker);
    sides_.clear();
    PeerSide& a = Make(1);
    PeerSide& b = Make(2);
    if (seeker != 1) Seek(a, b);
    if (seeker != 0) Seek(b, a);
    ASSERT_TRUE(Meet(a, b));
    ASSERT_TRUE(RunUntil([&] { return a.view.Usable(NodeNumber(2)) && b.view.Usable(NodeNumber(1)); }));
    EXPECT_EQ(a.events, std::vector<std::string>{"up 2"});
    EXPECT_EQ(b.events, std::vector<std::string>{"up 1"});
    const ClusterView::Node* const node = a.view.Find(NodeNumber(2));
    EXPECT_EQ(node->machine, MachineNumber{2002});
    EXPECT_EQ(node->epoch, 1002U);
    EXPECT_EQ(node->address, b.links->own().address);
    EXPECT_EQ(node->load.lines[0].free_units, 3 * kUnitsPerWhole);
  }
}

TEST_F(PeerLinksTest, ThreeRayletsThatKnowOneOfThemAllMeetIt) {
  PeerSide& a = Make(1);
  PeerSide& b = Make(2);
  PeerSide& c = Make(3);
  Seek(a, b);
  Seek(c, b);
  ASSERT_TRUE(RunOnUntil([&] { return b.Connected(1) && b.Connected(3); }));
}

TEST_F(PeerLinksTest, MessagesGoBothWaysOnceAndInOrder) {
  PeerSide& a = Make(1);
  PeerSide& b = Make(2);
  Seek(a, b);
  ASSERT_TRUE(Meet(a, b));
  for (uint64_t i = 1; i <= 5000; ++i) {
    ASSERT_TRUE(a.Send(2, i, i % 100));
    ASSERT_TRUE(b.Send(1, i, i % 1000 == 0 ? 1'000'000 : 10));
  }
  ASSERT_TRUE(RunUntil([&] { return a.taken.size() >= 5000 && b.taken.size() >= 5000; }));
  EXPECT_EQ(a.taken, Range(1, 5000));
  EXPECT_EQ(b.taken, Range(1, 5000));
  ASSERT_TRUE(RunOnUntil([&] { return a.StatusOf(2).unacked_messages == 0 && b.StatusOf(1).unacked_bytes == 0; }));
  EXPECT_GT(a.StatusOf(2).bytes_received, 5'000'000U);
}

TEST_F(PeerLinksTest, ALinkThatIsCutAgainAndAgainLosesNothingAndRepeatsNothing) {
  TcpProxy to_a, to_b;
  PeerSide& a = MakeBehind(to_a, OptionsOf(1));
  PeerSide& b = MakeBehind(to_b, OptionsOf(2));
  Seek(a, b);
  ASSERT_TRUE(Meet(a, b));
  to_b.CutAfter(20'000);
  uint64_t sent = 0;
  const Timer talk(loop_, milliseconds(1), milliseconds(1), [&] {
    for (int i = 0; i < 10 && sent < 2000; ++i) {
      ++sent;
      EXPECT_TRUE(a.Send(2, sent, 50));
      EXPECT_TRUE(b.Send(1, sent, 50));
    }
  });
  ASSERT_TRUE(RunOnUntil([&] { return to_b.cuts() >= 5; }));
  to_b.CutAfter(0);
  ASSERT_TRUE(RunOnUntil([&] { return a.taken.size() >= 2000 && b.taken.size() >= 2000; }));
  EXPECT_EQ(a.taken, Range(1, 2000));
  EXPECT_EQ(b.taken, Range(1, 2000));
  EXPECT_EQ(a.events, std::vector<std::string>{"up 2"}) << "a cut is no death";
  EXPECT_EQ(b.events, std::vector<std::string>{"up 1"});
  EXPECT_GT(a.StatusOf(2).counters.messages_resent + b.StatusOf(1).counters.messages_resent, 0U);
}

TEST_F(PeerLinksTest, AFrozenPeerIsSilentThenDeadAndComesBackInAnotherSession) {
  TcpProxy to_a, to_b;
  PeerSide& a = MakeBehind(to_a, OptionsOf(1));
  PeerSide& b = MakeBehind(to_b, OptionsOf(2));
  Seek(a, b);
  ASSERT_TRUE(Meet(a, b));
  to_b.Freeze(true, true);
  to_a.Freeze(true, true);
  ASSERT_TRUE(a.Send(2, 1));
  ASSERT_TRUE(RunOnUntil([&] { return a.Has("silent 2"); }));
  EXPECT_FALSE(a.view.Usable(NodeNumber(2)));
  EXPECT_FALSE(a.Has("dead 2"));
  ASSERT_TRUE(RunOnUntil([&] { return a.Has("dead 2") && b.Has("dead 1"); }));
  EXPECT_EQ(a.why_dead, "nothing was heard of it for 10 s");
  EXPECT_EQ(a.view.Find(NodeNumber(2))->state, NodeState::kDead);
  EXPECT_FALSE(a.Send(2, 2));
  to_b.Freeze(false, false);
  to_a.Freeze(false, false);
  ASSERT_TRUE(Meet(a, b));
  ASSERT_TRUE(a.Send(2, 3));
  ASSERT_TRUE(RunUntil([&] { return !b.taken.empty(); }));
  EXPECT_EQ(b.taken, std::vector<uint64_t>{3}) << "what was said to the dead stays unsaid";
  EXPECT_EQ(a.events, (std::vector<std::string>{"up 2", "silent 2", "dead 2", "up 2"}));
}

TEST_F(PeerLinksTest, AOneWayLinkIsNoLink) {
  TcpProxy to_a, to_b;
  PeerSide& a = MakeBehind(to_a, OptionsOf(1));
  PeerSide& b = MakeBehind(to_b, OptionsOf(2));
  Seek(a, b);
  ASSERT_TRUE(Meet(a, b));
  to_b.Freeze(true, false);
  ASSERT_TRUE(RunOnUntil([&] { return b.Has("dead 1"); }));
  ASSERT_TRUE(RunOnUntil([&] { return a.Has("dead 2"); })) << "told by the connection's end, or by silence";
}

TEST_F(PeerLinksTest, AShortSilenceIsForgiven) {
  TcpProxy to_a, to_b;
  PeerSide& a = MakeBehind(to_a, OptionsOf(1));
  PeerSide& b = MakeBehind(to_b, OptionsOf(2));
  Seek(a, b);
  ASSERT_TRUE(Meet(a, b));
  to_b.Freeze(true, true);
  ASSERT_TRUE(RunOnUntil([&] { return a.Has("silent 2") && b.Has("silent 1"); }));
  to_b.Freeze(false, false);
  ASSERT_TRUE(RunOnUntil([&] { return a.view.Usable(NodeNumber(2)) && b.view.Usable(NodeNumber(1)); }));
  EXPECT_FALSE(a.Has("dead 2") || b.Has("dead 1"));
}

TEST_F(PeerLinksTest, ASessionGoesOnOverAnotherConnectionWhereItsOwnCarriesNothingAnyMore) {
  TcpProxy to_a, to_b;
  PeerSide& a = MakeBehind(to_a, OptionsOf(1));
  PeerSide& b = MakeBehind(to_b, OptionsOf(2));
  Seek(a, b);
  ASSERT_TRUE(Meet(a, b));
  uint64_t sent = 0;
  for (int stalls = 1; stalls <= 3; ++stalls) {
    to_b.Stall();
    for (int i = 0; i < 100; ++i) {
      ++sent;
      ASSERT_TRUE(a.Send(2, sent));
      ASSERT_TRUE(b.Send(1, sent));
    }
    ASSERT_TRUE(RunOnUntil([&] { return a.taken.size() == sent && b.taken.size() == sent; }));
    EXPECT_EQ(a.StatusOf(2).counters.connections, 1u + static_cast<size_t>(stalls));
  }
  EXPECT_EQ(a.taken, Range(1, sent));
  EXPECT_EQ(b.taken, Range(1, sent));
  EXPECT_FALSE(a.Has("dead 2") || b.Has("dead 1"));
  EXPECT_TRUE(a.Has("silent 2") || b.Has("silent 1"));
}

TEST_F(PeerLinksTest, AStalledRayletReportsNoPeerSilentOrDead) {
  PeerSide& a = Make(1);
  PeerSide& b = Make(2);
  Seek(a, b);
  ASSERT_TRUE(Meet(a, b));
  const int heard = a.heard;
  clock_.Advance(seconds(15));  // as if both had been stopped
  ASSERT_TRUE(RunUntil([&] { return a.heard > heard; }));
  EXPECT_EQ(a.events, std::vector<std::string>{"up 2"});
  EXPECT_EQ(b.events, std::vector<std::string>{"up 1"});
}

TEST_F(PeerLinksTest, APeerWhoseMachineRefusesTheConnectionIsDeadAtOnce) {
  for (const bool smaller_dies : {true, false}) {
    SCOPED_TRACE(smaller_dies);
    sides_.clear();
    PeerSide& a = Make(1);
    PeerSide& b = Make(2);
    Seek(b, a);
    ASSERT_TRUE(Meet(a, b));
    PeerSide& dies = smaller_dies ? a : b;
    PeerSide& lives = smaller_dies ? b : a;
    dies.links.reset();  // as kill -9 does: its sockets close, nothing is said
    const std::string dead = smaller_dies ? "dead 1" : "dead 2";
    // The larger id leaves the smaller one the time to dial first.
    ASSERT_TRUE(smaller_dies ? RunOnUntil([&] { return lives.Has(dead); }) : RunUntil([&] { return lives.Has(dead); }));
    EXPECT_NE(lives.why_dead.find("refuses connections"), std::string::npos) << lives.why_dead;
  }
}

TEST_F(PeerLinksTest, AStoppingRayletSaysGoodbye) {
  PeerSide& a = Make(1);
  PeerSide& b = Make(2);
  Seek(a, b);
  ASSERT_TRUE(Meet(a, b));
  b.links->Stop();
  ASSERT_TRUE(RunUntil([&] { return a.Has("dead 2"); }));
  EXPECT_NE(a.why_dead.find("stopping"), std::string::npos) << a.why_dead;
}

TEST_F(PeerLinksTest, KeepsTheLastEightDeadPeersForTheStatus) {
  constexpr uint8_t kFirst = 30, kCount = 10;
  PeerSide& a = Make(1);
  // Their ids go down, so that the order of ids is not that of deaths.
  for (uint8_t node = kFirst; node > kFirst - kCount; --node) {
    PeerSide& b = Make(node);
    Seek(a, b);
    ASSERT_TRUE(Meet(a, b));
    b.links->Stop();
    ASSERT_TRUE(RunOnUntil([&] { return a.Has("dead " + std::to_string(node)); }));
  }
  ASSERT_TRUE(RunOnUntil([&] { return a.links->Status().size() == 8; }));
  for (const PeerStatus& status : a.links->Status()) EXPECT_LE(int{status.node.data()[0]}, kFirst - 2);
}

TEST_F(PeerLinksTest, ARayletThatStartsAgainAtItsAddressIsAnotherOne) {
  for (const uint8_t node : {1, 3}) {
    SCOPED_TRACE(int{node});
    sides_.clear();
    PeerSide& a = Make(2);
    PeerSide& b = Make(node);
    Seek(a, b);
    ASSERT_TRUE(Meet(a, b));
    const std::string address = b.links->own().address;
    b.links.reset();
    auto options = OptionsOf(node);
    options.own.epoch = 77;
    PeerSide& again = Make(options, address);
    ASSERT_TRUE(Meet(a, again));
    const std::string number = std::to_string(node);
    EXPECT_EQ(a.events, (std::vector<std::string>{"up " + number, "dead " + number, "up " + number}));
    EXPECT_EQ(a.view.Find(NodeNumber(node))->epoch, 77U);
  }
}

TEST_F(PeerLinksTest, AnotherRayletAtAnAddressEndsTheFormerOne) {
  PeerSide& a = Make(2);
  PeerSide& b = Make(3);
  Seek(a, b);
  ASSERT_TRUE(Meet(a, b));
  const std::string address = b.links->own().address;
  b.links.reset();
  PeerSide& c = Make(OptionsOf(4), address);
  ASSERT_TRUE(Meet(a, c));
  EXPECT_TRUE(a.Has("dead 3"));
}

TEST_F(PeerLinksTest, StrangersAreKeptOutAndDisturbNobody) {
  PeerSide& a = Make(1);
  PeerSide& b = Make(2);
  Seek(a, b);
  ASSERT_TRUE(Meet(a, b));
  PeerSide& other_token = Make(OptionsOf(3, "the token of another cluster"));
  auto without = OptionsOf(4);
  without.token = PeerToken();
  PeerSide& no_token = Make(without);
  Seek(other_token, a);
  Seek(no_token, a);
  Seek(a, other_token);
  Stranger(a);  // looks in and leaves
  const UniqueFd garbage = Stranger(a), giant = Stranger(a), never_ends = Stranger(a);
  Say(garbage, "GET / HTTP/1.1\r\n\r\n");
  Say(giant, std::string("\xff\xff\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", 16));
  Say(never_ends, std::string("\xf0\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00 and", 20));
  ASSERT_TRUE(RunUntil([&] { return PeerClosed(garbage.get()) && PeerClosed(giant.get()); }));
  EXPECT_FALSE(PeerClosed(never_ends.get()));
  ASSERT_TRUE(RunOnUntil([&] { return PeerClosed(never_ends.get()); }));
  EXPECT_EQ(a.events, std::vector<std::string>{"up 2"});
  EXPECT_TRUE(other_token.events.empty());
  EXPECT_TRUE(no_token.events.empty());
  ASSERT_TRUE(a.Send(2, 9));
  ASSERT_TRUE(RunUntil([&] { return !b.taken.empty(); }));
}

TEST_F(PeerLinksTest, AFloodOfStrangersKeepsNoRayletOut) {
  auto options = OptionsOf(2);
  options.strangers_max = 8;
  PeerSide& a = Make(1);
  PeerSide& b = Make(options);
  std::vector<UniqueFd> strangers;
  for (int i = 0; i < 40; ++i) strangers.push_back(Stranger(b));
  Seek(a, b);
  ASSERT_TRUE(Meet(a, b));
  EXPECT_TRUE(PeerClosed(strangers.front().get()));
}

TEST_F(PeerLinksTest, ASecondRayletOfOneNodeIdIsRefusedAndTheFirstGoesOn) {
  PeerSide& a = Make(1);
  PeerSide& b = Make(2);
  Seek(a, b);
  ASSERT_TRUE(Meet(a, b));
  auto options = OptionsOf(2);
  options.own.epoch = 9;
  options.own.machine = MachineNumber{10};
  PeerSide& second = Make(options);
  testing::internal::CaptureStderr();
  Seek(second, b);
  Seek(a, second);
  const Timer done(loop_, milliseconds(50), milliseconds(0), [&] { ASSERT_TRUE(a.Send(2, 5)); });
  ASSERT_TRUE(RunUntil([&] { return !b.taken.empty(); }));
  const std::string log = testing::internal::GetCapturedStderr();
  EXPECT_NE(log.find("two raylets have the node id 02"), std::string::npos) << log;
  EXPECT_TRUE(second.events.empty());
  EXPECT_EQ(a.events, std::vector<std::string>{"up 2"});
}

TEST_F(PeerLinksTest, AMessageThatMakesNoSenseEndsTheSessionAndNotTheRaylets) {
  PeerSide& a = Make(1);
  PeerSide& b = Make(2);
  Seek(a, b);
  ASSERT_TRUE(Meet(a, b));
  ASSERT_TRUE(a.links->Send(NodeNumber(2), kPeerType, {}));
  ASSERT_TRUE(RunUntil([&] { return a.Has("dead 2") && b.Has("dead 1"); }));
  EXPECT_NE(a.why_dead.find("an empty message makes no sense"), std::string::npos) << a.why_dead;
  ASSERT_TRUE(Meet(a, b));
}

TEST_F(PeerLinksTest, ARayletThatEndsASessionLetsGoOfItsLeaseFirstAndTheOtherOneNeedNotWait) {
  PeerSide& a = Make(1);
  PeerSide& b = Make(2);
  Seek(a, b);
  ASSERT_TRUE(Meet(a, b));
  ASSERT_TRUE(RunOnUntil([&] { return a.vouched_until > clock_.Now() && b.vouched_until > clock_.Now(); }));
  b.links->End(NodeNumber(1), {ErrorCode::kProtocolError, "it made no sense"});
  EXPECT_EQ(b.vouched_until, TimePoint());
  const TimePoint now = clock_.Now();
  EXPECT_GT(b.serves_until, now + OptionsOf(2).limits.dead_after / 2) << "the goodbye may be lost";
  ASSERT_TRUE(RunUntil([&] { return a.Has("dead 2"); }));
  EXPECT_LE(a.serves_until, clock_.Now()) << "it has let go";
}

TEST_F(PeerLinksTest, ReportsAFullWindowAndThenRoom) {
  TcpProxy to_a, to_b;
  auto options = OptionsOf(1);
  options.limits.unacked_messages_max = 100;
  PeerSide& a = MakeBehind(to_a, options);
  PeerSide& b = MakeBehind(to_b, OptionsOf(2));
  Seek(a, b);
  ASSERT_TRUE(Meet(a, b));
  to_b.Freeze(true, true);
  for (uint64_t i = 1; i <= 100; ++i) ASSERT_TRUE(a.Send(2, i));
  EXPECT_FALSE(a.links->HasRoom(NodeNumber(2), 8));
  EXPECT_FALSE(a.Send(2, 101));
  to_b.Freeze(false, false);
  ASSERT_TRUE(RunOnUntil([&] { return a.rooms == 1; }));
  EXPECT_TRUE(a.Send(2, 101));
  ASSERT_TRUE(RunUntil([&] { return b.taken.size() == 101; }));
}

TEST_F(PeerLinksTest, ABulkConnectionIsAnAuthenticatedWireOfItsOwnInEitherDirection) {
  PeerSide& a = Make(1);
  PeerSide& b = Make(2);
  Seek(a, b);
  ASSERT_TRUE(Meet(a, b));
  for (const bool from_smaller : {true, false}) {
    PeerSide& puller = from_smaller ? a : b;
    PeerSide& sender = from_smaller ? b : a;
    std::optional<Result<UniqueFd>> dialed;
    puller.links->DialBulk(NodeNumber(from_smaller ? 2 : 1),
                           [&](Result<UniqueFd> fd) { dialed.emplace(std::move(fd)); });
    ASSERT_TRUE(RunUntil([&] { return dialed.has_value() && sender.bulk.size() == 1; }));
    ASSERT_TRUE(*dialed) << dialed->error().message;
    Say(**dialed, "from the first byte on");
    std::byte buffer[64];
    std::vector<UniqueFd> no_fds;
    ASSERT_TRUE(*WaitReadable(sender.bulk[0].get(), Deadline::AfterMs(30'000)));
    EXPECT_EQ(ReceiveSome(sender.bulk[0].get(), buffer, no_fds)->bytes, 22U);
  }
  std::optional<Result<UniqueFd>> refused;
  a.links->DialBulk(NodeNumber(9), [&](Result<UniqueFd> fd) { refused.emplace(std::move(fd)); });
  ASSERT_TRUE(RunUntil([&] { return refused.has_value(); }));
  EXPECT_EQ(refused->error().code, ErrorCode::kNotFound);
}

TEST_F(PeerLinksTest, RefusesToListenOnAllAddressesAndToDialWithoutAPort) {
  PeerSide& a = Make(1);
  EXPECT_EQ(a.links->Seek(*ParseTcpAddress("0.0.0.0:7000")).error().code, ErrorCode::kInvalid);
  EXPECT_EQ(a.links->Seek(*ParseTcpAddress("127.0.0.1:0")).error().code, ErrorCode::kInvalid);
  PeerSide c(loop_, clock_, OptionsOf(3));
  EXPECT_EQ(c.links->Listen(*ParseTcpAddress("0.0.0.0:0")).error().code, ErrorCode::kInvalid);
  const auto taken = c.links->Listen(a.links->listening());
  EXPECT_EQ(taken.error().code, ErrorCode::kAlreadyExists);
  EXPECT_NE(taken.error().message.find("--port"), std::string::npos);
}

TEST_F(PeerLinksTest, TellsASilentAddressFromOneThatRefuses) {
  const auto full = ListenTcp(*ParseTcpAddress("127.0.0.1:0"), 0);
  const auto address = *LocalAddressOf(full->get());
  std::vector<UniqueFd> waiting;  // nobody accepts them: what comes later gets no answer
  for (int i = 0; i < 4; ++i) waiting.push_back(*ConnectTcp(address));
  PeerSide& a = Make(1);
  ASSERT_TRUE(a.links->Seek(address));
  testing::internal::CaptureStderr();
  const TimePoint end = clock_.Now() + seconds(6);
  const auto passed = RunOnUntil([&] { return clock_.Now() > end; });
  const std::string log = testing::internal::GetCapturedStderr();
  ASSERT_TRUE(passed);
  EXPECT_NE(log.find("nothing answers at " + address.text()), std::string::npos) << log;
}

TEST_F(PeerLinksTest, ARayletThatIsGivenItsOwnAddressMeetsNobodyThere) {
  TcpProxy proxy;
  PeerSide& a = Make(1);
  proxy.SetTarget(a.links->listening());
  ASSERT_TRUE(a.links->Seek(a.links->listening()));
  ASSERT_TRUE(a.links->Seek(proxy.address()));  // its own by another name
  ASSERT_TRUE(RunUntil([&] { return proxy.connections() == 1; }));
  clock_.Advance(seconds(60));
  PeerSide& b = Make(2);
  Seek(a, b);
  ASSERT_TRUE(Meet(a, b));
  EXPECT_EQ(proxy.connections(), 1U);
  EXPECT_EQ(a.events, std::vector<std::string>{"up 2"});
}

}  // namespace
}  // namespace raylet::test
