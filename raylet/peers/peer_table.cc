#include "raylet/peers/peer_table.h"

#include <algorithm>

#include "base/strings.h"

namespace raylet {
namespace {

bool Living(const Peer& peer) {
  return peer.session != nullptr && peer.session->born() && peer.session->state() != NodeState::kDead;
}

bool InTouch(const Peer& peer) {
  return Living(peer) && peer.connection != 0 && peer.session->state() == NodeState::kUp;
}

}  // namespace

PeerTable::PeerTable(PeerSessionLimits limits, const Clock& clock, Random random)
    : limits_(limits), clock_(clock), random_(std::move(random)) {}

Peer* PeerTable::Find(const NodeId& node) {
  const auto found = peers_.find(node);
  return found == peers_.end() ? nullptr : &found->second;
}

const Peer* PeerTable::WithSession(const NodeId& node) const {
  const auto found = peers_.find(node);
  return found == peers_.end() || found->second.session == nullptr ? nullptr : &found->second;
}

Peer* PeerTable::WithSession(const NodeId& node) { return const_cast<Peer*>(std::as_const(*this).WithSession(node)); }

const Peer* PeerTable::Living(const NodeId& node) const {
  const auto found = peers_.find(node);
  return found != peers_.end() && raylet::Living(found->second) ? &found->second : nullptr;
}

Peer* PeerTable::Living(const NodeId& node) { return const_cast<Peer*>(std::as_const(*this).Living(node)); }

bool PeerTable::InTouch(const NodeId& node) const {
  const auto found = peers_.find(node);
  return found != peers_.end() && raylet::InTouch(found->second);
}

std::vector<NodeId> PeerTable::Sessions() const {
  std::vector<NodeId> nodes;
  for (const auto& [node, peer] : peers_)
    if (peer.session != nullptr) nodes.push_back(node);
  return nodes;
}

Result<void> PeerTable::Admit(const PeerIdentity& identity) const {
  for (const auto& [node, peer] : peers_) {
    if (!raylet::Living(peer)) continue;
    if (node == identity.node && peer.identity.epoch != identity.epoch && raylet::InTouch(peer)) {
      return Fail(ErrorCode::kAlreadyExists,
                  StrCat("two raylets have the node id ", node.hex(), ": the one at ", peer.identity.address,
                         ", which answers, and the one at ", identity.address, ": stop one of them"));
    }
    if (node != identity.node && peer.identity.machine == identity.machine) {
      return Fail(
          ErrorCode::kAlreadyExists,
          StrCat("the raylets at ", peer.identity.address, " and ", identity.address, " number their processes alike (",
                 static_cast<uint32_t>(identity.machine), "): start one of them again"));
    }
  }
  return {};
}

std::vector<NodeId> PeerTable::DisplacedBy(const PeerIdentity& identity) const {
  std::vector<NodeId> displaced;
  for (const auto& [node, peer] : peers_) {
    if (peer.session != nullptr && peer.connection == 0 && peer.identity.address == identity.address &&
        node != identity.node)
      displaced.push_back(node);
  }
  return displaced;
}

Peer& PeerTable::Begin(const PeerIdentity& identity) {
  Peer& peer = peers_[identity.node];
  peer.identity = identity;
  if (peer.session == nullptr || peer.session->state() == NodeState::kDead) {
    uint64_t number = 0;
    while (number == 0) number = random_();
    peer.session = std::make_unique<PeerSession>(limits_, number, clock_.Now());
  }
  return peer;
}

std::unique_ptr<PeerSession> PeerTable::EndSession(Peer& peer) {
  peer.connection = 0;
  return std::move(peer.session);
}

void PeerTable::Died(Peer& peer, const PeerSession& session, const Error& why) {
  peer.why_dead = why.message;
  peer.died_as = ++deaths_;
  peer.counters = session.counters();
}

void PeerTable::ForgetOldDead() {
  std::vector<std::pair<uint64_t, NodeId>> dead;
  for (const auto& [node, peer] : peers_)
    if (peer.session == nullptr) dead.emplace_back(peer.died_as, node);
  if (dead.size() <= kDeadPeersKept) return;
  std::sort(dead.begin(), dead.end());
  for (size_t i = 0; i < dead.size() - kDeadPeersKept; ++i) peers_.erase(dead[i].second);
}

std::vector<PeerStatus> PeerTable::Status(const Traffic& traffic) const {
  std::vector<PeerStatus> all;
  for (const auto& [node, peer] : peers_) {
    const PeerSession* const session = peer.session.get();
    const bool living = session != nullptr && session->born();
    if (!living && peer.why_dead.empty()) continue;  // never had a session
    PeerStatus& status = all.emplace_back();
    status.node = node;
    status.identity = peer.identity;
    status.state = living ? session->state() : NodeState::kDead;
    status.connected = peer.connection != 0;
    status.why_dead = peer.why_dead;
    status.counters = living ? session->counters() : peer.counters;
    status.unacked_messages = living ? session->unacked_messages() : 0;
    status.unacked_bytes = living ? session->unacked_bytes() : 0;
    const auto [sent, received] = traffic(peer.connection);
    status.bytes_sent = peer.bytes_sent + sent;
    status.bytes_received = peer.bytes_received + received;
  }
  return all;
}

}  // namespace raylet
