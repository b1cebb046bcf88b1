// PeerTable: the other raylets that this one has met, with its session with each, and which of them it admits. A core:
// no socket, and time by the caller's clock. Owned by PeerLinks; its loop's thread.
//
// Always holds: a peer has one session at most, and a connection only while it has a session. Of the peers whose
// sessions have ended the table keeps the latest kDeadPeersKept, for the status.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "raylet/peers/dialer.h"
#include "raylet/peers/handshake.h"
#include "raylet/peers/session.h"

namespace raylet {

constexpr size_t kDeadPeersKept = 8;

// Another raylet.
struct Peer {
  PeerIdentity identity;
  std::unique_ptr<PeerSession> session;  // may be dead, or may never have had a connection
  ConnectionId connection = 0;           // attached
  std::string why_dead;
  uint64_t died_as = 0;                         // the order of its death among the dead peers
  PeerSession::Counters counters;               // of the session that died last
  uint64_t bytes_sent = 0, bytes_received = 0;  // of connections that have gone
};

// One peer, for the status.
struct PeerStatus {
  NodeId node;
  PeerIdentity identity;
  NodeState state = NodeState::kUp;
  bool connected = false;
  std::string why_dead;
  PeerSession::Counters counters;
  size_t unacked_messages = 0, unacked_bytes = 0;
  uint64_t bytes_sent = 0, bytes_received = 0;  // over all its connections
};

class PeerTable final : public PeerDialer::Sessions {
 public:
  using Random = std::function<uint64_t()>;
  // The bytes that a connection has sent and received.
  using Traffic = std::function<std::pair<uint64_t, uint64_t>(ConnectionId)>;

  // `clock` outlives it. `random` gives the sessions their numbers.
  PeerTable(PeerSessionLimits limits, const Clock& clock, Random random);

  bool Lives(const NodeId& node) const override { return Living(node) != nullptr; }
  bool InTouch(const NodeId& node) const override;
  // The peer whose session has begun and is not dead; null: none.
  Peer* Living(const NodeId& node);
  const Peer* Living(const NodeId& node) const;
  Peer* WithSession(const NodeId& node);  // living or not; null: none
  const Peer* WithSession(const NodeId& node) const;
  Peer* Find(const NodeId& node);        // null: never met, or forgotten
  std::vector<NodeId> Sessions() const;  // the nodes with a session

  // Why a raylet that has proved itself may not join: another one has its node id, or numbers its processes alike.
  // kAlreadyExists.
  Result<void> Admit(const PeerIdentity& identity) const;
  // The nodes without a connection that the raylet at `identity.address` shows to have ended: one raylet alone serves
  // an address.
  std::vector<NodeId> DisplacedBy(const PeerIdentity& identity) const;
  // The peer, made where it is new, with its identity of today and a session that is not dead.
  Peer& Begin(const PeerIdentity& identity);
  // The peer's session has ended. Where it had begun, call Died next.
  std::unique_ptr<PeerSession> EndSession(Peer& peer);
  void Died(Peer& peer, const PeerSession& session, const Error& why);
  void ForgetOldDead();

  std::vector<PeerStatus> Status(const Traffic& traffic) const;

 private:
  const PeerSessionLimits limits_;
  const Clock& clock_;
  const Random random_;
  std::map<NodeId, Peer> peers_;
  uint64_t deaths_ = 0;
};

}  // namespace raylet
