// A stranger at a raylet's port, or one that a raylet dials, sends any bytes in any pieces. It is never
// taken for a raylet of the cluster and costs 4 KiB at most. Before it has proved itself, it hears
// nothing that depends on the token.
#include "raylet/peers/handshake.h"
#include "tests/fuzz/fuzz.h"

namespace raylet {
namespace {

void Run(fuzz::Input input) {
  const auto choice = input.Take<uint8_t>();
  const auto piece_bytes_max = size_t{1} + input.Take<uint8_t>();
  PeerHandshake::Options options;
  options.own.node.mutable_data()[0] = 1;
  options.own.epoch = 2;
  options.own.machine = MachineNumber{3};
  options.own.address = "127.0.0.1:1";
  options.token = *PeerToken::FromBytes("a token that no input knows");
  options.side = (choice & 1) != 0 ? PeerHandshake::Side::kDialer : PeerHandshake::Side::kListener;
  PeerHandshake handshake(options, PeerHandshake::Nonce{}, TimePoint());
  size_t taken = 0;
  while (!input.empty() && handshake.Wanted() > 0) {
    const auto piece = input.TakeBytes(std::min(handshake.Wanted(), piece_bytes_max));
    taken += piece.size();
    handshake.Feed(piece);
    FUZZ_ASSERT(taken <= kHandshakeBytesMax + sizeof(FrameHeader));
  }
  FUZZ_ASSERT(!handshake.proven());
  FUZZ_ASSERT(handshake.state() == PeerHandshake::State::kUnderWay ||
              handshake.state() == PeerHandshake::State::kFailed);
  if (handshake.state() == PeerHandshake::State::kFailed) FUZZ_ASSERT(!handshake.failure().message.empty());
  const Bytes said = handshake.TakeOutput();
  FrameParser parser(kHandshakeBytesMax);
  parser.Feed(said);
  while (true) {
    const auto frame = parser.Next();
    FUZZ_ASSERT(frame.has_value());
    if (!*frame) break;
    const auto type = static_cast<wire::PeerMessage>((*frame)->header.type);
    const bool dialer = handshake.side() == PeerHandshake::Side::kDialer;  // proves itself first
    FUZZ_ASSERT(type == wire::PeerMessage::Hello || type == wire::PeerMessage::Refused ||
                (dialer && type == wire::PeerMessage::Proof));
  }
  handshake.Tick(TimePoint() + kHandshakeTimeout);
  FUZZ_ASSERT(handshake.state() == PeerHandshake::State::kFailed);
}

}  // namespace
}  // namespace raylet

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  raylet::Run(raylet::fuzz::Input(data, size));
  return 0;
}
