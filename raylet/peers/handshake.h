// PeerHandshake: how two raylets prove themselves to each other on a new connection, before either
// believes a byte of it. A core: bytes in, bytes out; clock and nonce come from outside. Owned by
// the connection; loop thread.
//
//   dialer                          listener
//   Hello(who, epoch, role, nonce)  →
//                                   ← Hello(who, epoch, role, nonce)
//   Proof                           →
//                                   ← Proof
//   Accepted                        →
//                                   ← Accepted, or Refused with a sentence instead of any of these
//
// A Proof is HMAC-SHA256 under the token of a label, the prover's side, and both Hellos as they
// travelled. So it is bound to both nonces, ids, epochs, roles and version ranges. It fits no other
// connection, and not the other side of this one. The listener proves itself only after the dialer
// has. Nothing after the handshake is encrypted or signed.
//
// Always holds: until both proofs are good, the caller learns nothing from the other side but the reason of a failure.
// The handshake reads at most 4 KiB, no byte that follows it, and nothing after 5 s.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>

#include "base/clock.h"
#include "base/frame.h"
#include "base/result.h"
#include "fbs/messages.h"
#include "raylet/peers/token.h"

namespace raylet {

constexpr size_t kHandshakeBytesMax = 4096;  // read from the other side, in total
constexpr std::chrono::seconds kHandshakeTimeout{5};
constexpr size_t kNonceBytes = 32;
constexpr size_t kMacBytes = 32;
constexpr size_t kAddressBytesMax = 300;

using ConnectionId = uint64_t;  // unique in one life of this raylet; never 0

// A raylet as the others know it.
struct PeerIdentity {
  NodeId node;
  uint64_t epoch = 0;       // of this life; never 0
  MachineNumber machine{};  // never kNoMachine
  std::string address;      // where it listens, host:port
};

class PeerHandshake {
 public:
  enum class Side : uint8_t { kDialer = 'D', kListener = 'L' };
  enum class State {
    kUnderWay,
    kProven,  // the other side has proved itself: Accept or Refuse it
    kOpen,    // both have accepted: the connection is for its role now
    kFailed,  // send what is in the output, and close
  };
  using Nonce = std::array<uint8_t, kNonceBytes>;
  struct Options {
    PeerIdentity own;
    Side side = Side::kDialer;
    wire::PeerRole role = wire::PeerRole::Session;  // the dialer's wish; a listener takes either role
    PeerToken token;
    // The address that a dialer has dialed. A listener whose Hello has another address gets no
    // proof, because it could pass the proof on to the raylet there. Empty: any address.
    std::string dialed;
  };

  // From a source of random numbers, each used once.
  static Nonce NewNonce(const std::function<uint64_t()>& random);

  // `nonce` is random and never used again.
  PeerHandshake(Options options, const Nonce& nonce, TimePoint now);

  // How many bytes may come next: never more than belong to the handshake. 0 in kProven, kOpen and
  // kFailed.
  size_t Wanted() const;
  void Feed(std::span<const std::byte> bytes);  // at most Wanted()
  void Tick(TimePoint now);                     // kFailed when it takes too long
  // Nobody served the connection for this time, so the deadline moves by it, at most to a whole handshake from now.
  void DidNotListen(Duration time, TimePoint now) { deadline_ = std::min(deadline_ + time, now + kHandshakeTimeout); }
  Bytes TakeOutput();  // to be sent, in this order

  State state() const { return state_; }
  Side side() const { return options_.side; }
  wire::PeerRole role() const { return options_.role; }
  // From kProven on.
  const PeerIdentity& peer() const { return peer_; }
  // Of the other side: a listener's in kProven, a dialer's in kOpen.
  const wire::PeerAcceptedT& accepted() const { return accepted_; }
  void Accept(const wire::PeerAcceptedT& accepted);
  void Refuse(wire::RefusalKind kind, const Error& why);

  // In kFailed: why. refusal() is set when the other side said so; only a proven one's should be
  // acted upon.
  const Error& failure() const { return failure_; }
  std::optional<wire::RefusalKind> refusal() const { return refusal_; }
  std::optional<wire::RefusalKind> own_refusal() const { return own_refusal_; }  // set where this side refused
  bool proven() const { return proven_; }
  bool to_itself() const { return to_itself_; }            // the other end is this raylet
  bool other_address() const { return other_address_; }    // the listener's Hello has another address
  bool said_nothing() const { return bytes_taken_ == 0; }  // such as a port scan
  TimePoint deadline() const { return deadline_; }

 private:
  template <class Message>
  void Say(wire::PeerMessage type, const Message& message);
  void SayHello();
  void OnFrame();
  Result<void> OnHello(std::span<const std::byte> body);
  Result<void> CheckHello(const wire::PeerHelloT& hello) const;
  Result<void> OnProof(std::span<const std::byte> body);
  Result<void> OnAccepted(std::span<const std::byte> body);
  void OnRefused(std::span<const std::byte> body);
  std::array<uint8_t, kMacBytes> Mac(Side prover) const;
  void NameOwnTokenFile();
  void GiveUp(Error why);

  Options options_;
  const Nonce nonce_;
  TimePoint deadline_;
  State state_ = State::kUnderWay;
  wire::PeerMessage expected_ = wire::PeerMessage::Hello;  // what comes next, if no Refused does
  std::vector<std::byte> in_;                              // of the frame under way
  size_t bytes_taken_ = 0;
  Bytes out_;
  Bytes own_hello_, peer_hello_;  // bodies as they travelled
  PeerIdentity peer_;
  bool proven_ = false;
  bool to_itself_ = false;
  bool other_address_ = false;
  wire::PeerAcceptedT accepted_;
  Error failure_;
  std::optional<wire::RefusalKind> refusal_, own_refusal_;
};

}  // namespace raylet
