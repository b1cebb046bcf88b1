// What the status says of each other raylet.
#include "raylet/peers/links.h"

namespace raylet {

std::vector<PeerStatus> PeerLinks::Status() const {
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
    status.bytes_sent = peer.bytes_sent;
    status.bytes_received = peer.bytes_received;
    if (const auto link = links_.find(peer.connection); link != links_.end()) {
      status.bytes_sent += link->second.connection->bytes_sent();
      status.bytes_received += link->second.connection->bytes_received();
    }
  }
  return all;
}

}  // namespace raylet
