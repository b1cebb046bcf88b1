#include "raylet/peers/links.h"

#include <algorithm>

#include "base/log.h"
#include "base/strings.h"
#include "raylet/peers/load.h"

namespace raylet {
namespace {

constexpr std::chrono::milliseconds kTickMin{5}, kTickMax{250};

std::string NameOf(const PeerIdentity& identity) {
  return StrCat("raylet ", identity.node.hex(), " at ", identity.address);
}

PeerLinks::Random OrRandom(PeerLinks::Random random) {
  if (random) return random;
  return [] {
    uint64_t number = 0;
    FillRandom(reinterpret_cast<uint8_t*>(&number), sizeof number);
    return number;
  };
}

}  // namespace

PeerLinks::PeerLinks(Loop& loop, const Clock& clock, PeerLinksOptions options, ClusterView& view, Handler& handler,
                     Random random)
    : loop_(loop),
      clock_(clock),
      options_(std::move(options)),
      view_(view),
      handler_(handler),
      random_(OrRandom(std::move(random))),
      peers_(options_.limits, clock, random_),
      listener_(loop, clock,
                [this](UniqueFd fd, const TcpAddress& remote) { connections_.Accept(std::move(fd), remote); }),
      dialer_(options_.own, options_.dials, options_.limits.silent_after / 6, clock, peers_, random_),
      tick_every_(std::clamp(std::chrono::duration_cast<std::chrono::milliseconds>(options_.limits.heartbeat_every) / 2,
                             kTickMin, kTickMax)),
      connections_(loop, clock, options_.own, options_.token, options_.strangers_max, random_, *this),
      dialing_(loop, clock, dialer_, connections_, tick_every_,
               [this](const PeerDialer::Verdict& verdict) { CarryOut(verdict); }),
      introductions_(options_.own.node) {
  while (options_.own.epoch == 0) options_.own.epoch = random_();
  ticked_at_ = clock_.Now();
  ticker_ = Timer(loop_, tick_every_, tick_every_, [this] { Tick(); });
}

PeerLinks::~PeerLinks() = default;

Result<void> PeerLinks::Listen(const TcpAddress& address) {
  RAYLET_RETURN_IF_ERROR(listener_.Listen(address));
  options_.own.address = options_.advertised.empty() ? listener_.address().text() : options_.advertised;
  return {};
}

Result<void> PeerLinks::Seek(const TcpAddress& address, const NodeId& node) {
  RAYLET_RETURN_IF_ERROR(dialer_.Seek(address, node));
  dialing_.Soon();
  return {};
}

// Takes nothing more from its connection.
void PeerLinks::Leave(Peer& peer) {
  if (const auto* const link = connections_.Find(std::exchange(peer.connection, 0)); link != nullptr)
    link->connection->Close({ErrorCode::kDisconnected, "another connection takes this one's place"});
  peer.session->Detach();
}

Peer* PeerLinks::PeerOf(const PeerConnection& connection) {
  const auto* const link = connections_.Find(connection.id());
  if (link == nullptr) return nullptr;
  Peer* const peer = peers_.Living(link->node);
  return peer != nullptr && peer->connection == connection.id() ? peer : nullptr;
}

Result<void> PeerLinks::Send(const NodeId& node, uint16_t type, std::span<const std::byte> body) {
  Peer* const peer = peers_.Living(node);
  if (peer == nullptr)
    return Fail(ErrorCode::kNotFound,
                StrCat("there is no session with raylet ", node.hex(), ": it is dead, or never came"));
  RAYLET_RETURN_IF_ERROR(peer->session->Send(type, body));
  if (peer->connection != 0) ConnectionOf(*peer).WantsToWrite();
  return {};
}

bool PeerLinks::HasRoom(const NodeId& node, size_t body_bytes) const {
  const Peer* const peer = peers_.WithSession(node);
  return peer != nullptr && peer->session->HasRoom(body_bytes);
}

void PeerLinks::End(const NodeId& node, const Error& why) {
  Peer* const peer = peers_.Living(node);
  if (peer == nullptr) return;
  handler_.OnPeerVouched(node, {});  // first: its goodbye says that nothing of it serves here any more
  peer->session->Goodbye(why);
  if (peer->connection != 0) ConnectionOf(*peer).Flush();
  Bury(node, why, LetGo::kPerhaps);
}

void PeerLinks::Stop(const std::string& why) {
  if (std::exchange(stopping_, true)) return;
  listener_.Stop();
  ticker_.Cancel();
  dialing_.Stop();
  for (const NodeId& node : peers_.Sessions()) {
    const Peer& peer = *peers_.WithSession(node);
    if (peer.connection == 0) continue;
    handler_.OnPeerVouched(node, {});  // as in End
    peer.session->Goodbye({ErrorCode::kDisconnected, why});
    ConnectionOf(peer).Flush();
  }
  dialer_.ForgetAll();
  connections_.CloseAll({ErrorCode::kCancelled, why});
}

void PeerLinks::OnProven(PeerConnection& connection) {
  const PeerIdentity& identity = connection.handshake().peer();
  const auto admitted = peers_.Admit(identity);
  if (!admitted) return connection.Refuse(wire::RefusalKind::Other, admitted.error());
  for (const NodeId& node : peers_.DisplacedBy(identity))
    Bury(node, {ErrorCode::kDisconnected, StrCat("another raylet serves ", identity.address, " now")}, LetGo::kSurely);
  if (const Peer* const same = peers_.WithSession(identity.node);
      same != nullptr && same->identity.epoch != identity.epoch)
    Bury(identity.node, {ErrorCode::kDisconnected, "it has started again"}, LetGo::kSurely);
  connection.dialed() ? OnProvenDialed(connection) : OnProvenListener(connection);
}

void PeerLinks::OnProvenDialed(PeerConnection& connection) {
  const PeerIdentity& identity = connection.handshake().peer();
  PeerConnections::Link& link = connections_.At(connection.id());
  if (connection.handshake().role() == wire::PeerRole::Bulk) {
    if (identity.node == link.node) return connection.Accept({});
    return connection.Refuse(wire::RefusalKind::Other,
                             {ErrorCode::kWrongState, StrCat("another raylet serves ", identity.address, " now")});
  }
  dialer_.Proven(link.dialed, identity.node);
  // The other side refuses, because it dials itself.
  if (identity.node < options_.own.node) return connection.Accept({});
  if (peers_.InTouch(identity.node))
    return connection.Close({ErrorCode::kAlreadyExists, "the two are connected already"});
  // The greeting says how many messages this side has taken, so nothing more may come over the old connection.
  if (Peer* const peer = peers_.WithSession(identity.node); peer != nullptr && peer->connection != 0) Leave(*peer);
  connection.Accept(peers_.Begin(identity).session->Greeting());
}

void PeerLinks::OnProvenListener(PeerConnection& connection) {
  const PeerIdentity& identity = connection.handshake().peer();
  PeerConnections::Link& link = connections_.At(connection.id());
  if (connection.handshake().role() == wire::PeerRole::Bulk) {
    if (peers_.Living(identity.node) == nullptr) {
      return connection.Refuse(wire::RefusalKind::Other,
                               {ErrorCode::kNotRunning, StrCat(NameOf(options_.own), " has no session with you")});
    }
    link.node = identity.node;
    return connection.Accept({});
  }
  if (options_.own.node < identity.node) {
    connection.Refuse(wire::RefusalKind::DialBack, {ErrorCode::kWrongState, "the raylet with the smaller id dials"});
    return SeekBack(identity);
  }
  const Peer* const met = peers_.Find(identity.node);
  const PeerSession* const ours = met == nullptr ? nullptr : met->session.get();
  const auto meeting = PeerSession::Meet(ours, connection.handshake().accepted());
  if (meeting == PeerSession::Meeting::kEnded) {
    const std::string why_dead = met == nullptr ? "" : met->why_dead;
    return connection.Refuse(wire::RefusalKind::SessionEnded,
                             {ErrorCode::kDisconnected, StrCat(NameOf(options_.own), " has ended this session",
                                                               why_dead.empty() ? "" : ": ", why_dead)});
  }
  if (meeting == PeerSession::Meeting::kBegin && ours != nullptr)
    Bury(identity.node, {ErrorCode::kDisconnected, "it has ended the session and begins another"}, LetGo::kSurely);
  connection.Accept(peers_.Begin(identity).session->Greeting());
}

void PeerLinks::OnOpen(PeerConnection& connection) {
  const PeerIdentity identity = connection.handshake().peer();
  PeerConnections::Link& link = connections_.At(connection.id());
  if (connection.handshake().role() == wire::PeerRole::Bulk) {
    UniqueFd fd = connection.TakeFd();
    if (const auto done = std::exchange(link.bulk_done, nullptr)) return done(std::move(fd));
    return handler_.OnBulk(identity.node, std::move(fd));
  }
  Peer* const peer = peers_.WithSession(identity.node);
  if (peer == nullptr || !peer->session->Continues(connection.handshake().accepted())) {
    connection.Close({ErrorCode::kDisconnected, "the two do not mean the same session"});
    if (peer != nullptr)
      Bury(identity.node, {ErrorCode::kDisconnected, "the other side has ended the session"}, LetGo::kSurely);
    return dialing_.Soon();
  }
  Attach(connection, *peer);
}

void PeerLinks::Attach(PeerConnection& connection, Peer& peer) {
  const NodeId node = peer.identity.node;
  const TimePoint now = clock_.Now();
  connections_.At(connection.id()).node = node;
  if (peer.connection != 0)
    ConnectionOf(peer).Close({ErrorCode::kDisconnected, "another connection has taken this one's place"});
  peer.connection = connection.id();
  const bool first = !peer.session->born();
  peer.session->Attach(connection.handshake().accepted(), now);
  peer.session->Heartbeat(ToWire(handler_.OwnLoad()), now);
  connection.WantsToWrite();
  dialer_.Connected(peer.identity, connection.id());
  introductions_.Connected(peer.identity);
  IntroduceTo(node, peer);
  view_.Up(node, peer.identity.epoch, peer.identity.machine, peer.identity.address, now);
  RAYLET_LOG(kInfo, NameOf(peer.identity), first ? " is up" : " is connected again");
  if (!first) return handler_.OnPeerChanged(node);
  peer.why_dead.clear();
  handler_.OnPeerUp(node);
}

void PeerLinks::Bury(const NodeId& node, const Error& why, LetGo let_go) {
  Peer* const found = peers_.WithSession(node);
  if (found == nullptr) return;
  Peer& peer = *found;
  if (const auto* const link = connections_.Find(peer.connection); link != nullptr) link->connection->Close(why);
  const std::unique_ptr<PeerSession> session = peers_.EndSession(peer);
  dialer_.Dead(node, /*of_silence=*/why.code == ErrorCode::kTimedOut);
  if (!session->born()) return;
  introductions_.Dead(node);
  TakeIntroductions();
  session->End(why);
  peers_.Died(peer, *session, why);
  view_.Dead(node, why.message);
  if (stopping_) return;
  RAYLET_LOG(kWarning, NameOf(peer.identity), " is dead to us: ", why.message);
  const TimePoint now = clock_.Now();
  handler_.OnPeerDead(node, why, let_go == LetGo::kSurely ? now : session->dead_here_after());
}

void PeerLinks::OnBytes(PeerConnection& connection) {
  Peer* const peer = PeerOf(connection);
  if (peer == nullptr) return;
  const NodeState before = peer->session->state();
  peer->session->HeardBytes(clock_.Now());
  if (before == NodeState::kSilent) HeardAgain(peer->identity.node, *peer);
}

void PeerLinks::HeardAgain(const NodeId& node, Peer& peer) {
  RAYLET_LOG(kInfo, NameOf(peer.identity), " is heard again");
  view_.Up(node, peer.identity.epoch, peer.identity.machine, peer.identity.address, clock_.Now());
  handler_.OnPeerChanged(node);
}

void PeerLinks::OnFrame(PeerConnection& connection, const Frame& frame) {
  Peer* peer = PeerOf(connection);
  if (peer == nullptr) return;
  const NodeId node = peer->identity.node;
  const auto heard = peer->session->OnFrame(frame, clock_.Now());
  if (!heard) return End(node, heard.error());
  switch (*heard) {
    case PeerSession::Heard::kNothing: break;
    case PeerSession::Heard::kGoodbye: return Bury(node, Error(peer->session->why_dead()), LetGo::kSurely);
    case PeerSession::Heard::kMessage: {
      const auto taken = handler_.OnPeerMessage(node, frame);
      if (!taken) return End(node, taken.error());
      break;
    }
    case PeerSession::Heard::kIntroduction: {
      const auto taken = introductions_.Hear(node, peer->session->introduction());
      TakeIntroductions();
      if (!taken) return End(node, taken.error());
      break;
    }
    case PeerSession::Heard::kHeartbeat: {
      auto load = FromWire(peer->session->heartbeat());
      if (!load) return End(node, load.error());
      const TimePoint now = clock_.Now();
      view_.Heard(node, std::move(*load), now);
      handler_.OnPeerVouched(node, peer->session->lease_until());
      handler_.OnPeerChanged(node);
      if (Peer* const still = peers_.Living(node); still != nullptr && still->session->HeartbeatDue(now)) {
        still->session->Heartbeat(ToWire(handler_.OwnLoad()), now);
        connection.WantsToWrite();
      }
      break;
    }
  }
  peer = PeerOf(connection);  // a handler may have ended it
  if (peer == nullptr) return;
  if (peer->session->HasOutput()) connection.WantsToWrite();
  if (peer->session->TakeRoom()) handler_.OnPeerRoom(node);
}

void PeerLinks::Fill(PeerConnection& connection, Bytes& out, size_t bytes_max) {
  const auto* const link = connections_.Find(connection.id());
  if (link == nullptr) return;
  // Not only a living peer: the goodbye of a dead session goes out, too.
  const Peer* const peer = peers_.WithSession(link->node);
  if (peer != nullptr && peer->connection == connection.id()) peer->session->AppendOutput(out, bytes_max);
}

void PeerLinks::Tick() {
  const TimePoint now = clock_.Now();
  const Duration since = now - std::exchange(ticked_at_, now);
  const bool stalled = since > options_.limits.silent_after / 2;
  if (stalled) {
    RAYLET_LOG(kWarning, "this raylet did nothing for ", since / std::chrono::milliseconds(1),
               " ms: it was stopped, or its machine is short of CPU");
  }
  connections_.Tick(stalled ? since : Duration{}, now);
  const std::vector<NodeId> nodes = peers_.Sessions();
  bool load_wanted = false;
  for (const NodeId& node : nodes) {
    PeerSession& session = *peers_.WithSession(node)->session;
    if (stalled) session.DidNotListen(since, now);
    load_wanted = load_wanted || session.HeartbeatDue(now + tick_every_ / 2);
  }
  const NodeLoad load = load_wanted ? handler_.OwnLoad() : NodeLoad();
  for (const NodeId& node : nodes)
    if (Peer* const peer = peers_.WithSession(node); peer != nullptr) TickPeer(node, *peer, load, now);
  peers_.ForgetOldDead();
  IntroduceAll();
  dialing_.Now();
}

void PeerLinks::TickPeer(const NodeId& node, Peer& peer, const NodeLoad& load, TimePoint now) {
  const NodeState before = peer.session->state();
  peer.session->Tick(now);
  if (peer.session->state() == NodeState::kDead) return Bury(node, Error(peer.session->why_dead()), LetGo::kPerhaps);
  if (peer.session->HeartbeatDue(now + tick_every_ / 2)) {  // else it could be late by most of a tick
    peer.session->Heartbeat(ToWire(load), now);
    ConnectionOf(peer).WantsToWrite();
  }
  if (peer.session->state() == NodeState::kSilent && before == NodeState::kUp) {
    RAYLET_LOG(kWarning, NameOf(peer.identity), " is silent: it gets no new work until it is heard again");
    view_.Silent(node);
    DialAgain(node);
    handler_.OnPeerChanged(node);
  }
}

// ---- introductions

// Sends each peer its changes in one message, at the next tick.
void PeerLinks::IntroduceAll() {
  for (const NodeId& node : peers_.Sessions())
    if (peers_.InTouch(node)) IntroduceTo(node, *peers_.WithSession(node));
}

void PeerLinks::IntroduceTo(const NodeId& node, Peer& peer) {
  if (!peer.session->MayIntroduce()) return;
  const auto introduction = introductions_.TakeFor(node);
  if (!introduction) return;
  peer.session->Introduce(*introduction);
  ConnectionOf(peer).WantsToWrite();
}

void PeerLinks::TakeIntroductions() {
  const auto all = introductions_.TakeNews();
  for (const auto& news : all) dialer_.OnIntroduction(news);
  if (!all.empty()) dialing_.Soon();
}

// ---- connections

void PeerLinks::OnClosed(PeerConnection& connection, const Error& reason) {
  const std::unique_ptr<PeerConnections::Link> taken = connections_.Take(connection.id());  // kept until the end
  if (taken == nullptr) return;
  PeerConnections::Link& link = *taken;
  if (const auto done = std::exchange(link.bulk_done, nullptr)) done(Fail(reason));
  Peer* const peer = peers_.Find(link.node);
  if (peer != nullptr) {
    peer->bytes_sent += connection.bytes_sent();
    peer->bytes_received += connection.bytes_received();
  }
  if (stopping_) return;
  if (peer != nullptr && peer->connection == connection.id()) {
    peer->connection = 0;
    peer->session->Detach();
    // On a new connection the peer would send the same bytes, which are no frames, again.
    if (reason.code == ErrorCode::kProtocolError) return Bury(link.node, reason, LetGo::kPerhaps);
    RAYLET_LOG(kInfo, "the connection to the raylet at ", peer->identity.address, " was lost: ", reason.message);
    return DialAgain(link.node);
  }
  if (!link.dialed.empty()) {
    const PeerHandshake& handshake = connection.handshake();
    PeerDialer::Failure failure{
        reason, connection.refused_by_machine(), handshake.to_itself(), {}, handshake.other_address()};
    if (handshake.proven()) failure.refusal = handshake.refusal();
    const auto verdict = dialer_.Failed(link.dialed, connection.id(), failure);
    CarryOut(verdict);
    if (verdict.seek_back) SeekBack(handshake.peer());
    return dialing_.Soon();  // an address that waited for its turn, or for a pause that is over
  }
  if (!connection.dialed() && !connection.open()) listener_.LogEnd(connection, reason);
}

// ---- dials

void PeerLinks::DialAgain(const NodeId& node) {
  dialer_.OutOfTouch(node);
  dialing_.Soon();
}

void PeerLinks::CarryOut(const PeerDialer::Verdict& verdict) {
  if (!verdict.dead.IsNil()) Bury(verdict.dead, verdict.why, LetGo::kSurely);
}

// Dials even if this side believes that the two are connected, because the other side does not.
void PeerLinks::SeekBack(const PeerIdentity& identity) {
  if (const auto sought = dialer_.SeekBack(identity); !sought) {
    RAYLET_LOG(kWarning, "a raylet wants to be dialed at ", identity.address,
               ", which cannot be: ", sought.error().message);
    return;
  }
  if (const Peer* const peer = peers_.Living(identity.node); peer != nullptr && peer->connection != 0)
    ConnectionOf(*peer).Close({ErrorCode::kDisconnected, "the other side has lost this connection"});
  dialing_.Soon();
}

void PeerLinks::DialBulk(const NodeId& node, BulkDone done) {
  const Peer* const peer = peers_.Living(node);
  Result<TcpAddress> address = Fail(ErrorCode::kNotFound, StrCat("there is no session with raylet ", node.hex()));
  if (peer != nullptr) address = ParseTcpAddress(peer->identity.address);
  Result<UniqueFd> fd = address ? ConnectTcp(*address) : Fail(address.error());
  if (!fd) {
    loop_.Post([why = fd.error(), done = std::move(done)] { done(Fail(why)); });
    return;
  }
  PeerConnections::Link& link = connections_.Dial(std::move(*fd), *address, wire::PeerRole::Bulk);
  link.node = node;
  link.bulk_done = std::move(done);
}

}  // namespace raylet
