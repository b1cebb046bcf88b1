#include "raylet/peers/links.h"

#include <algorithm>

#include "base/log.h"
#include "base/strings.h"
#include "raylet/peers/load.h"

namespace raylet {
namespace {

constexpr size_t kDeadKept = 8;  // for people
constexpr std::chrono::milliseconds kTickMin{5}, kTickMax{250};

std::string NameOf(const PeerIdentity& identity) {
  return StrCat("raylet ", identity.node.hex().substr(0, 12), " at ", identity.address);
}

}  // namespace

PeerLinks::PeerLinks(Loop& loop, const Clock& clock, PeerLinksOptions options, ClusterView& view, Handler& handler,
                     Random random)
    : loop_(loop),
      clock_(clock),
      options_(std::move(options)),
      view_(view),
      handler_(handler),
      random_(std::move(random)),
      tick_every_(std::clamp(std::chrono::duration_cast<std::chrono::milliseconds>(options_.limits.heartbeat_every) / 2,
                             kTickMin, kTickMax)),
      introductions_(options_.own.node) {
  if (!random_) {
    random_ = [] {
      uint64_t number = 0;
      FillRandom(reinterpret_cast<uint8_t*>(&number), sizeof number);
      return number;
    };
  }
  while (options_.own.epoch == 0) options_.own.epoch = random_();
  ticked_at_ = clock_.Now();
  ticker_ = Timer(loop_, tick_every_, tick_every_, [this] { Tick(); });
}

PeerLinks::~PeerLinks() {
  *alive_ = false;
  listener_.Cancel();
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

// Nothing that may still come over its connection is taken any more.
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
  peer->session->Goodbye(why);
  if (peer->connection != 0) links_.at(peer->connection).connection->Flush();
  Bury(node, why);
}

void PeerLinks::Stop(const std::string& why) {
  if (std::exchange(stopping_, true)) return;
  listener_.Cancel();
  listen_fd_.Reset();
  accept_pause_.Cancel();
  ticker_.Cancel();
  dial_timer_.Cancel();
  for (auto& [node, peer] : peers_) {
    if (peer.session == nullptr || peer.connection == 0) continue;
    peer.session->Goodbye({ErrorCode::kDisconnected, why});
    links_.at(peer.connection).connection->Flush();
  }
  targets_.clear();
  for (auto& [id, link] : links_) link.connection->Close({ErrorCode::kCancelled, why});
}

// Why a raylet that is who it says is not welcome all the same.
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
    if (node != identity.node && peer.identity.process_base == identity.process_base) {
      return Fail(ErrorCode::kAlreadyExists,
                  StrCat("the raylets at ", peer.identity.address, " and ", identity.address,
                         " number their processes alike (", identity.process_base, "): start one of them again"));
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
  // Nobody else can serve its address: who did and is out of touch has gone.
  std::vector<NodeId> gone;
  for (const auto& [node, peer] : peers_) {
    if (peer.session != nullptr && peer.connection == 0 && peer.identity.address == identity.address &&
        node != identity.node)
      gone.push_back(node);
  }
  for (const NodeId& node : gone)
    Bury(node, {ErrorCode::kDisconnected, StrCat("another raylet serves ", identity.address, " now")});
  if (const auto same = peers_.find(identity.node);
      same != peers_.end() && same->second.session != nullptr && same->second.identity.epoch != identity.epoch)
    Bury(identity.node, {ErrorCode::kDisconnected, "it has started again"});
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
  if (const auto target = targets_.find(link.target); target != targets_.end()) target->second.node = identity.node;
  Refute(link.target, identity.node);
  if (identity.node < options_.own.node) return connection.Accept({});  // it will dial, and says so
  Peer& peer = peers_[identity.node];
  if (InTouch(identity.node)) return connection.Close({ErrorCode::kAlreadyExists, "the two are connected already"});
  // From here on what has been taken and acknowledged stays as the greeting says.
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
    Bury(identity.node, {ErrorCode::kDisconnected, "it has ended the session and begins another"});
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
      Bury(identity.node, {ErrorCode::kDisconnected, "the other side has ended the session"});
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
  // Where to look for it when the connection breaks.
  if (const auto address = ParseTcpAddress(peer.identity.address); address && MayReach(*address)) {
    Target& target = targets_[peer.identity.address];
    target.address = *address;
    target.node = node;
  }
  for (auto& [text, target] : targets_) {
    if (target.node != node) continue;
    target.attempts = 0;
    target.last_failure.clear();
    target.lost_until.reset();
    if (target.connection == connection.id()) target.connection = 0;
  }
  introductions_.Connected(peer.identity);
  IntroduceTo(node, peer);
  view_.Up(node, peer.identity.epoch, peer.identity.process_base, peer.identity.address, now);
  RAYLET_LOG(kInfo, NameOf(peer.identity), first ? " is up" : " is connected again");
  if (!first) return handler_.OnPeerHeard(node);
  peer.why_dead.clear();
  handler_.OnPeerUp(node);
}

void PeerLinks::Bury(const NodeId& node, const Error& why) {
  const auto found = peers_.find(node);
  if (found == peers_.end() || found->second.session == nullptr) return;
  Peer& peer = found->second;
  const std::unique_ptr<PeerSession> session = std::move(peer.session);
  if (const auto link = links_.find(std::exchange(peer.connection, 0)); link != links_.end())
    link->second.connection->Close(why);
  for (auto each = targets_.begin(); each != targets_.end();) {
    Target& target = each->second;
    if (target.node != node) {
      ++each;
      continue;
    }
    target.node = {};
    target.attempts = 0;
    target.next_at = clock_.Now() + Pause(1);
    if (why.code == ErrorCode::kTimedOut) SeekLost(target);
    each = Keeps(target) ? std::next(each) : targets_.erase(each);
  }
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
  handler_.OnPeerDead(node, why);
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
  view_.Up(node, peer.identity.epoch, peer.identity.process_base, peer.identity.address, clock_.Now());
  handler_.OnPeerHeard(node);
}

void PeerLinks::OnFrame(PeerConnection& connection, const Frame& frame) {
  Peer* peer = PeerOf(connection);
  if (peer == nullptr) return;
  const NodeId node = peer->identity.node;
  const auto heard = peer->session->OnFrame(frame, clock_.Now());
  if (!heard) return End(node, heard.error());
  switch (*heard) {
    case PeerSession::Heard::kNothing: break;
    case PeerSession::Heard::kGoodbye: return Bury(node, Error(peer->session->why_dead()));
    case PeerSession::Heard::kMessage: {
      const auto taken = handler_.OnPeerMessage(node, frame);
      if (!taken) return End(node, taken.error());
      break;
    }
    case PeerSession::Heard::kIntroduction: {
      const auto taken = HearIntroduction(node, *peer);
      if (!taken) return End(node, taken.error());
      break;
    }
    case PeerSession::Heard::kHeartbeat: {
      auto load = FromWire(peer->session->heartbeat());
      if (!load) return End(node, load.error());
      view_.Heard(node, std::move(*load), clock_.Now());
      handler_.OnPeerHeard(node);
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
  // Not LivePeer: a goodbye is said by the dead.
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
  for (auto& [id, link] : links_) link.connection->Tick(now);
  std::vector<NodeId> nodes;
  bool load_wanted = false;
  for (const auto& [node, peer] : peers_) {
    if (peer.session == nullptr) continue;
    nodes.push_back(node);
    if (stalled) peer.session->DidNotListen(since);
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
  if (peer.session->state() == NodeState::kDead) return Bury(node, Error(peer.session->why_dead()));
  if (peer.session->HeartbeatDue(now + tick_every_ / 2)) {  // or it would be late by most of a tick
    peer.session->Heartbeat(ToWire(load), now);
    links_.at(peer.connection).connection->WantsToWrite();
  }
  if (peer.session->state() == NodeState::kSilent && before == NodeState::kUp) {
    RAYLET_LOG(kWarning, NameOf(peer.identity), " is silent: it gets no new work until it is heard again");
    view_.Silent(node);
    RedialSoon(node);
    handler_.OnPeerSilent(node);
  }
}

// Of those that are dead, the last ones are kept for people to see.
void PeerLinks::PruneDead() {
  std::vector<std::pair<uint64_t, NodeId>> dead;
  for (const auto& [node, peer] : peers_)
    if (peer.session == nullptr) dead.emplace_back(peer.died_as, node);
  if (dead.size() <= kDeadKept) return;
  std::sort(dead.begin(), dead.end());
  for (size_t i = 0; i < dead.size() - kDeadKept; ++i) peers_.erase(dead[i].second);
}

std::vector<PeerStatus> PeerLinks::Status() const {
  std::vector<PeerStatus> all;
  for (const auto& [node, peer] : peers_) {
    const PeerSession* const session = peer.session.get();
    const bool living = session != nullptr && session->born();
    if (!living && peer.why_dead.empty()) continue;  // never was one
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
