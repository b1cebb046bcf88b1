// A session with a raylet that sends nonsense: frames of any type, number and body, over connections that come and go.
// It hands out 1, 2, 3 … and nothing else, keeps its bounds, and refuses what makes no sense.
#include "raylet/peers/introductions.h"
#include "raylet/peers/load.h"
#include "raylet/peers/session.h"
#include "tests/fuzz/fuzz.h"

namespace raylet {
namespace {

void Run(fuzz::Input input) {
  TimePoint now{std::chrono::seconds(1)};
  PeerSessionLimits limits;
  limits.unacked_messages_max = 8;
  limits.unacked_bytes_max = 4096;
  PeerSession session(limits, 7, now);
  uint64_t taken = 0;
  PeerIdentity other, third;
  other.node.mutable_data()[0] = 1;
  third.node.mutable_data()[0] = 2;
  PeerIntroductions introductions{NodeId()};
  introductions.Connected(other);
  for (int steps = 0; !input.empty() && steps < 256; ++steps) {
    const auto choice = input.Take<uint8_t>();
    switch (choice & 7) {
      case 0: {
        wire::PeerAcceptedT theirs;
        theirs.session = input.Take<uint8_t>();
        theirs.peer_session = input.Take<uint8_t>();
        theirs.received = input.Take<uint8_t>();
        static_cast<void>(PeerSession::Meet(&session, theirs));
        if (session.Continues(theirs)) session.Attach(theirs, now);
        break;
      }
      case 1: session.Detach(); break;
      case 2:
        static_cast<void>(session.Send(uint16_t{kPeerNumberedMin}, input.TakeBytes(input.Take<uint8_t>())));
        break;
      case 3: {
        Bytes out;
        session.AppendOutput(out, input.Take<uint16_t>());
        break;
      }
      case 4:
        now += std::chrono::milliseconds(input.Take<uint8_t>() * 8);
        if (session.HeartbeatDue(now)) session.Heartbeat({}, now);
        session.Tick(now);
        break;
      default: {
        if (!session.attached()) break;
        Frame frame;
        frame.header.type = input.Take<uint8_t>() % 32;
        frame.header.request_id = (choice & 8) != 0 ? input.Take<uint64_t>() : taken + 1;
        const auto body = input.TakeBytes(input.Take<uint16_t>() % 2048);
        frame.body.assign(body.begin(), body.end());
        const auto heard = session.OnFrame(frame, now);
        if (!heard) {
          session.Goodbye(heard.error());
        } else if (*heard == PeerSession::Heard::kMessage) {
          FUZZ_ASSERT(frame.header.request_id == ++taken);
        } else if (*heard == PeerSession::Heard::kIntroduction) {
          static_cast<void>(introductions.Hear(other.node, session.introduction()));
          static_cast<void>(introductions.TakeNews());
          (choice & 16) != 0 ? introductions.Connected(third) : introductions.Dead(third.node);
          if (const auto told = introductions.TakeFor(other.node); told && session.MayIntroduce())
            session.Introduce(*told);
        } else if (*heard == PeerSession::Heard::kHeartbeat) {
          if (const auto load = FromWire(session.heartbeat())) static_cast<void>(ToWire(*load));
        }
      }
    }
    FUZZ_ASSERT(session.unacked_messages() <= limits.unacked_messages_max);
    FUZZ_ASSERT(session.unacked_bytes() <= limits.unacked_bytes_max + 256 + sizeof(FrameHeader));
    FUZZ_ASSERT(session.state() != NodeState::kDead || session.unacked_messages() == 0);
  }
}

}  // namespace
}  // namespace raylet

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  raylet::Run(raylet::fuzz::Input(data, size));
  return 0;
}
