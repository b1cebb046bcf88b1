#include "raylet/peers/connections.h"

#include "base/strings.h"

namespace raylet {

PeerConnections::PeerConnections(Loop& loop, const Clock& clock, const PeerIdentity& own, const PeerToken& token,
                                 size_t strangers_max, Random random, PeerConnection::Events& events)
    : loop_(loop),
      clock_(clock),
      own_(own),
      token_(token),
      strangers_max_(strangers_max),
      random_(std::move(random)),
      events_(events) {}

PeerConnections::Link& PeerConnections::Accept(UniqueFd fd, const TcpAddress& remote) {
  DropOldestStranger();
  return Add(std::move(fd), remote, PeerHandshake::Side::kListener, wire::PeerRole::Session);
}

PeerConnections::Link& PeerConnections::Dial(UniqueFd fd, const TcpAddress& remote, wire::PeerRole role) {
  return Add(std::move(fd), remote, PeerHandshake::Side::kDialer, role);
}

PeerConnections::Link& PeerConnections::Add(UniqueFd fd, const TcpAddress& remote, PeerHandshake::Side side,
                                            wire::PeerRole role) {
  PeerHandshake::Options options;
  options.own = own_;
  options.side = side;
  options.role = role;
  options.token = token_;
  if (side == PeerHandshake::Side::kDialer) options.dialed = remote.text();
  const ConnectionId id = next_++;
  Link& link = *(links_[id] = std::make_unique<Link>());
  link.connection = std::make_unique<PeerConnection>(
      loop_, id, std::move(fd), remote,
      PeerHandshake(std::move(options), PeerHandshake::NewNonce(random_), clock_.Now()), events_);
  return link;
}

void PeerConnections::DropOldestStranger() {
  size_t strangers = 0;
  PeerConnection* oldest = nullptr;
  for (auto& [id, link] : links_) {
    PeerConnection& connection = *link->connection;
    if (connection.dialed() || connection.closed() || connection.handshake().proven()) continue;
    if (oldest == nullptr) oldest = &connection;
    ++strangers;
  }
  if (strangers < strangers_max_) return;
  oldest->Close({ErrorCode::kFull, StrCat("it has not proved itself, and ", strangers_max_,
                                          " others that came later have not either, which is the limit")});
}

PeerConnections::Link* PeerConnections::Find(ConnectionId id) {
  const auto found = links_.find(id);
  return found == links_.end() ? nullptr : found->second.get();
}

std::unique_ptr<PeerConnections::Link> PeerConnections::Take(ConnectionId id) {
  auto taken = links_.extract(id);
  return taken.empty() ? nullptr : std::move(taken.mapped());
}

std::pair<uint64_t, uint64_t> PeerConnections::Traffic(ConnectionId id) const {
  const auto found = links_.find(id);
  if (found == links_.end()) return {};
  return {found->second->connection->bytes_sent(), found->second->connection->bytes_received()};
}

void PeerConnections::CloseAll(const Error& why) {
  for (auto& [id, link] : links_) link->connection->Close(why);
}

void PeerConnections::Tick(Duration stalled, TimePoint now) {
  for (auto& [id, link] : links_) {
    if (stalled != Duration{}) link->connection->DidNotListen(stalled, now);
    link->connection->Tick(now);
  }
}

}  // namespace raylet
