#include "raylet/peers/handshake.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>

#include "base/check.h"
#include "base/strings.h"

namespace raylet {
namespace {

constexpr std::string_view kProofLabel = "raylet peer proof 1";
constexpr size_t kShownBytesMax = 1024;

void AppendCounted(Bytes& out, std::span<const std::byte> bytes) {
  const auto size = static_cast<uint32_t>(bytes.size());
  const auto* const begin = reinterpret_cast<const std::byte*>(&size);
  out.insert(out.end(), begin, begin + sizeof size);
  out.insert(out.end(), bytes.begin(), bytes.end());
}

// A text of a stranger for a log line: short, and without control characters.
std::string Printable(std::string text) {
  if (text.size() > kShownBytesMax) text.resize(kShownBytesMax);
  std::replace_if(
      text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }, '?');
  return text;
}

}  // namespace

PeerHandshake::Nonce PeerHandshake::NewNonce(const std::function<uint64_t()>& random) {
  Nonce nonce;
  for (size_t i = 0; i < nonce.size(); i += sizeof(uint64_t)) {
    const uint64_t number = random();
    std::memcpy(nonce.data() + i, &number, sizeof number);
  }
  return nonce;
}

PeerHandshake::PeerHandshake(Options options, const Nonce& nonce, TimePoint now)
    : options_(std::move(options)), nonce_(nonce), deadline_(now + kHandshakeTimeout) {
  RAYLET_CHECK(options_.own.epoch != 0 && options_.own.machine != kNoMachine,
               "a raylet without an epoch or machine number");
  if (options_.side == Side::kDialer) SayHello();
}

void PeerHandshake::SayHello() {
  wire::PeerHelloT hello;
  hello.magic = kPeerMagic;
  hello.version_min = kPeerProtocolMin;
  hello.version_max = kPeerProtocolMax;
  hello.build = kBuild;
  hello.node = std::make_unique<wire::Id20>(ToWire(options_.own.node));
  hello.epoch = options_.own.epoch;
  hello.machine_number = static_cast<uint32_t>(options_.own.machine);
  hello.role = options_.role;
  hello.nonce.assign(nonce_.begin(), nonce_.end());
  hello.address = options_.own.address;
  own_hello_ = Encode(hello);
  AppendFrame(out_, static_cast<uint16_t>(wire::PeerMessage::Hello), 0, own_hello_);
}

size_t PeerHandshake::Wanted() const {
  if (state_ != State::kUnderWay) return 0;
  if (in_.size() < sizeof(FrameHeader)) return sizeof(FrameHeader) - in_.size();
  FrameHeader header;
  std::memcpy(&header, in_.data(), sizeof header);
  return sizeof header + header.body_bytes - in_.size();
}

void PeerHandshake::Feed(std::span<const std::byte> bytes) {
  RAYLET_CHECK(bytes.size() <= Wanted(), bytes.size(), " bytes for a handshake that wants ", Wanted());
  if (bytes.empty()) return;
  bytes_taken_ += bytes.size();
  in_.insert(in_.end(), bytes.begin(), bytes.end());
  if (in_.size() == sizeof(FrameHeader)) {
    FrameHeader header;
    std::memcpy(&header, in_.data(), sizeof header);
    const auto type = static_cast<wire::PeerMessage>(header.type);
    if (type != expected_ && type != wire::PeerMessage::Refused) {
      return GiveUp({ErrorCode::kProtocolError, bytes_taken_ == in_.size()
                                                    ? std::string("the other side does not speak as a raylet does")
                                                    : StrCat("message ", header.type, " came where ",
                                                             wire::EnumNamePeerMessage(expected_), " was expected")});
    }
    if (bytes_taken_ + header.body_bytes > kHandshakeBytesMax) {
      return GiveUp({ErrorCode::kProtocolError, StrCat("a handshake takes ", kHandshakeBytesMax,
                                                       " bytes at most, and the other side announces more")});
    }
  }
  if (in_.size() >= sizeof(FrameHeader) && Wanted() == 0) OnFrame();
}

void PeerHandshake::OnFrame() {
  FrameHeader header;
  std::memcpy(&header, in_.data(), sizeof header);
  const Bytes body(in_.begin() + sizeof header, in_.end());
  in_.clear();
  const auto type = static_cast<wire::PeerMessage>(header.type);
  if (type == wire::PeerMessage::Refused) return OnRefused(body);
  const auto heard = type == wire::PeerMessage::Hello   ? OnHello(body)
                     : type == wire::PeerMessage::Proof ? OnProof(body)
                                                        : OnAccepted(body);
  if (heard) return;
  // A stranger that does not greet as a raylet gets no answer.
  if (heard.error().code == ErrorCode::kProtocolError) return GiveUp(heard.error());
  Refuse(wire::RefusalKind::Other, heard.error());
  if (heard.error().code == ErrorCode::kNotAllowed) NameOwnTokenFile();
}

// For this raylet's log. The other side does not hear it.
void PeerHandshake::NameOwnTokenFile() {
  if (!options_.token.file().empty())
    failure_.message += StrCat("; the token of ", options_.own.address, " is that in ", options_.token.file());
}

Result<void> PeerHandshake::OnHello(std::span<const std::byte> body) {
  const auto hello = Parse<wire::PeerHelloT>(body);
  if (!hello) return Fail(hello.error());
  RAYLET_RETURN_IF_ERROR(CheckHello(*hello));
  peer_ = {FromWire<NodeId>(*hello->node), hello->epoch, MachineNumber{hello->machine_number},
           Printable(hello->address)};
  peer_hello_.assign(body.begin(), body.end());
  if (peer_.node == options_.own.node) {
    to_itself_ = peer_.epoch == options_.own.epoch;
    if (!to_itself_) {
      return Fail(ErrorCode::kAlreadyExists,
                  StrCat("two raylets have the node id ", peer_.node.hex(), ": the one at ", options_.own.address,
                         " and the one at ", peer_.address, ": stop one of them"));
    }
    if (options_.side == Side::kDialer)
      return Fail(ErrorCode::kWrongState, StrCat(options_.own.address, " is this raylet itself"));
  }
  if (peer_.machine == options_.own.machine && !to_itself_) {
    return Fail(ErrorCode::kAlreadyExists, StrCat("the raylets at ", options_.own.address, " and ", peer_.address,
                                                  " number their processes alike (",
                                                  static_cast<uint32_t>(peer_.machine), "): start one of them again"));
  }
  if (options_.side == Side::kDialer && !options_.dialed.empty() && peer_.address != options_.dialed) {
    other_address_ = true;
    return Fail(ErrorCode::kWrongState,
                StrCat("the listener at ", options_.dialed, " says that its address is ", peer_.address,
                       ": somebody passes its words on, and could change them; dial the address of its --node-ip and "
                       "--port"));
  }
  if (options_.side == Side::kListener) {
    options_.role = hello->role;
    SayHello();
  } else {
    wire::PeerProofT proof;
    const auto mac = Mac(Side::kDialer);
    proof.mac.assign(mac.begin(), mac.end());
    Say(wire::PeerMessage::Proof, proof);
  }
  expected_ = wire::PeerMessage::Proof;
  return {};
}

Result<void> PeerHandshake::CheckHello(const wire::PeerHelloT& hello) const {
  if (hello.magic != kPeerMagic)
    return Fail(ErrorCode::kProtocolError, "the other side does not speak the protocol between raylets");
  if (hello.version_max < kPeerProtocolMin || hello.version_min > kPeerProtocolMax) {
    return Fail(ErrorCode::kVersionMismatch,
                StrCat("the raylet at ", options_.own.address, " (", kBuild, ") speaks protocol ", kPeerProtocolMin,
                       " to ", kPeerProtocolMax, " with others, and the one at ", Printable(hello.address), " (",
                       Printable(hello.build), ") ", hello.version_min, " to ", hello.version_max,
                       ": use the same release for both"));
  }
  if (hello.node == nullptr || hello.epoch == 0 || hello.machine_number == 0 || hello.nonce.size() != kNonceBytes ||
      hello.role > wire::PeerRole::MAX || hello.address.size() > kAddressBytesMax)
    return Fail(ErrorCode::kProtocolError, "a raylet greets with a Hello that makes no sense");
  if (options_.side == Side::kDialer && hello.role != options_.role)
    return Fail(ErrorCode::kProtocolError, "a raylet answers in another role than it was asked for");
  return {};
}

Result<void> PeerHandshake::OnProof(std::span<const std::byte> body) {
  const auto proof = Parse<wire::PeerProofT>(body);
  if (!proof) return Fail(proof.error());
  const Side prover = options_.side == Side::kDialer ? Side::kListener : Side::kDialer;
  const auto expected = Mac(prover);
  if (to_itself_ || proof->mac.size() != expected.size() ||
      CRYPTO_memcmp(proof->mac.data(), expected.data(), expected.size()) != 0) {
    return Fail(ErrorCode::kNotAllowed,
                StrCat("the raylets at ", options_.own.address, " and ", peer_.address,
                       " have different tokens: copy the token file of the one to the other, with mode 0600, and start "
                       "that one again with its --token-file"));
  }
  proven_ = true;
  expected_ = wire::PeerMessage::Accepted;
  if (options_.side == Side::kDialer) {
    state_ = State::kProven;
    return {};
  }
  wire::PeerProofT answer;
  const auto mac = Mac(Side::kListener);
  answer.mac.assign(mac.begin(), mac.end());
  Say(wire::PeerMessage::Proof, answer);
  return {};
}

Result<void> PeerHandshake::OnAccepted(std::span<const std::byte> body) {
  auto accepted = Parse<wire::PeerAcceptedT>(body);
  if (!accepted) return Fail(accepted.error());
  accepted_ = std::move(*accepted);
  state_ = options_.side == Side::kDialer ? State::kOpen : State::kProven;
  return {};
}

void PeerHandshake::OnRefused(std::span<const std::byte> body) {
  const auto refused = Parse<wire::PeerRefusedT>(body);
  if (!refused) return GiveUp(refused.error());
  refusal_ = refused->kind <= wire::RefusalKind::MAX ? refused->kind : wire::RefusalKind::Other;
  const auto code = static_cast<ErrorCode>(refused->status->code);
  GiveUp({code == ErrorCode::kOk || code > ErrorCode::kUnavailable ? ErrorCode::kNotAllowed : code,
          Printable(refused->status->message)});
  // Before the proof, kNotAllowed means that the tokens differ.
  if (!proven_ && code == ErrorCode::kNotAllowed) NameOwnTokenFile();
}

void PeerHandshake::Accept(const wire::PeerAcceptedT& accepted) {
  RAYLET_CHECK(state_ == State::kProven, "a handshake is accepted that is not proven");
  Say(wire::PeerMessage::Accepted, accepted);
  state_ = options_.side == Side::kDialer ? State::kUnderWay : State::kOpen;
}

void PeerHandshake::Refuse(wire::RefusalKind kind, const Error& why) {
  if (state_ == State::kFailed || state_ == State::kOpen) return;
  own_refusal_ = kind;
  wire::PeerRefusedT refused;
  refused.kind = kind;
  refused.status = MakeWireStatus({why.code, Printable(why.message)});
  Say(wire::PeerMessage::Refused, refused);
  GiveUp(why);
}

void PeerHandshake::Tick(TimePoint now) {
  if (state_ == State::kFailed || state_ == State::kOpen || now < deadline_) return;
  GiveUp({ErrorCode::kTimedOut,
          StrCat("the other side did not finish its greeting within ", kHandshakeTimeout.count(), " s")});
}

void PeerHandshake::GiveUp(Error why) {
  state_ = State::kFailed;
  failure_ = std::move(why);
  in_.clear();
}

Bytes PeerHandshake::TakeOutput() { return std::exchange(out_, {}); }

template <class Message>
void PeerHandshake::Say(wire::PeerMessage type, const Message& message) {
  AppendFrame(out_, static_cast<uint16_t>(type), 0, Encode(message));
}

std::array<uint8_t, kMacBytes> PeerHandshake::Mac(Side prover) const {
  const bool dialer = options_.side == Side::kDialer;
  Bytes text;
  for (const char c : kProofLabel) text.push_back(static_cast<std::byte>(c));
  text.push_back(static_cast<std::byte>(prover));
  AppendCounted(text, dialer ? own_hello_ : peer_hello_);
  AppendCounted(text, dialer ? peer_hello_ : own_hello_);
  const std::string& token = options_.token.bytes();
  std::array<uint8_t, kMacBytes> mac{};
  unsigned size = 0;
  const bool made = HMAC(EVP_sha256(), token.data(), static_cast<int>(token.size()),
                         reinterpret_cast<const uint8_t*>(text.data()), text.size(), mac.data(), &size) != nullptr;
  RAYLET_CHECK(made && size == kMacBytes, "OpenSSL makes no HMAC-SHA256");
  return mac;
}

}  // namespace raylet
