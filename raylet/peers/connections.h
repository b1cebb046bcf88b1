// PeerConnections: the connections to other raylets, dialed and accepted, until each has closed. Owned by PeerLinks,
// which hears their events; loop thread only.
//
// Always holds: at most `strangers_max` accepted connections have not proved themselves. So a flood of them keeps no
// raylet out: the newest is most likely a raylet's, and the oldest goes.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "base/clock.h"
#include "base/loop.h"
#include "base/tcp_socket.h"
#include "base/unique_fd.h"
#include "raylet/peers/connection.h"

namespace raylet {

class PeerConnections {
 public:
  using BulkDone = std::function<void(Result<UniqueFd>)>;
  using Random = std::function<uint64_t()>;
  struct Link {
    std::unique_ptr<PeerConnection> connection;
    std::string dialed;  // set for a connection that was dialed for a session: the address
    NodeId node;         // whose session it carries, or the other side of a bulk connection
    BulkDone bulk_done;  // of a bulk connection that was dialed
  };

  // All references outlive it. `random` makes the nonces.
  PeerConnections(Loop& loop, const Clock& clock, const PeerIdentity& own, const PeerToken& token, size_t strangers_max,
                  Random random, PeerConnection::Events& events);

  Link& Accept(UniqueFd fd, const TcpAddress& remote);  // past the limit the oldest stranger is closed
  Link& Dial(UniqueFd fd, const TcpAddress& remote, wire::PeerRole role);

  Link* Find(ConnectionId id);  // null: it has closed
  Link& At(ConnectionId id) { return *links_.at(id); }
  std::unique_ptr<Link> Take(ConnectionId id);                   // of a connection that has closed; null: taken already
  std::pair<uint64_t, uint64_t> Traffic(ConnectionId id) const;  // bytes sent and received; 0 for one that has closed
  void CloseAll(const Error& why);
  // This raylet did not listen for `stalled`, or 0.
  void Tick(Duration stalled, TimePoint now);

 private:
  Link& Add(UniqueFd fd, const TcpAddress& remote, PeerHandshake::Side side, wire::PeerRole role);
  void DropOldestStranger();

  Loop& loop_;
  const Clock& clock_;
  const PeerIdentity& own_;
  const PeerToken& token_;
  const size_t strangers_max_;
  const Random random_;
  PeerConnection::Events& events_;
  std::map<ConnectionId, std::unique_ptr<Link>> links_;  // oldest first
  ConnectionId next_ = 1;
};

}  // namespace raylet
