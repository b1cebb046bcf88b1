// PeerLinks: this raylet's sessions with the others, one with each, over the connections that PeerDialer and
// PeerListener bring. It reports which raylet is up, silent or dead. Owned by the raylet; loop thread only. PeerSession
// numbers the messages of a session. PeerHandshake makes both sides prove themselves. PeerIntroductions makes each peer
// known to the others.
//
// The raylet with the smaller NodeId dials. A raylet that knows only an address dials too. If the raylet there has the
// smaller id, it answers DialBack and dials at once. Raylets introduce their peers to each other. So the addresses need
// only join all raylets into one graph. A machine that refuses a connection ends its session at once.
//
// Always holds: for each session with a node the handler hears OnPeerUp, then messages, then OnPeerDead. The
// ClusterView hears it first.
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
#include "raylet/peers/dialer.h"
#include "raylet/peers/introductions.h"
#include "raylet/peers/listener.h"
#include "raylet/peers/session.h"
#include "raylet/scheduling/cluster_view.h"

namespace raylet {

struct PeerLinksOptions {
  PeerIdentity own;  // its address is filled by Listen
  PeerToken token;
  std::string advertised;  // where others reach it, if not where it listens: host:port
  PeerSessionLimits limits;
  PeerDialLimits dials;
  size_t strangers_max = 64;  // connections from raylets that have not proved themselves; past this the oldest goes
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

class PeerLinks final : private PeerConnection::Events, private PeerDialer::Sessions {
 public:
  class Handler {
   public:
    virtual ~Handler() = default;
    virtual void OnPeerUp(const NodeId& node) = 0;
    // Each message once and in order. An error ends the session.
    virtual Result<void> OnPeerMessage(const NodeId& node, const Frame& frame) = 0;
    virtual void OnPeerRoom(const NodeId& node) = 0;  // after a Send that was kFull
    // The ClusterView has news of the node: a load, or that it is silent or heard again.
    virtual void OnPeerChanged(const NodeId& node) = 0;
    // That node calls this one dead no sooner; earlier than before: at once.
    virtual void OnPeerVouched(const NodeId& node, TimePoint until) = 0;
    // `serves_until`: what runs there may serve callers so long; not after now where it surely does not.
    virtual void OnPeerDead(const NodeId& node, const Error& why, TimePoint serves_until) = 0;
    virtual NodeLoad OwnLoad() = 0;
    // Another raylet dialed a bulk connection: connected and authenticated.
    virtual void OnBulk(const NodeId& node, UniqueFd fd) = 0;
  };
  using BulkDone = std::function<void(Result<UniqueFd>)>;
  using Random = std::function<uint64_t()>;

  PeerLinks(Loop& loop, const Clock& clock, PeerLinksOptions options, ClusterView& view, Handler& handler,
            Random random = {});
  ~PeerLinks() override;

  // kInvalid for an address that stands for all of this machine.
  Result<void> Listen(const TcpAddress& address);
  const PeerIdentity& own() const { return options_.own; }
  const TcpAddress& listening() const { return listener_.address(); }
  // As PeerDialer.
  Result<void> Seek(const TcpAddress& address, const NodeId& node = {});
  void Forget(const std::string& address) { dialer_.Forget(address); }

  // As PeerSession::Send; kNotFound for a node that there is no session with.
  Result<void> Send(const NodeId& node, uint16_t type, std::span<const std::byte> body);
  template <class Type, class Message>
  Result<void> SendMessage(const NodeId& node, Type type, const Message& message) {
    return Send(node, static_cast<uint16_t>(type), Encode(message));
  }
  bool HasRoom(const NodeId& node, size_t body_bytes) const;
  // A connection of its own for objects' bytes, open and authenticated; `done` is called once, from
  // the loop.
  void DialBulk(const NodeId& node, BulkDone done);
  // Ends the session. The other raylet may begin another.
  void End(const NodeId& node, const Error& why);
  // Says goodbye to all, with the reason, and listens no more.
  void Stop(const std::string& why = "this raylet is stopping");

  std::vector<PeerStatus> Status() const;

 private:
  struct Peer {
    PeerIdentity identity;
    TcpAddress address;
    std::unique_ptr<PeerSession> session;  // may be dead, or may never have had a connection
    ConnectionId connection = 0;           // attached
    std::string why_dead;
    uint64_t died_as = 0;                         // the order of its death among the dead peers
    PeerSession::Counters counters;               // of the session that died last
    uint64_t bytes_sent = 0, bytes_received = 0;  // of connections that have gone
  };
  struct Link {
    std::unique_ptr<PeerConnection> connection;
    std::string dialed;  // set for a connection that was dialed for a session: the address
    NodeId node;         // whose session it carries, or the other side of a bulk connection
    BulkDone bulk_done;  // of a bulk connection that was dialed
  };

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
  // Whether the other raylet has surely let go of what it ran for this one, or may not know of its death yet.
  enum class LetGo { kSurely, kPerhaps };
  void Bury(const NodeId& node, const Error& why, LetGo let_go);
  PeerSession& FreshSession(Peer& peer);
  bool Lives(const NodeId& node) const override { return LivePeer(node) != nullptr; }
  Peer* LivePeer(const NodeId& node);
  const Peer* LivePeer(const NodeId& node) const;
  bool InTouch(const NodeId& node) const override;
  void Leave(Peer& peer);
  Peer* PeerOf(const PeerConnection& connection);
  void Tick();
  void TickPeer(const NodeId& node, Peer& peer, const NodeLoad& load, TimePoint now);
  void HeardAgain(const NodeId& node, Peer& peer);
  void PruneDead();

  void IntroduceAll();
  void IntroduceTo(const NodeId& node, Peer& peer);
  void TakeIntroductions();

  void DropOldestStranger();
  void DialDue();
  void DialSoon();
  void DialAgain(const NodeId& node);
  void CarryOut(const PeerDialer::Verdict& verdict);
  void SeekBack(const PeerIdentity& identity);
  PeerConnection& AddConnection(UniqueFd fd, const TcpAddress& remote, PeerHandshake::Side side, wire::PeerRole role);
  uint64_t NewNumber();

  Loop& loop_;
  const Clock& clock_;
  PeerLinksOptions options_;
  ClusterView& view_;
  Handler& handler_;
  Random random_;
  PeerListener listener_;
  PeerDialer dialer_;
  const std::chrono::milliseconds tick_every_;  // long, so that a raylet without peers wakes rarely
  TimePoint ticked_at_;
  Timer ticker_;
  Timer dial_timer_;  // for dials that are due between two ticks
  bool stopping_ = false;
  bool dial_posted_ = false;
  std::map<NodeId, Peer> peers_;
  uint64_t deaths_ = 0;
  std::map<ConnectionId, Link> links_;  // oldest first
  ConnectionId next_connection_ = 1;
  PeerIntroductions introductions_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace raylet
