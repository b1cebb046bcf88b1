#include "raylet/peers/session.h"

#include <gtest/gtest.h>

#include <random>

#include "raylet/peers/lease_times.h"

namespace raylet {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr uint16_t kType = 40;

Bytes Body(uint64_t number, size_t padding = 0) {
  Bytes body(sizeof number + padding);
  std::memcpy(body.data(), &number, sizeof number);
  return body;
}
uint64_t NumberIn(const Frame& frame) {
  uint64_t number = 0;
  std::memcpy(&number, frame.body.data(), sizeof number);
  return number;
}

// Two sessions that carry each other's frames, without a network.
class PeerSessionTest : public ::testing::Test {
 protected:
  void Connect() {
    const auto mine = a_.Greeting(), theirs = b_.Greeting();
    b_.Attach(mine, now_);
    a_.Attach(b_.Greeting(), now_);
    static_cast<void>(theirs);
  }
  // Carries all output of `from` to `to`. Returns the numbers in the messages that are handed out.
  std::vector<uint64_t> Carry(PeerSession& from, PeerSession& to) {
    std::vector<uint64_t> numbers;
    Bytes bytes;
    from.AppendOutput(bytes, ~size_t{0});
    FrameParser parser(kPeerBodyBytesMax);
    parser.Feed(bytes);
    for (;;) {
      const auto frame = parser.Next();
      if (!frame || !*frame) return numbers;
      const auto heard = to.OnFrame(**frame, now_);
      EXPECT_TRUE(heard) << heard.error().message;
      if (heard && *heard == PeerSession::Heard::kMessage) numbers.push_back(NumberIn(**frame));
    }
  }
  static std::vector<uint64_t> Range(uint64_t first, uint64_t last) {
    std::vector<uint64_t> numbers;
    for (; first <= last; ++first) numbers.push_back(first);
    return numbers;
  }

  TimePoint now_{seconds(100)};
  PeerSessionLimits limits_;
  PeerSession a_{limits_, 1, now_}, b_{limits_, 2, now_};
};

TEST_F(PeerSessionTest, MessagesArriveInOrderAndAreKeptUntilTheyAreAcknowledged) {
  Connect();
  for (uint64_t i = 1; i <= 3; ++i) ASSERT_TRUE(a_.Send(kType, Body(i)));
  EXPECT_EQ(Carry(a_, b_), Range(1, 3));
  EXPECT_EQ(a_.unacked_messages(), 3U);
  EXPECT_FALSE(b_.HasOutput()) << "three are not worth a word of their own";
  b_.Heartbeat({}, now_);
  Carry(b_, a_);
  EXPECT_EQ(a_.unacked_messages(), 0U);
  EXPECT_EQ(a_.unacked_bytes(), 0U);
}

TEST_F(PeerSessionTest, ManyMessagesAreAcknowledgedBeforeTheNextHeartbeat) {
  Connect();
  for (uint64_t i = 1; i <= 64; ++i) ASSERT_TRUE(a_.Send(kType, Body(i)));
  ASSERT_TRUE(b_.Send(kType, Body(7)));
  EXPECT_EQ(Carry(a_, b_), Range(1, 64));
  EXPECT_EQ(Carry(b_, a_), Range(7, 7));
  EXPECT_EQ(a_.unacked_messages(), 0U);
}

TEST_F(PeerSessionTest, SendsOnlyTheMessagesAgainThatACutLinkLost) {
  Connect();
  for (uint64_t i = 1; i <= 2; ++i) ASSERT_TRUE(a_.Send(kType, Body(i)));
  EXPECT_EQ(Carry(a_, b_), Range(1, 2));
  for (uint64_t i = 3; i <= 5; ++i) ASSERT_TRUE(a_.Send(kType, Body(i)));
  Bytes swallowed;
  a_.AppendOutput(swallowed, ~size_t{0});
  a_.Detach();
  b_.Detach();
  ASSERT_TRUE(a_.Send(kType, Body(6)));
  EXPECT_FALSE(a_.HasOutput());
  Connect();
  EXPECT_EQ(Carry(a_, b_), Range(3, 6));
  EXPECT_EQ(a_.counters().messages_resent, 3U);
  EXPECT_EQ(a_.counters().messages_sent, 6U);
  EXPECT_EQ(b_.counters().messages_received, 6U);
  EXPECT_EQ(b_.counters().duplicates, 0U);
}

TEST_F(PeerSessionTest, AFullWindowSaysSoAndSaysWhenThereIsRoomAgain) {
  PeerSessionLimits limits;
  limits.unacked_messages_max = 4;
  PeerSession sender(limits, 3, now_), receiver(limits_, 4, now_);
  receiver.Attach(sender.Greeting(), now_);
  sender.Attach(receiver.Greeting(), now_);
  for (uint64_t i = 1; i <= 4; ++i) ASSERT_TRUE(sender.Send(kType, Body(i)));
  EXPECT_FALSE(sender.HasRoom(1));
  const auto refused = sender.Send(kType, Body(5));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kFull);
  EXPECT_FALSE(sender.TakeRoom());
  EXPECT_EQ(Carry(sender, receiver), Range(1, 4));
  receiver.Heartbeat({}, now_);
  Carry(receiver, sender);
  EXPECT_TRUE(sender.TakeRoom());
  EXPECT_FALSE(sender.TakeRoom());
  EXPECT_TRUE(sender.Send(kType, Body(5)));
}

TEST_F(PeerSessionTest, TheBytesThatWaitAreBoundedAndALargeMessageGoesAlone) {
  PeerSessionLimits limits;
  limits.unacked_bytes_max = 1000;
  PeerSession sender(limits, 3, now_);
  EXPECT_TRUE(sender.Send(kType, Body(1, 5000)));
  EXPECT_EQ(sender.Send(kType, Body(2)).error().code, ErrorCode::kFull);
  EXPECT_EQ(a_.Send(kType, Bytes(kPeerBodyBytesMax + 1)).error().code, ErrorCode::kTooLarge);
}

TEST_F(PeerSessionTest, HeartbeatsComeEveryHalfSecondAndGoBeforeMessagesThatWait) {
  Connect();
  EXPECT_TRUE(a_.HeartbeatDue(now_));
  ASSERT_TRUE(a_.Send(kType, Body(1, 100'000)));
  wire::PeerHeartbeatT load;
  load.queued_tasks = 5;
  a_.Heartbeat(std::move(load), now_);
  EXPECT_FALSE(a_.HeartbeatDue(now_ + milliseconds(400)));
  Bytes out;
  a_.AppendOutput(out, 1);
  FrameParser parser;
  parser.Feed(out);
  const auto first = parser.Next();
  ASSERT_TRUE(first && *first);
  const auto heard = b_.OnFrame(**first, now_);
  ASSERT_TRUE(heard);
  EXPECT_EQ(*heard, PeerSession::Heard::kHeartbeat);
  EXPECT_EQ(b_.heartbeat().queued_tasks, 5U);
  EXPECT_TRUE(a_.HeartbeatDue(now_ + milliseconds(500)));
}

TEST_F(PeerSessionTest, ALeaseCountsFromTheHeartbeatThatTheOtherSideHeard) {
  Connect();
  EXPECT_EQ(a_.lease_until(), TimePoint()) << "the other side has said nothing yet";
  const TimePoint sent = now_;
  a_.Heartbeat({}, now_);
  now_ += milliseconds(300);  // on its way
  Carry(a_, b_);
  const TimePoint heard = now_;
  now_ += milliseconds(400);
  b_.Heartbeat({}, now_);
  now_ += milliseconds(300);
  Carry(b_, a_);
  EXPECT_EQ(a_.lease_until(), sent + LeaseOf(limits_.dead_after));
  EXPECT_EQ(b_.dead_here_after(), heard + limits_.dead_after);
  EXPECT_LE(a_.lease_until() + LeaseMargin(limits_.dead_after), b_.dead_here_after());
}

TEST_F(PeerSessionTest, WordsOfWhoHearsNothingRenewNoLease) {
  Connect();
  a_.Heartbeat({}, now_);
  Carry(a_, b_);
  b_.Heartbeat({}, now_);
  Carry(b_, a_);
  const TimePoint until = a_.lease_until();
  for (int beat = 0; beat < 20; ++beat) {  // nothing of this side arrives any more, and the other one is heard
    now_ += milliseconds(500);
    b_.Heartbeat({}, now_);
    Carry(b_, a_);
    b_.Tick(now_);
    EXPECT_EQ(a_.lease_until(), until) << "beat " << beat;
    if (b_.state() == NodeState::kDead) break;
    EXPECT_TRUE(a_.state() == NodeState::kUp);
  }
  EXPECT_EQ(b_.state(), NodeState::kDead);
  EXPECT_LT(a_.lease_until(), now_ - LeaseMargin(limits_.dead_after) / 2);
}

TEST_F(PeerSessionTest, TheFirstHeartbeatOfAConnectionIsAnsweredAtOnce) {
  Connect();
  const auto beat = [&] {
    a_.Heartbeat({}, now_);
    b_.Heartbeat({}, now_);
    Carry(b_, a_);
    Carry(a_, b_);
  };
  beat();
  EXPECT_TRUE(a_.HeartbeatDue(now_)) << "the other side waits for a lease";
  EXPECT_TRUE(b_.HeartbeatDue(now_));
  beat();
  EXPECT_GT(a_.lease_until(), now_);
  EXPECT_GT(b_.lease_until(), now_);
  EXPECT_FALSE(a_.HeartbeatDue(now_)) << "once";
  EXPECT_FALSE(b_.HeartbeatDue(now_));
}

TEST_F(PeerSessionTest, ALeaseTakesTheOtherSidesPatience) {
  PeerSessionLimits hasty;
  hasty.dead_after = seconds(2);
  PeerSession home(hasty, 7, now_);
  home.Attach(a_.Greeting(), now_);
  a_.Attach(home.Greeting(), now_);
  a_.Heartbeat({}, now_);
  Carry(a_, home);
  home.Heartbeat({}, now_);
  Carry(home, a_);
  EXPECT_EQ(a_.lease_until(), now_ + LeaseOf(hasty.dead_after));
}

TEST_F(PeerSessionTest, AnAnswerToAHeartbeatThatWasNeverSentIsNonsense) {
  Connect();
  wire::PeerHeartbeatT heartbeat;
  heartbeat.sent_ns = 1;
  heartbeat.heard_ns = static_cast<uint64_t>((now_ + seconds(1)).time_since_epoch().count());
  heartbeat.patience_ms = 10'000;
  Frame frame;
  frame.header.type = static_cast<uint16_t>(wire::PeerMessage::Heartbeat);
  frame.body = Encode(heartbeat);
  EXPECT_EQ(a_.OnFrame(frame, now_).error().code, ErrorCode::kProtocolError);
  EXPECT_EQ(a_.lease_until(), TimePoint());
}

TEST_F(PeerSessionTest, DiscountsItsOwnStallAndNoMore) {
  Connect();
  now_ += seconds(13);
  a_.DidNotListen(seconds(13), now_);
  a_.Tick(now_);
  EXPECT_EQ(a_.state(), NodeState::kUp);
  // Here the bytes that came meanwhile were read first.
  now_ += seconds(13);
  a_.HeardBytes(now_);
  a_.DidNotListen(seconds(13), now_);
  now_ += limits_.silent_after;
  a_.Tick(now_);
  EXPECT_EQ(a_.state(), NodeState::kSilent);
}

TEST_F(PeerSessionTest, IsSilentAfterThreeSecondsAndDeadAfterTen) {
  Connect();
  a_.Tick(now_ + milliseconds(2999));
  EXPECT_EQ(a_.state(), NodeState::kUp);
  a_.Tick(now_ + seconds(3));
  EXPECT_EQ(a_.state(), NodeState::kSilent);
  a_.HeardBytes(now_ + seconds(9));
  EXPECT_EQ(a_.state(), NodeState::kUp);
  a_.Tick(now_ + milliseconds(18'999));
  EXPECT_EQ(a_.state(), NodeState::kSilent);
  a_.Tick(now_ + seconds(19));
  EXPECT_EQ(a_.state(), NodeState::kDead);
  EXPECT_EQ(a_.why_dead().message, "nothing was heard of it for 10 s");
  const auto sent = a_.Send(kType, Body(1));
  EXPECT_EQ(sent.error().code, ErrorCode::kDisconnected);
  a_.HeardBytes(now_ + seconds(20));
  EXPECT_EQ(a_.state(), NodeState::kDead) << "dead is for ever";
}

TEST_F(PeerSessionTest, AGoodbyeEndsBothSides) {
  Connect();
  ASSERT_TRUE(a_.Send(kType, Body(1)));
  a_.Goodbye({ErrorCode::kDisconnected, "this raylet is stopping"});
  EXPECT_EQ(a_.state(), NodeState::kDead);
  Carry(a_, b_);
  EXPECT_EQ(b_.state(), NodeState::kDead);
  EXPECT_NE(b_.why_dead().message.find("this raylet is stopping"), std::string::npos);
}

TEST_F(PeerSessionTest, ADeadSessionIsNeverResumed) {
  Connect();
  const auto late = b_.Greeting();
  a_.End({ErrorCode::kTimedOut, "it is gone"});
  EXPECT_EQ(PeerSession::Meet(&a_, late), PeerSession::Meeting::kEnded);
  EXPECT_EQ(PeerSession::Meet(nullptr, late), PeerSession::Meeting::kEnded);
  PeerSession again(limits_, 5, now_);
  EXPECT_EQ(PeerSession::Meet(nullptr, again.Greeting()), PeerSession::Meeting::kBegin);
  EXPECT_EQ(PeerSession::Meet(&b_, again.Greeting()), PeerSession::Meeting::kBegin) << "it has forgotten us";
  EXPECT_FALSE(again.Continues(late));
}

TEST_F(PeerSessionTest, ADialerWhoseAcceptedWasLostGoesOnWithItsSession) {
  b_.Attach(a_.Greeting(), now_);
  ASSERT_TRUE(b_.Send(kType, Body(1)));
  Bytes lost;
  b_.AppendOutput(lost, ~size_t{0});
  EXPECT_EQ(PeerSession::Meet(&b_, a_.Greeting()), PeerSession::Meeting::kContinue);
  Connect();
  EXPECT_EQ(Carry(b_, a_), Range(1, 1));
}

TEST_F(PeerSessionTest, FramesThatMakeNoSenseAreErrors) {
  Connect();
  ASSERT_TRUE(a_.Send(kType, Body(1)));
  Carry(a_, b_);
  const auto fails = [&](uint16_t type, uint64_t id, const Bytes& body) {
    Frame frame;
    frame.header.type = type;
    frame.header.request_id = id;
    frame.body = body;
    const auto heard = a_.OnFrame(frame, now_);
    return !heard && heard.error().code == ErrorCode::kProtocolError;
  };
  EXPECT_TRUE(fails(kType, 2, Body(2))) << "a gap";
  EXPECT_TRUE(fails(1, 0, {})) << "a Hello";
  EXPECT_TRUE(fails(19, 0, {}));
  EXPECT_TRUE(fails(6, 0, Body(9)));
  wire::PeerAckT ack;
  ack.received = 2;
  EXPECT_TRUE(fails(5, 0, Encode(ack))) << "more than was sent";
  ack.received = 1;
  EXPECT_FALSE(fails(5, 0, Encode(ack)));
  EXPECT_EQ(a_.unacked_messages(), 0U);
}

// Two raylets and a network that loses, cuts, and delivers in pieces; the same seed gives the same run.
class World {
 public:
  World(uint64_t seed, bool deadly) : random_(seed), deadly_(deadly) {}

  void Run(int steps) {
    for (int i = 0; i < steps; ++i) Step();
  }
  void Heal() {
    for (int i = 0; i < 2000 && !(Quiet() && i > 20); ++i) {
      if (links_.empty() || links_.back().cut || ends_[0].link != links_.size() - 1 || ends_[1].link != ends_[0].link)
        Dial(true);
      now_ += milliseconds(100);
      for (const size_t end : {0, 1}) {
        Beat(end);
        Write(end, ~size_t{0});
      }
      for (size_t link = 0; link < links_.size(); ++link)
        for (const size_t to : {0, 1}) Deliver(link, to, ~size_t{0});
    }
    EXPECT_TRUE(Quiet());
  }
  // For each session of the other side, the messages handed out here must be 1, 2, 3 … without a hole.
  void Check() const {
    for (const size_t end : {0, 1}) {
      const std::map<uint64_t, uint64_t>& sent = ends_[1 - end].sent;
      std::map<uint64_t, uint64_t> next;
      uint64_t session = 0;
      for (const auto& [from, number] : ends_[end].taken) {
        EXPECT_EQ(number, ++next[from]) << "session " << from;
        if (from != session) {
          EXPECT_EQ(number, 1U) << "sessions " << session << " and " << from << " are mixed";
        }
        session = from;
      }
      if (deadly_) continue;
      ASSERT_EQ(sent.size(), next.size());
      for (const auto& [from, count] : sent) EXPECT_EQ(next[from], count) << "session " << from;
    }
  }
  size_t deaths() const { return deaths_; }
  uint64_t resent() const { return ends_[0].session->counters().messages_resent; }

 private:
  static constexpr size_t kNoLink = ~size_t{0};
  struct End {
    std::unique_ptr<PeerSession> session;
    size_t link = kNoLink;  // attached
    FrameParser parser;
    std::map<uint64_t, uint64_t> sent;                 // by own session
    std::vector<std::pair<uint64_t, uint64_t>> taken;  // the sender's session, and the number in the message
  };
  struct Link {
    Bytes to[2];
    bool cut = false;
  };

  uint64_t Pick(uint64_t below) { return random_() % below; }

  void Step() {
    now_ += milliseconds(Pick(deadly_ ? 600 : 20));
    const size_t end = Pick(2);
    Beat(end);
    switch (Pick(12)) {
      case 0: return Dial(Pick(4) != 0);
      case 1:
        if (Pick(3) == 0) Cut();
        return;
      case 2: return Notice(end);
      case 3:
      case 4: return Say(end);
      case 5:
      case 6:
      case 7: return Write(end, Pick(400));
      default:
        if (!links_.empty()) Deliver(Pick(3) == 0 ? Pick(links_.size()) : links_.size() - 1, end, Pick(300));
    }
  }

  void Beat(size_t end) {
    PeerSession* const session = ends_[end].session.get();
    if (session == nullptr) return;
    if (session->HeartbeatDue(now_)) session->Heartbeat({}, now_);
    if (!deadly_) return;
    session->Tick(now_);
    if (session->state() == NodeState::kDead) Bury(end);
  }
  void Bury(size_t end) {
    if (ends_[end].session->born()) ++deaths_;
    ends_[end].session.reset();
    ends_[end].link = kNoLink;
  }
  void Attach(size_t end, size_t link, const wire::PeerAcceptedT& theirs) {
    ends_[end].session->Attach(theirs, now_);
    ends_[end].link = link;
    ends_[end].parser = FrameParser(kPeerBodyBytesMax);
  }

  // The handshake's end, as PeerLinks does it. Without `welcome` the listener's Accepted is lost.
  void Dial(bool welcome) {
    End& dialer = ends_[0];
    End& listener = ends_[1];
    if (dialer.session == nullptr) dialer.session = std::make_unique<PeerSession>(limits_, ++numbers_, now_);
    const auto greeting = dialer.session->Greeting();
    const auto meeting = PeerSession::Meet(listener.session.get(), greeting);
    if (meeting == PeerSession::Meeting::kEnded) {
      if (welcome) Bury(0);
      return;
    }
    if (meeting == PeerSession::Meeting::kBegin) {
      if (listener.session != nullptr) Bury(1);
      listener.session = std::make_unique<PeerSession>(limits_, ++numbers_, now_);
    }
    const auto answer = listener.session->Greeting();
    links_.emplace_back();
    Attach(1, links_.size() - 1, greeting);
    if (!welcome) {
      links_.back().cut = true;
      return;
    }
    if (dialer.session->Continues(answer)) return Attach(0, links_.size() - 1, answer);
    Bury(0);
  }
  void Cut() {
    for (Link& link : links_) {
      if (Pick(2) != 0) continue;
      link.cut = true;
      for (Bytes& bytes : link.to) bytes.resize(Pick(bytes.size() + 1));  // bytes under way may still arrive
    }
  }
  void Notice(size_t end) {
    End& at = ends_[end];
    if (at.link == kNoLink || !links_[at.link].cut) return;
    at.session->Detach();
    at.link = kNoLink;
  }
  void Say(size_t end) {
    End& at = ends_[end];
    if (at.session == nullptr || !at.session->born()) return;
    uint64_t& count = at.sent[at.session->number()];
    Bytes body(16 + Pick(64));
    const uint64_t session = at.session->number(), number = count + 1;
    std::memcpy(body.data(), &session, 8);
    std::memcpy(body.data() + 8, &number, 8);
    if (at.session->Send(kType, body)) ++count;
  }
  void Write(size_t end, size_t bytes_max) {
    End& at = ends_[end];
    if (at.link == kNoLink) return;
    Bytes out;
    at.session->AppendOutput(out, bytes_max);
    Link& link = links_[at.link];
    if (!link.cut) link.to[1 - end].insert(link.to[1 - end].end(), out.begin(), out.end());
  }
  void Deliver(size_t link, size_t to, size_t bytes_max) {
    Bytes& waiting = links_[link].to[to];
    const size_t size = std::min(bytes_max, waiting.size());
    const Bytes bytes(waiting.begin(), waiting.begin() + static_cast<std::ptrdiff_t>(size));
    waiting.erase(waiting.begin(), waiting.begin() + static_cast<std::ptrdiff_t>(size));
    End& at = ends_[to];
    if (at.link != link) return;  // the bytes belong to a connection that was given up
    at.parser.Feed(bytes);
    for (;;) {
      const auto frame = at.parser.Next();
      ASSERT_TRUE(frame) << frame.error().message;
      if (!*frame) return;
      const auto heard = at.session->OnFrame(**frame, now_);
      ASSERT_TRUE(heard) << heard.error().message;
      if (*heard != PeerSession::Heard::kMessage) continue;
      uint64_t session = 0, number = 0;
      std::memcpy(&session, (*frame)->body.data(), 8);
      std::memcpy(&number, (*frame)->body.data() + 8, 8);
      at.taken.emplace_back(session, number);
    }
  }
  bool Quiet() const {
    for (const End& end : ends_) {
      if (end.link == kNoLink || end.session->unacked_messages() > 0 || end.session->HasOutput()) return false;
    }
    return true;
  }

  std::mt19937_64 random_;
  const bool deadly_;
  TimePoint now_{seconds(1)};
  PeerSessionLimits limits_;
  uint64_t numbers_ = 0;
  End ends_[2];
  std::vector<Link> links_;
  size_t deaths_ = 0;
};

TEST(PeerSessionProperty, EveryMessageIsHandedOutOnceAndInOrderWhateverTheNetworkDoes) {
  uint64_t resent = 0;
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    World world(seed, /*deadly=*/false);
    world.Run(600);
    world.Heal();
    world.Check();
    EXPECT_EQ(world.deaths(), 0U);
    resent += world.resent();
    if (::testing::Test::HasFailure()) return;
  }
  EXPECT_GT(resent, 1000U) << "the network was too kind";
}

TEST(PeerSessionProperty, WhenSessionsDieNoMessageIsMixedIntoTheNextOne) {
  size_t deaths = 0;
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    World world(seed, /*deadly=*/true);
    world.Run(600);
    world.Heal();
    world.Check();
    deaths += world.deaths();
    if (::testing::Test::HasFailure()) return;
  }
  EXPECT_GT(deaths, 200U) << "nobody died";
}

}  // namespace
}  // namespace raylet
