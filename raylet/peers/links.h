// PeerLinks: this raylet's links to the others: it listens, dials, keeps one session with each, and says who is up,
// silent or dead. Owned by the raylet; loop thread only. What is said in a session is PeerSession's affair, who is
// believed PeerHandshake's; here is who dials whom, and when.
//
// The raylet with the smaller NodeId dials. Who does not know yet whose address it has dials too: where that turns out
// to be the smaller one, it is told so (DialBack), and dialed at once. So any list of addresses in which every two
// raylets are connected by others is enough: raylets introduce their peers to each other, and whom a peer of ours has a
// session with is dialed until it has one with us, too, or that peer says no more that it has. A link that is lost is
// dialed again from both sides for as long as its session lives, and one that is silent, too, beside the connection
// that there is: after an outage TCP itself may not try again for as long as that has lasted, and meanwhile the other
// would be called dead. A machine that refuses the connection ends the session at once. Addresses that were to be
// sought are sought for ever, and for an hour those of whom silence parted us. Always holds: a handler hears OnPeerUp,
// then messages, then OnPeerDead, in turns, for each node; the ClusterView is told first.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "base/clock.h"
#include "base/loop.h"
#include "base/tcp_socket.h"
#include "raylet/peers/connection.h"
#include "raylet/peers/introductions.h"
#include "raylet/peers/session.h"
#include "raylet/scheduling/cluster_view.h"

namespace raylet {

struct PeerLinksOptions {
  PeerIdentity own;        // its address is filled by Listen
  std::string token;       // empty: loopback only
  std::string advertised;  // where others reach us, if that is not where we listen: host:port
  PeerSessionLimits limits;
  Duration redial_min = std::chrono::milliseconds(100);
  Duration redial_max = std::chrono::seconds(5);
  Duration seek_lost_for = std::chrono::hours(1);  // who was silent for too long
  size_t lost_max = 64;                            // of these at a time; then the oldest is forgotten
  size_t introduced_max = 1024;                    // addresses at a time that are known from other raylets alone
  size_t introduced_dials_max = 16;                // of them dialed at a time
  size_t strangers_max = 64;  // connections to us that have not proved themselves; then the oldest goes
};

// What is told of a peer to people.
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

class PeerLinks final : private PeerConnection::Events {
 public:
  class Handler {
   public:
    virtual ~Handler() = default;
    virtual void OnPeerUp(const NodeId& node) = 0;
    // Each message once and in order. An error ends the session: the other raylet says what makes no sense.
    virtual Result<void> OnPeerMessage(const NodeId& node, const Frame& frame) = 0;
    virtual void OnPeerRoom(const NodeId& node) = 0;  // after a Send that was kFull
    virtual void OnPeerSilent(const NodeId& node) = 0;
    virtual void OnPeerHeard(const NodeId& node) = 0;  // its load is news, or it is silent no more
    virtual void OnPeerDead(const NodeId& node, const Error& why) = 0;
    virtual NodeLoad OwnLoad() = 0;
    // Another raylet wants objects' bytes: a connected, authenticated descriptor.
    virtual void OnBulk(const NodeId& node, UniqueFd fd) = 0;
  };
  using BulkDone = std::function<void(Result<UniqueFd>)>;
  using Random = std::function<uint64_t()>;

  PeerLinks(Loop& loop, const Clock& clock, PeerLinksOptions options, ClusterView& view, Handler& handler,
            Random random = {});
  ~PeerLinks() override;

  // kNotAllowed for what is not loopback without a token.
  Result<void> Listen(const TcpAddress& address);
  const PeerIdentity& own() const { return options_.own; }
  const TcpAddress& listening() const { return listening_; }
  // There is a raylet, or will be. kNotAllowed as above. `node` where it is known.
  Result<void> Seek(const TcpAddress& address, const NodeId& node = {});
  void Forget(const std::string& address);  // not to be sought any more; its session goes on

  // As PeerSession::Send; kNotFound for a node that there is no session with.
  Result<void> Send(const NodeId& node, uint16_t type, std::span<const std::byte> body);
  template <class Type, class Message>
  Result<void> SendMessage(const NodeId& node, Type type, const Message& message) {
    return Send(node, static_cast<uint16_t>(type), Encode(message));
  }
  bool HasRoom(const NodeId& node, size_t body_bytes) const;
  // A connection of its own for objects' bytes, open and authenticated; `done` is called once, from the loop.
  void DialBulk(const NodeId& node, BulkDone done);
  // Ends the session, such as with who was called dead by others. It may begin another.
  void End(const NodeId& node, const Error& why);
  // Says goodbye to all, with the reason, and listens no more.
  void Stop(const std::string& why = "this raylet is stopping");

  std::vector<PeerStatus> Status() const;

 private:
  struct Peer {
    PeerIdentity identity;
    TcpAddress address;
    std::unique_ptr<PeerSession> session;  // may be dead or not born yet
    ConnectionId connection = 0;           // attached
    std::string why_dead;
    uint64_t died_as = 0;                         // the how many-th to die
    PeerSession::Counters counters;               // of the session that died last
    uint64_t bytes_sent = 0, bytes_received = 0;  // of connections that have gone
  };
  // An address that we dial until there is a session with who serves it: for ever where it is sought, while somebody is
  // introduced at it or is sought there as lost, or as long as its session lives, and otherwise a few times.
  struct Target {
    TcpAddress address;
    NodeId node;  // nil: not known
    bool sought = false;
    bool itself = false;
    // Who serves it, as others say: not to be believed, and nobody is called dead for what happens there.
    std::set<PeerIntroductions::Place> introduced;
    std::optional<TimePoint> lost_until;
    int attempts = 0;
    TimePoint next_at, dialed_at;
    ConnectionId connection = 0;  // under way
    std::string last_failure;     // told once
  };
  struct Link {
    std::unique_ptr<PeerConnection> connection;
    std::string target;  // of what we dialed for a session
    NodeId node;         // attached to its session, or bulk to it
    BulkDone bulk_done;  // of a bulk connection that we dialed
  };

  // peer_links.cc: sessions
  void OnProven(PeerConnection& connection) override;
  void OnOpen(PeerConnection& connection) override;
  void OnBytes(PeerConnection& connection) override;
  void OnFrame(PeerConnection& connection, const Frame& frame) override;
  void Fill(PeerConnection& connection, Bytes& out, size_t bytes_max) override;
  void OnClosed(PeerConnection& connection, const Error& reason) override;
  void OnProvenDialed(PeerConnection& connection);
  void OnProvenListener(PeerConnection& connection);
  Result<void> CheckPeer(const PeerConnection& connection) const;
  void Attach(PeerConnection& connection, Peer& peer);
  void Bury(const NodeId& node, const Error& why);
  PeerSession& FreshSession(Peer& peer);
  Peer* LivePeer(const NodeId& node);
  const Peer* LivePeer(const NodeId& node) const;
  bool InTouch(const NodeId& node) const;  // connected, and heard
  void Leave(Peer& peer);
  Peer* PeerOf(const PeerConnection& connection);
  void Tick();
  void TickPeer(const NodeId& node, Peer& peer, const NodeLoad& load, TimePoint now);
  void HeardAgain(const NodeId& node, Peer& peer);
  void PruneDead();

  // peer_introducing.cc: whom others know
  void IntroduceAll();
  void IntroduceTo(const NodeId& node, Peer& peer);
  Result<void> HearIntroduction(const NodeId& node, const Peer& peer);
  void TakeIntroductions();
  void SeekIntroduced(const PeerIntroductions::Place& place);
  void SeekIntroducedNoMore(const PeerIntroductions::Place& place);
  void SeekLost(Target& target);
  bool Refute(const std::string& target, const NodeId& served_by);

  // peer_dialing.cc: connections
  void AcceptAll();
  void DropOldestStranger();
  void DialDue();
  bool WantsDial(const Target& target) const;
  bool Keeps(const Target& target) const;
  void Dial(Target& target);
  void DialSoon();
  void RedialSoon(const NodeId& node);
  void DialFailed(const PeerConnection& connection, const std::string& target, const Error& reason);
  void DialFailed(Target& target, const Error& reason, bool refused_by_machine);
  void GiveUpInTheEnd(const Target& target);
  void SeekBack(const PeerIdentity& identity);
  PeerConnection& AddConnection(UniqueFd fd, const TcpAddress& remote, PeerHandshake::Side side, wire::PeerRole role);
  Duration Pause(int attempts);
  Duration InDoubt() const { return options_.limits.silent_after / 6; }  // of the other's life
  void LogStranger(const PeerConnection& connection, const Error& reason);
  bool MayReach(const TcpAddress& address) const { return !options_.token.empty() || address.loopback(); }
  PeerHandshake::Nonce NewNonce();
  uint64_t NewNumber();

  Loop& loop_;
  const Clock& clock_;
  PeerLinksOptions options_;
  ClusterView& view_;
  Handler& handler_;
  Random random_;
  TcpAddress listening_;
  UniqueFd listen_fd_;
  FdWatcher listener_;
  Timer accept_pause_;
  const std::chrono::milliseconds tick_every_;  // few wake-ups: nobody is there most of the time
  TimePoint ticked_at_;
  Timer ticker_;
  Timer dial_timer_;  // where that is too coarse
  bool stopping_ = false;
  bool dial_posted_ = false;
  std::map<NodeId, Peer> peers_;
  uint64_t deaths_ = 0;
  std::map<std::string, Target> targets_;  // by address
  std::map<ConnectionId, Link> links_;     // oldest first
  ConnectionId next_connection_ = 1;
  PeerIntroductions introductions_;
  TimePoint strangers_logged_at_;
  uint64_t strangers_unlogged_ = 0;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace raylet
