// PeerLinks: this raylet's sessions with the others, one with each (PeerTable), over the connections that PeerDialer
// and PeerListener bring (PeerConnections). It reports which raylet is up, silent or dead. Owned by the raylet; loop
// thread only. PeerSession numbers the messages of a session. PeerHandshake makes both sides prove themselves.
// PeerIntroductions makes each peer known to the others.
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
#include <string>

#include "base/clock.h"
#include "base/loop.h"
#include "base/tcp_socket.h"
#include "raylet/peers/connections.h"
#include "raylet/peers/dialer.h"
#include "raylet/peers/dialing.h"
#include "raylet/peers/introductions.h"
#include "raylet/peers/listener.h"
#include "raylet/peers/peer_table.h"
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

class PeerLinks final : private PeerConnection::Events {
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
  using BulkDone = PeerConnections::BulkDone;
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

  std::vector<PeerStatus> Status() const {
    return peers_.Status([this](ConnectionId id) { return connections_.Traffic(id); });
  }

 private:
  void OnProven(PeerConnection& connection) override;
  void OnOpen(PeerConnection& connection) override;
  void OnBytes(PeerConnection& connection) override;
  void OnFrame(PeerConnection& connection, const Frame& frame) override;
  void Fill(PeerConnection& connection, Bytes& out, size_t bytes_max) override;
  void OnClosed(PeerConnection& connection, const Error& reason) override;
  void OnProvenDialed(PeerConnection& connection);
  void OnProvenListener(PeerConnection& connection);
  void Attach(PeerConnection& connection, Peer& peer);
  // Whether the other raylet has surely let go of what it ran for this one, or may not know of its death yet.
  enum class LetGo { kSurely, kPerhaps };
  void Bury(const NodeId& node, const Error& why, LetGo let_go);
  PeerConnection& ConnectionOf(const Peer& peer) { return *connections_.At(peer.connection).connection; }
  void Leave(Peer& peer);
  Peer* PeerOf(const PeerConnection& connection);
  void Tick();
  void TickPeer(const NodeId& node, Peer& peer, const NodeLoad& load, TimePoint now);
  void HeardAgain(const NodeId& node, Peer& peer);

  void IntroduceAll();
  void IntroduceTo(const NodeId& node, Peer& peer);
  void TakeIntroductions();

  void DialAgain(const NodeId& node);
  void CarryOut(const PeerDialer::Verdict& verdict);
  void SeekBack(const PeerIdentity& identity);

  Loop& loop_;
  const Clock& clock_;
  PeerLinksOptions options_;
  ClusterView& view_;
  Handler& handler_;
  Random random_;
  PeerTable peers_;
  PeerListener listener_;
  PeerDialer dialer_;
  const std::chrono::milliseconds tick_every_;  // long, so that a raylet without peers wakes rarely
  TimePoint ticked_at_;
  Timer ticker_;
  bool stopping_ = false;
  PeerConnections connections_;
  PeerDialing dialing_;
  PeerIntroductions introductions_;
};

}  // namespace raylet
