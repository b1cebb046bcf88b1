#include "raylet/peers/links.h"

#include <algorithm>

#include "base/log.h"
#include "base/strings.h"
#include "raylet/peers/load.h"

namespace raylet {
namespace {

constexpr size_t kDeadKept = 8;  // in the status
constexpr std::chrono::milliseconds kTickMin{5}, kTickMax{250};

std::string NameOf(const PeerIdentity& identity) {
  return StrCat("raylet ", identity.node.hex().substr(0, 12), " at ", identity.address);
}

PeerDialer::Random OrRandom(PeerDialer::Random random) {
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
      listener_(loop, clock,
                [this](UniqueFd fd, const TcpAddress& remote) {
                  DropOldestStranger();
                  AddConnection(std::move(fd), remote, PeerHandshake::Side::kListener, wire::PeerRole::Session);
                }),
      dialer_(options_.own, options_.dials, options_.limits.silent_after / 6, clock, *this, random_),
      tick_every_(std::clamp(std::chrono::duration_cast<std::chrono::milliseconds>(options_.limits.heartbeat_every) / 2,
                             kTickMin, kTickMax)),
      introductions_(options_.own.node) {
  while (options_.own.epoch == 0) options_.own.epoch = random_();
  ticked_at_ = clock_.Now();
  ticker_ = Timer(loop_, tick_every_, tick_every_, [this] { Tick(); });
}

PeerLinks::~PeerLinks() { *alive_ = false; }

Result<void> PeerLinks::Listen(const TcpAddress& address) {
  RAYLET_RETURN_IF_ERROR(listener_.Listen(address));
  options_.own.address = options_.advertised.empty() ? listener_.address().text() : options_.advertised;
  return {};
}

Result<void> PeerLinks::Seek(const TcpAddress& address, const NodeId& node) {
  RAYLET_RETURN_IF_ERROR(dialer_.Seek(address, node));
  DialSoon();
  return {};
}

PeerLinks::Peer* PeerLinks::LivePeer(const NodeId& node) {
  return const_cast<Peer*>(std::as_const(*this).LivePeer(node));
}

const PeerLinks::Peer* PeerLinks::LivePeer(const NodeId& node) const {
  const auto found = peers_.find(node);
  if (found == peers_.end() || found->second.session == nullptr) return nullptr;
  const Peer& peer = found->second;
  return peer.session->born() && peer.session->state() != NodeState::kDead ? &peer : nullptr;
}

bool PeerLinks::InTouch(const NodeId& node) const {
  const Peer* const peer = LivePeer(node);
  return peer != nullptr && peer->connection != 0 && peer->session->state() == NodeState::kUp;
}

// Takes nothing more from its connection.
void PeerLinks::Leave(Peer& peer) {
  if (const auto link = links_.find(std::exchange(peer.connection, 0)); link != links_.end())
    link->second.connection->Close({ErrorCode::kDisconnected, "another connection takes this one's place"});
  peer.session->Detach();
}

PeerLinks::Peer* PeerLinks::PeerOf(const PeerConnection& connection) {
  const auto link = links_.find(connection.id());
  if (link == links_.end()) return nullptr;
  Peer* const peer = LivePeer(link->second.node);
  return peer != nullptr && peer->connection == connection.id() ? peer : nullptr;
}

Result<void> PeerLinks::Send(const NodeId& node, uint16_t type, std::span<const std::byte> body) {
  Peer* const peer = LivePeer(node);
  if (peer == nullptr)
    return Fail(ErrorCode::kNotFound,
                StrCat("there is no session with raylet ", node.hex(), ": it is dead, or never came"));
  RAYLET_RETURN_IF_ERROR(peer->session->Send(type, body));
  if (peer->connection != 0) links_.at(peer->connection).connection->WantsToWrite();
  return {};
}

bool PeerLinks::HasRoom(const NodeId& node, size_t body_bytes) const {
  const auto found = peers_.find(node);
  return found != peers_.end() && found->second.session != nullptr && found->second.session->HasRoom(body_bytes);
}

void PeerLinks::End(const NodeId& node, const Error& why) {
  Peer* const peer = LivePeer(node);
  if (peer == nullptr) return;
  handler_.OnPeerVouched(node, {});  // first: its goodbye says that nothing of it serves here any more
  peer->session->Goodbye(why);
  if (peer->connection != 0) links_.at(peer->connection).connection->Flush();
  Bury(node, why, LetGo::kPerhaps);
}

void PeerLinks::Stop(const std::string& why) {
  if (std::exchange(stopping_, true)) return;
  listener_.Stop();
  ticker_.Cancel();
  dial_timer_.Cancel();
  for (auto& [node, peer] : peers_) {
    if (peer.session == nullptr || peer.connection == 0) continue;
    handler_.OnPeerVouched(node, {});  // as in End
    peer.session->Goodbye({ErrorCode::kDisconnected, why});
    links_.at(peer.connection).connection->Flush();
  }
  dialer_.ForgetAll();
  for (auto& [id, link] : links_) link.connection->Close({ErrorCode::kCancelled, why});
}

// The reason to refuse a raylet that has proved itself.
Result<void> PeerLinks::CheckPeer(const PeerConnection& connection) const {
  const PeerIdentity& identity = connection.handshake().peer();
  for (const auto& [node, peer] : peers_) {
    if (peer.session == nullptr || !peer.session->born() || peer.session->state() == NodeState::kDead) continue;
    if (node == identity.node && peer.identity.epoch != identity.epoch && peer.connection != 0 &&
        peer.session->state() == NodeState::kUp) {
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

PeerSession& PeerLinks::FreshSession(Peer& peer) {
  if (peer.session == nullptr || peer.session->state() == NodeState::kDead)
    peer.session = std::make_unique<PeerSession>(options_.limits, NewNumber(), clock_.Now());
  return *peer.session;
}

void PeerLinks::OnProven(PeerConnection& connection) {
  const PeerIdentity& identity = connection.handshake().peer();
  const auto welcome = CheckPeer(connection);
  if (!welcome) return connection.Refuse(wire::RefusalKind::Other, welcome.error());
  // Only one raylet serves an address. So another raylet that served it, and has no connection, has ended.
  std::vector<NodeId> gone;
  for (const auto& [node, peer] : peers_) {
    if (peer.session != nullptr && peer.connection == 0 && peer.identity.address == identity.address &&
        node != identity.node)
      gone.push_back(node);
  }
  for (const NodeId& node : gone)
    Bury(node, {ErrorCode::kDisconnected, StrCat("another raylet serves ", identity.address, " now")}, LetGo::kSurely);
  if (const auto same = peers_.find(identity.node);
      same != peers_.end() && same->second.session != nullptr && same->second.identity.epoch != identity.epoch)
    Bury(identity.node, {ErrorCode::kDisconnected, "it has started again"}, LetGo::kSurely);
  connection.dialed() ? OnProvenDialed(connection) : OnProvenListener(connection);
}

void PeerLinks::OnProvenDialed(PeerConnection& connection) {
  const PeerIdentity& identity = connection.handshake().peer();
  Link& link = links_.at(connection.id());
  if (connection.handshake().role() == wire::PeerRole::Bulk) {
    if (identity.node == link.node) return connection.Accept({});
    return connection.Refuse(wire::RefusalKind::Other,
                             {ErrorCode::kWrongState, StrCat("another raylet serves ", identity.address, " now")});
  }
  dialer_.Proven(link.dialed, identity.node);
  // The other side refuses, because it dials itself.
  if (identity.node < options_.own.node) return connection.Accept({});
  Peer& peer = peers_[identity.node];
  if (InTouch(identity.node)) return connection.Close({ErrorCode::kAlreadyExists, "the two are connected already"});
  // The greeting says how many messages this side has taken, so nothing more may come over the old connection.
  if (peer.connection != 0) Leave(peer);
  peer.identity = identity;
  peer.address = connection.remote();
  connection.Accept(FreshSession(peer).Greeting());
}

void PeerLinks::OnProvenListener(PeerConnection& connection) {
  const PeerIdentity& identity = connection.handshake().peer();
  Link& link = links_.at(connection.id());
  if (connection.handshake().role() == wire::PeerRole::Bulk) {
    if (LivePeer(identity.node) == nullptr) {
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
  Peer& peer = peers_[identity.node];
  const auto& theirs = connection.handshake().accepted();
  const auto meeting = PeerSession::Meet(peer.session.get(), theirs);
  if (meeting == PeerSession::Meeting::kEnded) {
    return connection.Refuse(wire::RefusalKind::SessionEnded,
                             {ErrorCode::kDisconnected, StrCat(NameOf(options_.own), " has ended this session",
                                                               peer.why_dead.empty() ? "" : ": ", peer.why_dead)});
  }
  if (meeting == PeerSession::Meeting::kBegin && peer.session != nullptr)
    Bury(identity.node, {ErrorCode::kDisconnected, "it has ended the session and begins another"}, LetGo::kSurely);
  peer.identity = identity;
  peer.address = connection.remote();
  connection.Accept(FreshSession(peer).Greeting());
}

void PeerLinks::OnOpen(PeerConnection& connection) {
  const PeerIdentity identity = connection.handshake().peer();
  Link& link = links_.at(connection.id());
  if (connection.handshake().role() == wire::PeerRole::Bulk) {
    UniqueFd fd = connection.TakeFd();
    if (const auto done = std::exchange(link.bulk_done, nullptr)) return done(std::move(fd));
    return handler_.OnBulk(identity.node, std::move(fd));
  }
  const auto found = peers_.find(identity.node);
  if (found == peers_.end() || found->second.session == nullptr ||
      !found->second.session->Continues(connection.handshake().accepted())) {
    connection.Close({ErrorCode::kDisconnected, "the two do not mean the same session"});
    if (found != peers_.end() && found->second.session != nullptr)
      Bury(identity.node, {ErrorCode::kDisconnected, "the other side has ended the session"}, LetGo::kSurely);
    return DialSoon();
  }
  Attach(connection, found->second);
}

void PeerLinks::Attach(PeerConnection& connection, Peer& peer) {
  const NodeId node = peer.identity.node;
  const TimePoint now = clock_.Now();
  links_.at(connection.id()).node = node;
  if (peer.connection != 0) {
    links_.at(peer.connection)
        .connection->Close({ErrorCode::kDisconnected, "another connection has taken this one's place"});
  }
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
  const auto found = peers_.find(node);
  if (found == peers_.end() || found->second.session == nullptr) return;
  Peer& peer = found->second;
  const std::unique_ptr<PeerSession> session = std::move(peer.session);
  if (const auto link = links_.find(std::exchange(peer.connection, 0)); link != links_.end())
    link->second.connection->Close(why);
  dialer_.Dead(node, /*of_silence=*/why.code == ErrorCode::kTimedOut);
  if (!session->born()) return;
  introductions_.Dead(node);
  TakeIntroductions();
  session->End(why);
  peer.why_dead = why.message;
  peer.died_as = ++deaths_;
  peer.counters = session->counters();
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
      if (Peer* const still = LivePeer(node); still != nullptr && still->session->HeartbeatDue(now)) {
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
  const auto link = links_.find(connection.id());
  if (link == links_.end()) return;
  // Not LivePeer: the goodbye of a dead session goes out, too.
  const auto peer = peers_.find(link->second.node);
  if (peer == peers_.end() || peer->second.connection != connection.id() || peer->second.session == nullptr) return;
  peer->second.session->AppendOutput(out, bytes_max);
}

void PeerLinks::Tick() {
  const TimePoint now = clock_.Now();
  const Duration since = now - std::exchange(ticked_at_, now);
  const bool stalled = since > options_.limits.silent_after / 2;
  if (stalled) {
    RAYLET_LOG(kWarning, "this raylet did nothing for ", since / std::chrono::milliseconds(1),
               " ms: it was stopped, or its machine is short of CPU");
  }
  for (auto& [id, link] : links_) {
    if (stalled) link.connection->DidNotListen(since, now);
    link.connection->Tick(now);
  }
  std::vector<NodeId> nodes;
  bool load_wanted = false;
  for (const auto& [node, peer] : peers_) {
    if (peer.session == nullptr) continue;
    nodes.push_back(node);
    if (stalled) peer.session->DidNotListen(since, now);
    load_wanted = load_wanted || peer.session->HeartbeatDue(now + tick_every_ / 2);
  }
  const NodeLoad load = load_wanted ? handler_.OwnLoad() : NodeLoad();
  for (const NodeId& node : nodes) {
    if (const auto peer = peers_.find(node); peer != peers_.end() && peer->second.session != nullptr)
      TickPeer(node, peer->second, load, now);
  }
  PruneDead();
  IntroduceAll();
  DialDue();
}

void PeerLinks::TickPeer(const NodeId& node, Peer& peer, const NodeLoad& load, TimePoint now) {
  const NodeState before = peer.session->state();
  peer.session->Tick(now);
  if (peer.session->state() == NodeState::kDead) return Bury(node, Error(peer.session->why_dead()), LetGo::kPerhaps);
  if (peer.session->HeartbeatDue(now + tick_every_ / 2)) {  // else it could be late by most of a tick
    peer.session->Heartbeat(ToWire(load), now);
    links_.at(peer.connection).connection->WantsToWrite();
  }
  if (peer.session->state() == NodeState::kSilent && before == NodeState::kUp) {
    RAYLET_LOG(kWarning, NameOf(peer.identity), " is silent: it gets no new work until it is heard again");
    view_.Silent(node);
    DialAgain(node);
    handler_.OnPeerChanged(node);
  }
}

// Keeps only the latest dead peers, for the status.
void PeerLinks::PruneDead() {
  std::vector<std::pair<uint64_t, NodeId>> dead;
  for (const auto& [node, peer] : peers_)
    if (peer.session == nullptr) dead.emplace_back(peer.died_as, node);
  if (dead.size() <= kDeadKept) return;
  std::sort(dead.begin(), dead.end());
  for (size_t i = 0; i < dead.size() - kDeadKept; ++i) peers_.erase(dead[i].second);
}

// ---- introductions

// Sends each peer its changes in one message, at the next tick.
void PeerLinks::IntroduceAll() {
  for (auto& [node, peer] : peers_)
    if (InTouch(node)) IntroduceTo(node, peer);
}

void PeerLinks::IntroduceTo(const NodeId& node, Peer& peer) {
  if (!peer.session->MayIntroduce()) return;
  const auto introduction = introductions_.TakeFor(node);
  if (!introduction) return;
  peer.session->Introduce(*introduction);
  links_.at(peer.connection).connection->WantsToWrite();
}

void PeerLinks::TakeIntroductions() {
  const auto all = introductions_.TakeNews();
  for (const auto& news : all) dialer_.OnIntroduction(news);
  if (!all.empty()) DialSoon();
}

// ---- connections

// A flood of connections must keep no raylet out. The newest connection is most likely a raylet's.
void PeerLinks::DropOldestStranger() {
  size_t strangers = 0;
  PeerConnection* oldest = nullptr;
  for (auto& [id, link] : links_) {
    if (link.connection->dialed() || link.connection->closed() || link.connection->handshake().proven()) continue;
    if (oldest == nullptr) oldest = link.connection.get();
    ++strangers;
  }
  if (strangers < options_.strangers_max) return;
  oldest->Close({ErrorCode::kFull, StrCat("it has not proved itself, and ", options_.strangers_max,
                                          " others that came later have not either, which is the limit")});
}

PeerConnection& PeerLinks::AddConnection(UniqueFd fd, const TcpAddress& remote, PeerHandshake::Side side,
                                         wire::PeerRole role) {
  PeerHandshake::Options options;
  options.own = options_.own;
  options.side = side;
  options.role = role;
  options.token = options_.token;
  if (side == PeerHandshake::Side::kDialer) options.dialed = remote.text();
  const ConnectionId id = next_connection_++;
  Link& link = links_[id];
  PeerConnection::Events& events = *this;
  link.connection = std::make_unique<PeerConnection>(
      loop_, id, std::move(fd), remote,
      PeerHandshake(std::move(options), PeerHandshake::NewNonce(random_), clock_.Now()), events);
  return *link.connection;
}

uint64_t PeerLinks::NewNumber() {
  uint64_t number = 0;
  while (number == 0) number = random_();
  return number;
}

void PeerLinks::OnClosed(PeerConnection& connection, const Error& reason) {
  const auto extracted = links_.extract(connection.id());  // kept until the end of this function
  if (extracted.empty()) return;
  Link& link = extracted.mapped();
  if (const auto done = std::exchange(link.bulk_done, nullptr)) done(Fail(reason));
  const auto peer = peers_.find(link.node);
  if (peer != peers_.end()) {
    peer->second.bytes_sent += connection.bytes_sent();
    peer->second.bytes_received += connection.bytes_received();
  }
  if (stopping_) return;
  if (peer != peers_.end() && peer->second.connection == connection.id()) {
    peer->second.connection = 0;
    peer->second.session->Detach();
    // On a new connection the peer would send the same bytes, which are no frames, again.
    if (reason.code == ErrorCode::kProtocolError) return Bury(peer->first, reason, LetGo::kPerhaps);
    RAYLET_LOG(kInfo, "the connection to the raylet at ", peer->second.identity.address, " was lost: ", reason.message);
    return DialAgain(peer->first);
  }
  if (!link.dialed.empty()) {
    const PeerHandshake& handshake = connection.handshake();
    PeerDialer::Failure failure{
        reason, connection.refused_by_machine(), handshake.to_itself(), {}, handshake.elsewhere()};
    if (handshake.proven()) failure.refusal = handshake.refusal();
    const auto verdict = dialer_.Failed(link.dialed, connection.id(), failure);
    CarryOut(verdict);
    if (verdict.seek_back) SeekBack(handshake.peer());
    return DialSoon();  // an address that waited for its turn, or for a pause that is over
  }
  if (!connection.dialed() && !connection.open()) listener_.LogEnd(connection, reason);
}

// ---- dials

void PeerLinks::DialSoon() {
  if (std::exchange(dial_posted_, true)) return;
  loop_.Post([this, alive = alive_] {
    if (!*alive) return;
    dial_posted_ = false;
    DialDue();
  });
}

void PeerLinks::DialAgain(const NodeId& node) {
  dialer_.OutOfTouch(node);
  DialSoon();
}

void PeerLinks::DialDue() {
  if (stopping_) return;
  const TimePoint now = clock_.Now();
  const PeerDialer::Due due = dialer_.TakeDue();
  dial_timer_.Cancel();
  if (due.next != TimePoint::max() && due.next - now < tick_every_) {
    const auto delay =
        std::chrono::duration_cast<std::chrono::milliseconds>(due.next - now) + std::chrono::milliseconds(1);
    dial_timer_ = Timer(loop_, delay, {}, [this] { DialDue(); });
  }
  for (const std::string& address : due.addresses) {
    const auto attempt = dialer_.Begin(address);
    if (!attempt) continue;
    auto fd = ConnectTcp(attempt->address);
    if (!fd) {
      CarryOut(dialer_.NotOpened(address, fd.error()));
      continue;
    }
    PeerConnection& connection =
        AddConnection(std::move(*fd), attempt->address, PeerHandshake::Side::kDialer, wire::PeerRole::Session);
    connection.ConnectUntil(attempt->connect_until);
    links_.at(connection.id()).dialed = address;
    dialer_.Opened(address, connection.id());
  }
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
  if (const Peer* const peer = LivePeer(identity.node); peer != nullptr && peer->connection != 0) {
    links_.at(peer->connection)
        .connection->Close({ErrorCode::kDisconnected, "the other side has lost this connection"});
  }
  DialSoon();
}

void PeerLinks::DialBulk(const NodeId& node, BulkDone done) {
  const Peer* const peer = LivePeer(node);
  Result<TcpAddress> address = Fail(ErrorCode::kNotFound, StrCat("there is no session with raylet ", node.hex()));
  if (peer != nullptr) address = ParseTcpAddress(peer->identity.address);
  Result<UniqueFd> fd = address ? ConnectTcp(*address) : Fail(address.error());
  if (!fd) {
    loop_.Post([why = fd.error(), done = std::move(done)] { done(Fail(why)); });
    return;
  }
  const PeerConnection& connection =
      AddConnection(std::move(*fd), *address, PeerHandshake::Side::kDialer, wire::PeerRole::Bulk);
  Link& link = links_.at(connection.id());
  link.node = node;
  link.bulk_done = std::move(done);
}

}  // namespace raylet
