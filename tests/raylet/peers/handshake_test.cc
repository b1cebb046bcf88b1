#include "raylet/peers/handshake.h"

#include <gtest/gtest.h>

#include <functional>

namespace raylet {
namespace {

using Side = PeerHandshake::Side;
using State = PeerHandshake::State;

const TimePoint kStart{std::chrono::seconds(1000)};

PeerHandshake::Options OptionsOf(Side side, const std::string& token = "a token of the cluster") {
  PeerHandshake::Options options;
  options.own.node.mutable_data()[0] = side == Side::kDialer ? 1 : 2;
  options.own.epoch = side == Side::kDialer ? 11 : 12;
  options.own.machine = side == Side::kDialer ? MachineNumber{21} : MachineNumber{22};
  options.own.address = side == Side::kDialer ? "10.0.0.1:7001" : "10.0.0.2:7002";
  options.side = side;
  options.token = *PeerToken::FromBytes(token, "/home/of/" + std::to_string(options.own.epoch));
  return options;
}

PeerHandshake Begin(const PeerHandshake::Options& options, uint8_t nonce) {
  PeerHandshake::Nonce bytes;
  bytes.fill(nonce);
  return PeerHandshake(options, bytes, kStart);
}

// Feeds the bytes that the handshake wants, at most `piece` at a time; the others stay.
void Feed(PeerHandshake& handshake, Bytes& bytes, size_t piece = 4096) {
  while (handshake.Wanted() > 0 && !bytes.empty()) {
    const size_t size = std::min({handshake.Wanted(), piece, bytes.size()});
    handshake.Feed(std::span(bytes).first(size));
    bytes.erase(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size));
  }
}

using Bend = std::function<void(Side from, Bytes&)>;

// Carries bytes to and fro until nothing more comes; each side accepts once the other has proved itself.
void Converse(PeerHandshake& dialer, PeerHandshake& listener, size_t piece = 4096, const Bend& bend = {}) {
  for (int turn = 0; turn < 10; ++turn) {
    for (auto* const from : {&dialer, &listener}) {
      if (from->state() == State::kProven) {
        wire::PeerAcceptedT accepted;
        accepted.session = from == &dialer ? 31 : 32;
        from->Accept(accepted);
      }
      Bytes bytes = from->TakeOutput();
      if (bend && !bytes.empty()) bend(from->side(), bytes);
      Feed(from == &dialer ? listener : dialer, bytes, piece);
    }
  }
}

bool Says(const PeerHandshake& handshake, const std::string& words) {
  return handshake.failure().message.find(words) != std::string::npos;
}

TEST(PeerHandshake, TwoRayletsWithOneTokenProveThemselvesHoweverTheirBytesAreCut) {
  for (const size_t piece : {1U, 7U, 4096U}) {
    auto options = OptionsOf(Side::kDialer);
    options.role = wire::PeerRole::Bulk;
    auto dialer = Begin(options, 1);
    auto listener = Begin(OptionsOf(Side::kListener), 2);
    Converse(dialer, listener, piece);
    ASSERT_EQ(dialer.state(), State::kOpen) << dialer.failure().message;
    ASSERT_EQ(listener.state(), State::kOpen) << listener.failure().message;
    EXPECT_EQ(dialer.peer().node.data()[0], 2);
    EXPECT_EQ(dialer.peer().epoch, 12U);
    EXPECT_EQ(dialer.peer().machine, MachineNumber{22});
    EXPECT_EQ(dialer.peer().address, "10.0.0.2:7002");
    EXPECT_EQ(dialer.accepted().session, 32U);
    EXPECT_EQ(listener.peer().node.data()[0], 1);
    EXPECT_EQ(listener.peer().epoch, 11U);
    EXPECT_EQ(listener.accepted().session, 31U);
    EXPECT_EQ(listener.role(), wire::PeerRole::Bulk);
  }
}

TEST(PeerHandshake, DifferentTokensAreToldToBothAndNeitherIsProven) {
  auto dialer = Begin(OptionsOf(Side::kDialer, "a token of the cluster"), 1);
  auto listener = Begin(OptionsOf(Side::kListener, "a token of another one"), 2);
  Converse(dialer, listener);
  for (const auto* each : {&dialer, &listener}) {
    EXPECT_EQ(each->state(), State::kFailed);
    EXPECT_FALSE(each->proven());
    EXPECT_EQ(each->failure().code, ErrorCode::kNotAllowed);
    EXPECT_TRUE(Says(*each, "different tokens")) << each->failure().message;
    EXPECT_TRUE(Says(*each, "copy the token file"));
    EXPECT_TRUE(Says(*each, "--token-file"));
  }
  EXPECT_TRUE(dialer.refusal().has_value());
}

TEST(PeerHandshake, RayletsWithRandomTokensDoNotMeet) {
  auto options = OptionsOf(Side::kDialer);
  options.token = PeerToken();
  auto dialer = Begin(options, 1);
  options = OptionsOf(Side::kListener);
  options.token = PeerToken();
  auto listener = Begin(options, 2);
  Converse(dialer, listener);
  EXPECT_EQ(listener.state(), State::kFailed);
  EXPECT_FALSE(dialer.proven());
  EXPECT_FALSE(listener.proven());
}

TEST(PeerHandshake, EachSideNamesItsOwnTokenFileAndNotTheOthers) {
  auto dialer = Begin(OptionsOf(Side::kDialer, "a token of the cluster"), 1);
  auto listener = Begin(OptionsOf(Side::kListener, "a token of another one"), 2);
  Converse(dialer, listener);
  EXPECT_TRUE(Says(dialer, "/home/of/11") && !Says(dialer, "/home/of/12")) << dialer.failure().message;
  EXPECT_TRUE(Says(listener, "/home/of/12") && !Says(listener, "/home/of/11")) << listener.failure().message;
}

TEST(PeerHandshake, ReadsNoByteAfterTheHandshake) {
  auto dialer = Begin(OptionsOf(Side::kDialer), 1);
  auto listener = Begin(OptionsOf(Side::kListener), 2);
  Bytes to_dialer, to_listener;
  for (int turn = 0; turn < 6; ++turn) {
    for (auto* const each : {&dialer, &listener})
      if (each->state() == State::kProven) each->Accept({});
    for (const std::byte each : dialer.TakeOutput()) to_listener.push_back(each);
    for (const std::byte each : listener.TakeOutput()) to_dialer.push_back(each);
    if (listener.state() == State::kOpen && to_dialer.back() != std::byte{77}) to_dialer.push_back(std::byte{77});
    Feed(listener, to_listener);
    Feed(dialer, to_dialer);
  }
  EXPECT_EQ(dialer.state(), State::kOpen);
  EXPECT_EQ(to_dialer, Bytes{std::byte{77}});
}

// Builds the frame of another raylet's Hello, from ours.
Bytes HelloFrame(const std::function<void(wire::PeerHelloT&)>& change, Side side = Side::kDialer) {
  wire::PeerHelloT hello;
  const auto options = OptionsOf(side);
  hello.magic = kPeerMagic;
  hello.version_min = kPeerProtocolMin;
  hello.version_max = kPeerProtocolMax;
  hello.build = "9.9";
  hello.node = std::make_unique<wire::Id20>(ToWire(options.own.node));
  hello.epoch = options.own.epoch;
  hello.machine_number = static_cast<uint32_t>(options.own.machine);
  hello.nonce.assign(kNonceBytes, 9);
  hello.address = options.own.address;
  change(hello);
  Bytes frame;
  AppendFrame(frame, static_cast<uint16_t>(wire::PeerMessage::Hello), 0, Encode(hello));
  return frame;
}

TEST(PeerHandshake, AnotherVersionIsRefusedWithBothNamed) {
  auto listener = Begin(OptionsOf(Side::kListener), 2);
  Bytes hello = HelloFrame([](wire::PeerHelloT& each) { each.version_min = each.version_max = 7; });
  Feed(listener, hello);
  EXPECT_EQ(listener.state(), State::kFailed);
  EXPECT_EQ(listener.failure().code, ErrorCode::kVersionMismatch);
  EXPECT_TRUE(Says(listener, "(9.9) 7 to 7")) << listener.failure().message;
  auto dialer = Begin(OptionsOf(Side::kDialer), 1);
  Bytes answer = listener.TakeOutput();
  Feed(dialer, answer);
  EXPECT_EQ(dialer.failure().code, ErrorCode::kVersionMismatch);
  EXPECT_FALSE(dialer.proven());
}

TEST(PeerHandshake, HellosThatMakeNoSenseEndItWithoutAnAnswer) {
  using Hello = wire::PeerHelloT;
  const std::function<void(Hello&)> changes[] = {
      [](Hello& each) { each.magic = kRayletMagic; },
      [](Hello& each) { each.node.reset(); },
      [](Hello& each) { each.epoch = 0; },
      [](Hello& each) { each.machine_number = 0; },
      [](Hello& each) { each.nonce.resize(31); },
      [](Hello& each) { each.nonce.clear(); },
      [](Hello& each) { each.address.assign(301, 'x'); },
      [](Hello& each) { each.role = wire::PeerRole{2}; },
      [](Hello& each) { each.build.assign(5000, 'x'); },
  };
  for (const auto& change : changes) {
    auto listener = Begin(OptionsOf(Side::kListener), 2);
    Bytes hello = HelloFrame(change);
    Feed(listener, hello);
    EXPECT_EQ(listener.state(), State::kFailed);
    EXPECT_EQ(listener.failure().code, ErrorCode::kProtocolError) << listener.failure().message;
    EXPECT_TRUE(listener.TakeOutput().empty());
  }
}

TEST(PeerHandshake, AStrangerIsRecognizedByItsFirstBytes) {
  const std::string request = "GET / HTTP/1.1\r\nHost: example\r\n\r\n";
  Bytes bytes(request.size());
  std::memcpy(bytes.data(), request.data(), request.size());
  auto listener = Begin(OptionsOf(Side::kListener), 2);
  EXPECT_TRUE(listener.said_nothing());
  Feed(listener, bytes);
  EXPECT_EQ(listener.state(), State::kFailed);
  EXPECT_FALSE(listener.said_nothing());
  EXPECT_TRUE(Says(listener, "does not speak as a raylet")) << listener.failure().message;
  EXPECT_TRUE(listener.TakeOutput().empty());
}

TEST(PeerHandshake, AHelloThatNeverEndsIsGivenFiveSeconds) {
  auto listener = Begin(OptionsOf(Side::kListener), 2);
  Bytes hello = HelloFrame([](wire::PeerHelloT&) {});
  hello.pop_back();
  Feed(listener, hello, 1);
  listener.Tick(kStart + kHandshakeTimeout - std::chrono::nanoseconds(1));
  EXPECT_EQ(listener.state(), State::kUnderWay);
  listener.Tick(kStart + kHandshakeTimeout);
  EXPECT_EQ(listener.state(), State::kFailed);
  EXPECT_EQ(listener.failure().code, ErrorCode::kTimedOut);
}

TEST(PeerHandshake, TimeInWhichNobodyListenedExtendsTheDeadline) {
  auto listener = Begin(OptionsOf(Side::kListener), 2);
  const TimePoint resumed = kStart + std::chrono::seconds(14);
  listener.DidNotListen(std::chrono::seconds(13), resumed);
  listener.Tick(resumed);
  EXPECT_EQ(listener.state(), State::kUnderWay);
  listener.Tick(kStart + std::chrono::seconds(13) + kHandshakeTimeout);
  EXPECT_EQ(listener.state(), State::kFailed);
  // A handshake that began after the stall gets the usual time.
  auto later = PeerHandshake(OptionsOf(Side::kListener), {}, resumed);
  later.DidNotListen(std::chrono::seconds(13), resumed);
  later.Tick(resumed + kHandshakeTimeout);
  EXPECT_EQ(later.state(), State::kFailed);
}

TEST(PeerHandshake, TwoRayletsWithOneNodeIdHearOfEachOther) {
  auto options = OptionsOf(Side::kDialer);
  options.own.node = OptionsOf(Side::kListener).own.node;
  auto dialer = Begin(options, 1);
  auto listener = Begin(OptionsOf(Side::kListener), 2);
  Converse(dialer, listener);
  for (const auto* each : {&dialer, &listener}) {
    EXPECT_EQ(each->state(), State::kFailed);
    EXPECT_FALSE(each->to_itself());
    EXPECT_TRUE(Says(*each, "two raylets have the node id 02")) << each->failure().message;
    EXPECT_TRUE(Says(*each, "10.0.0.1:7001") && Says(*each, "10.0.0.2:7002"));
  }
}

TEST(PeerHandshake, ARayletThatDialsItselfNotices) {
  auto options = OptionsOf(Side::kDialer);
  auto dialer = Begin(options, 1);
  options.side = Side::kListener;
  auto listener = Begin(options, 2);
  Converse(dialer, listener);
  EXPECT_EQ(dialer.state(), State::kFailed);
  EXPECT_TRUE(dialer.to_itself());
  EXPECT_TRUE(listener.to_itself());
  EXPECT_FALSE(listener.proven());
}

TEST(PeerHandshake, TwoRayletsThatNumberTheirProcessesAlikeDoNotMeet) {
  auto options = OptionsOf(Side::kDialer);
  options.own.machine = MachineNumber{22};
  auto dialer = Begin(options, 1);
  auto listener = Begin(OptionsOf(Side::kListener), 2);
  Converse(dialer, listener);
  EXPECT_TRUE(Says(listener, "number their processes alike")) << listener.failure().message;
  EXPECT_TRUE(Says(dialer, "number their processes alike"));
}

TEST(PeerHandshake, AStrangerThatReflectsItsInputProvesNothing) {
  auto dialer = Begin(OptionsOf(Side::kDialer), 1);
  Bytes hello = dialer.TakeOutput();
  Feed(dialer, hello);  // its own
  EXPECT_EQ(dialer.state(), State::kFailed);
  EXPECT_FALSE(dialer.proven());

  // Or, with a Hello of the stranger's own, the Proof alone.
  auto victim = Begin(OptionsOf(Side::kDialer), 1);
  (void)victim.TakeOutput();
  Bytes answer = HelloFrame([](wire::PeerHelloT&) {}, Side::kListener);
  Feed(victim, answer);
  Bytes proof = victim.TakeOutput();
  ASSERT_FALSE(proof.empty());
  Feed(victim, proof);
  EXPECT_EQ(victim.state(), State::kFailed);
  EXPECT_FALSE(victim.proven());
}

TEST(PeerHandshake, DialerProvesNothingToAListenerThatSaysAnotherAddress) {
  auto options = OptionsOf(Side::kDialer);
  options.dialed = "10.0.0.2:7002";
  auto dialer = Begin(options, 1);
  auto listener = Begin(OptionsOf(Side::kListener), 2);
  Converse(dialer, listener);
  EXPECT_EQ(dialer.state(), State::kOpen) << dialer.failure().message;

  options.dialed = "10.0.0.2:7009";
  auto victim = Begin(options, 1);
  auto another = Begin(OptionsOf(Side::kListener), 2);
  int frames = 0;
  Converse(victim, another, 4096, [&](Side from, Bytes& bytes) {
    FrameHeader header;
    std::memcpy(&header, bytes.data(), sizeof header);
    if (from == Side::kDialer && header.type == static_cast<uint16_t>(wire::PeerMessage::Proof)) ++frames;
  });
  EXPECT_TRUE(victim.other_address());
  EXPECT_EQ(frames, 0) << "no proof that could be passed on";
  EXPECT_FALSE(another.proven());
  EXPECT_TRUE(Says(victim, "10.0.0.2:7009") && Says(victim, "10.0.0.2:7002")) << victim.failure().message;
}

TEST(PeerHandshake, ProofsOfOneConnectionDoNotFitAnother) {
  Bytes recorded_hello, recorded_proof;
  {
    auto dialer = Begin(OptionsOf(Side::kDialer), 1);
    auto listener = Begin(OptionsOf(Side::kListener), 2);
    Converse(dialer, listener, 4096, [&](Side from, Bytes& bytes) {
      if (from != Side::kDialer) return;
      if (recorded_hello.empty()) {
        recorded_hello = bytes;
      } else if (recorded_proof.empty()) {
        recorded_proof = bytes;
      }
    });
    ASSERT_EQ(listener.state(), State::kOpen);
  }
  auto listener = Begin(OptionsOf(Side::kListener), 3);  // another nonce
  Feed(listener, recorded_hello);
  Feed(listener, recorded_proof);
  EXPECT_EQ(listener.state(), State::kFailed);
  EXPECT_FALSE(listener.proven());
}

TEST(PeerHandshake, NoFlippedBitOfAHelloIsOverlooked) {
  for (const Side bent : {Side::kDialer, Side::kListener}) {
    for (size_t at = 8; at < 400; ++at) {
      auto dialer = Begin(OptionsOf(Side::kDialer), 1);
      auto listener = Begin(OptionsOf(Side::kListener), 2);
      size_t seen = 0;
      bool hit = false;
      // A frame's header beyond length and type means nothing.
      Converse(dialer, listener, 4096, [&](Side from, Bytes& bytes) {
        FrameHeader header;
        std::memcpy(&header, bytes.data(), sizeof header);
        if (from == bent && header.type == static_cast<uint16_t>(wire::PeerMessage::Hello) && at >= seen + 16 &&
            at < seen + sizeof header + header.body_bytes) {
          bytes[at - seen] ^= std::byte{1};
          hit = true;
        }
        if (from == bent) seen += sizeof header + header.body_bytes;
      });
      if (!hit) continue;
      EXPECT_NE(dialer.state(), State::kOpen) << "byte " << at;
      EXPECT_NE(listener.state(), State::kOpen) << "byte " << at;
    }
  }
}

TEST(PeerHandshake, AProvenRayletMayBeRefusedWithAKindAndASentence) {
  auto dialer = Begin(OptionsOf(Side::kDialer), 1);
  auto listener = Begin(OptionsOf(Side::kListener), 2);
  for (int turn = 0; turn < 4 && listener.state() == State::kUnderWay; ++turn) {
    if (dialer.state() == State::kProven) dialer.Accept({});
    Bytes bytes = dialer.TakeOutput();
    Feed(listener, bytes);
    bytes = listener.TakeOutput();
    Feed(dialer, bytes);
  }
  ASSERT_EQ(listener.state(), State::kProven);
  listener.Refuse(wire::RefusalKind::DialBack, {ErrorCode::kWrongState, "I dial"});
  Bytes bytes = listener.TakeOutput();
  Feed(dialer, bytes);
  EXPECT_EQ(dialer.state(), State::kFailed);
  EXPECT_TRUE(dialer.proven());
  EXPECT_EQ(dialer.refusal(), wire::RefusalKind::DialBack);
  EXPECT_EQ(dialer.failure().message, "I dial");
}

TEST(PeerHandshake, TextOfStrangersIsLoggedWithoutControlCharacters) {
  auto options = OptionsOf(Side::kDialer);
  options.token = PeerToken();  // of no file: the failure would name it
  auto dialer = Begin(options, 1);
  wire::PeerRefusedT refused;
  refused.status =
      MakeWireStatus({ErrorCode::kNotAllowed, "no\n2026 error: all is lost\x1b[2J" + std::string(3000, 'x')});
  Bytes frame;
  AppendFrame(frame, static_cast<uint16_t>(wire::PeerMessage::Refused), 0, Encode(refused));
  Feed(dialer, frame);
  EXPECT_EQ(dialer.failure().message.substr(0, 31), "no?2026 error: all is lost?[2Jx");
  EXPECT_LE(dialer.failure().message.size(), 1024U);
}

}  // namespace
}  // namespace raylet
