// The connections of PeerLinks: who comes, whom to dial and when, and what to make of a connection that ends.
#include <algorithm>

#include "base/log.h"
#include "base/strings.h"
#include "raylet/peers/links.h"

namespace raylet {
namespace {

constexpr std::chrono::milliseconds kPeerAcceptPause{200};
constexpr std::chrono::seconds kStrangersLoggedEvery{1};
constexpr int kAttemptsUnsought = 5;  // to reach who asked to be dialed
constexpr int kAttemptsInDoubt = 12;  // short ones; then longer ones for a machine that is very far away

tl::unexpected<Error> NeedsToken(const std::string& what, const TcpAddress& address) {
  return Fail(ErrorCode::kNotAllowed, StrCat(what, " ", address.text(),
                                             ", which is no loopback address, needs a token that all raylets of the "
                                             "cluster share: name its file with --token-file, or use 127.0.0.1"));
}

}  // namespace

Result<void> PeerLinks::Listen(const TcpAddress& address) {
  if (address.wildcard()) {
    return Fail(ErrorCode::kInvalid, StrCat(address.host(),
                                            " stands for every address of this machine: name the one that "
                                            "other raylets reach with --node-ip"));
  }
  if (!MayReach(address)) return NeedsToken("listening on", address);
  auto fd = ListenTcp(address, 128);
  if (!fd) return Fail(fd.error());
  const auto local = LocalAddressOf(fd->get());
  if (!local) return Fail(local.error());
  listening_ = *local;
  options_.own.address = options_.advertised.empty() ? local->text() : options_.advertised;
  listen_fd_ = std::move(*fd);
  listener_ = FdWatcher(loop_, listen_fd_.get(), [this](FdWatcher::Events) { AcceptAll(); });
  listener_.Watch({true, false});
  return {};
}

Result<void> PeerLinks::Seek(const TcpAddress& address, const NodeId& node) {
  if (!MayReach(address)) return NeedsToken("a raylet at", address);
  if (address.text() == options_.own.address || node == options_.own.node) return {};
  Target& target = targets_[address.text()];
  if (target.sought) return {};
  target.address = address;
  target.sought = true;
  if (target.node.IsNil()) target.node = node;
  // The smaller id dials: leave it the time to.
  target.next_at = clock_.Now();
  if (!node.IsNil() && node < options_.own.node) target.next_at += 2 * options_.redial_min;
  DialSoon();
  return {};
}

void PeerLinks::Forget(const std::string& address) {
  const auto found = targets_.find(address);
  if (found == targets_.end()) return;
  found->second.sought = false;
  if (LivePeer(found->second.node) == nullptr && !Keeps(found->second)) targets_.erase(found);
}

void PeerLinks::AcceptAll() {
  for (;;) {
    auto fd = AcceptTcp(listen_fd_.get());
    if (!fd) {
      RAYLET_LOG(kError, "cannot accept a raylet's connection: ", fd.error().message, "; trying again soon");
      listener_.Watch({});
      accept_pause_ = Timer(loop_, kPeerAcceptPause, {}, [this] { listener_.Watch({true, false}); });
      return;
    }
    if (!*fd) return;
    const auto remote = RemoteAddressOf(fd->get());
    if (!remote) continue;  // gone already
    DropOldestStranger();
    AddConnection(std::move(*fd), *remote, PeerHandshake::Side::kListener, wire::PeerRole::Session);
  }
}

// One who floods us with connections keeps nobody else out: the newest has the best chance of being a raylet.
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
  const ConnectionId id = next_connection_++;
  Link& link = links_[id];
  PeerConnection::Events& events = *this;
  link.connection = std::make_unique<PeerConnection>(
      loop_, id, std::move(fd), remote, PeerHandshake(std::move(options), NewNonce(), clock_.Now()), events);
  return *link.connection;
}

PeerHandshake::Nonce PeerLinks::NewNonce() {
  PeerHandshake::Nonce nonce;
  for (size_t i = 0; i < nonce.size(); i += 8) {
    const uint64_t number = random_();
    std::memcpy(nonce.data() + i, &number, 8);
  }
  return nonce;
}

uint64_t PeerLinks::NewNumber() {
  uint64_t number = 0;
  while (number == 0) number = random_();
  return number;
}

void PeerLinks::DialSoon() {
  if (std::exchange(dial_posted_, true)) return;
  loop_.Post([this, alive = alive_] {
    if (!*alive) return;
    dial_posted_ = false;
    DialDue();
  });
}

bool PeerLinks::WantsDial(const Target& target) const {
  if (target.itself || target.connection != 0 || InTouch(target.node)) return false;
  if (target.sought || target.lost_until || !target.node.IsNil() || target.introduced.empty()) return true;
  return std::any_of(target.introduced.begin(), target.introduced.end(),
                     [this](const auto& place) { return !InTouch(place.node); });
}

// Without a session with who serves it.
bool PeerLinks::Keeps(const Target& target) const {
  return target.sought || !target.introduced.empty() || (target.lost_until && clock_.Now() < *target.lost_until);
}

void PeerLinks::DialDue() {
  if (stopping_) return;
  const TimePoint now = clock_.Now();
  TimePoint next = TimePoint::max();
  std::vector<std::pair<TimePoint, std::string>> due;  // who has waited longest first
  size_t introduced_dials = 0;
  for (const auto& [text, target] : targets_) {
    if (target.connection != 0 && !target.introduced.empty()) ++introduced_dials;
    if (!WantsDial(target)) continue;
    if (now < target.next_at) {
      next = std::min(next, target.next_at);
    } else {
      due.emplace_back(target.next_at, text);
    }
  }
  std::sort(due.begin(), due.end());
  dial_timer_.Cancel();
  if (next != TimePoint::max() && next - now < tick_every_) {
    const auto delay = std::chrono::duration_cast<std::chrono::milliseconds>(next - now) + std::chrono::milliseconds(1);
    dial_timer_ = Timer(loop_, delay, {}, [this] { DialDue(); });
  }
  for (const auto& [since, text] : due) {
    const auto target = targets_.find(text);
    if (target == targets_.end()) continue;
    if (!target->second.introduced.empty() && !target->second.sought && LivePeer(target->second.node) == nullptr &&
        introduced_dials++ >= options_.introduced_dials_max)
      continue;  // the next tick looks again
    Dial(target->second);
  }
}

void PeerLinks::Dial(Target& target) {
  target.dialed_at = clock_.Now();
  auto fd = ConnectTcp(target.address);
  if (!fd) return DialFailed(target, fd.error(), fd.error().code == ErrorCode::kNotRunning);
  PeerConnection& connection =
      AddConnection(std::move(*fd), target.address, PeerHandshake::Side::kDialer, wire::PeerRole::Session);
  // What went out before the network was there again is tried again by the kernel after seconds only.
  if (LivePeer(target.node) != nullptr && target.attempts < kAttemptsInDoubt)
    connection.ConnectUntil(target.dialed_at + InDoubt());
  links_.at(connection.id()).target = target.address.text();
  target.connection = connection.id();
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

// Who may not dial us asks to be dialed: at once, even if we believe that we are connected, for it does not.
void PeerLinks::SeekBack(const PeerIdentity& identity) {
  const auto address = ParseTcpAddress(identity.address);
  if (!address || !MayReach(*address)) {
    RAYLET_LOG(kWarning, "a raylet wants to be dialed at ", identity.address,
               ", which cannot be: ", address ? "without a token only loopback is dialed" : address.error().message);
    return;
  }
  if (const Peer* const peer = LivePeer(identity.node); peer != nullptr && peer->connection != 0) {
    links_.at(peer->connection)
        .connection->Close({ErrorCode::kDisconnected, "the other side has lost this connection"});
  }
  Target& target = targets_[address->text()];
  target.address = *address;
  target.node = identity.node;
  target.next_at = clock_.Now();
  DialSoon();
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
    // Bytes that are no frames would come again and again.
    if (reason.code == ErrorCode::kProtocolError) return Bury(peer->first, reason);
    RAYLET_LOG(kInfo, "the connection to the raylet at ", peer->second.identity.address, " was lost: ", reason.message);
    return RedialSoon(peer->first);
  }
  if (!link.target.empty()) {
    DialFailed(connection, link.target, reason);
    return DialSoon();  // whoever waited for its turn, or for a pause that is over
  }
  if (!connection.dialed() && !connection.open()) LogStranger(connection, reason);
}

void PeerLinks::RedialSoon(const NodeId& node) {
  for (auto& [text, target] : targets_) {
    if (target.node != node) continue;
    target.attempts = 0;
    target.next_at = clock_.Now();
    // The smaller id dials: leave it the time to. Dialed from here it says so, or its machine says that it has gone.
    if (node < options_.own.node) target.next_at += 2 * options_.redial_min;
  }
  DialSoon();
}

void PeerLinks::DialFailed(const PeerConnection& connection, const std::string& text, const Error& reason) {
  const auto found = targets_.find(text);
  if (found == targets_.end() || found->second.connection != connection.id()) return;
  Target& target = found->second;
  const PeerHandshake& handshake = connection.handshake();
  target.connection = 0;
  if (handshake.to_itself()) {
    if (Refute(text, options_.own.node)) target.itself = true;
    return;
  }
  if (InTouch(target.node)) return;
  if (handshake.proven() && handshake.refusal() == wire::RefusalKind::DialBack) {
    target.last_failure.clear();
    target.next_at = clock_.Now() + Pause(++target.attempts + 2);
    return GiveUpInTheEnd(target);
  }
  if (handshake.proven() && handshake.refusal() == wire::RefusalKind::SessionEnded) {
    const NodeId node = target.node;
    Bury(node, reason);
    // Its address is known to be good.
    SeekBack(handshake.peer());
    return;
  }
  DialFailed(target, reason, connection.refused_by_machine());
}

void PeerLinks::DialFailed(Target& target, const Error& reason, bool refused_by_machine) {
  const NodeId node = target.node;
  const Duration pause = Pause(++target.attempts);
  target.next_at = clock_.Now() + pause;
  // While a session lives it is soon too late for it.
  if (LivePeer(node) != nullptr) target.next_at = std::max(clock_.Now(), target.dialed_at + std::min(pause, InDoubt()));
  if (LivePeer(node) != nullptr && refused_by_machine) {
    target.last_failure = reason.message;  // Bury says so
    return Bury(node, {ErrorCode::kNotRunning,
                       StrCat("its machine refuses connections to ", target.address.text(), ": it has ended")});
  }
  if (std::exchange(target.last_failure, reason.message) != reason.message) {
    RAYLET_LOG(kWarning, "no connection to the raylet at ", target.address.text(), ": ", reason.message,
               Keeps(target) ? "; trying on" : "");
  }
  GiveUpInTheEnd(target);
}

void PeerLinks::GiveUpInTheEnd(const Target& target) {
  if (!Keeps(target) && target.attempts >= kAttemptsUnsought && LivePeer(target.node) == nullptr)
    targets_.erase(std::string(target.address.text()));
}

// Half of a pause that doubles with every attempt, and a random part of the other half, so that many raylets that lost
// one do not come back to it together.
Duration PeerLinks::Pause(int attempts) {
  Duration pause = options_.redial_min;
  for (int i = 1; i < attempts && pause < options_.redial_max; ++i) pause *= 2;
  pause = std::min(pause, options_.redial_max);
  const auto half = static_cast<uint64_t>(pause.count() / 2);
  return Duration(static_cast<Duration::rep>(half + random_() % (half + 1)));
}

void PeerLinks::LogStranger(const PeerConnection& connection, const Error& reason) {
  const PeerHandshake& handshake = connection.handshake();
  if (handshake.to_itself() || (handshake.proven() && handshake.refusal())) return;
  if (handshake.own_refusal().value_or(wire::RefusalKind::Other) != wire::RefusalKind::Other) return;  // no stranger
  // Looked in and left: a port scan, or who wants to know whether we live.
  if (handshake.said_nothing() && reason.code == ErrorCode::kDisconnected) {
    RAYLET_LOG(kDebug, "a connection from ", connection.remote().text(), ": ", reason.message);
    return;
  }
  if (handshake.proven() && handshake.state() != PeerHandshake::State::kFailed) return;  // two dialed each other
  const TimePoint now = clock_.Now();
  if (strangers_logged_at_ != TimePoint() && now - strangers_logged_at_ < kStrangersLoggedEvery) {
    ++strangers_unlogged_;
    return;
  }
  strangers_logged_at_ = now;
  const uint64_t others = std::exchange(strangers_unlogged_, 0);
  RAYLET_LOG(kWarning, "a connection from ", connection.remote().text(), " was closed: ", reason.message,
             others == 0 ? "" : StrCat(" (and ", others, " others before)"));
}

}  // namespace raylet
