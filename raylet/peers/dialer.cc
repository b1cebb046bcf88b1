#include "raylet/peers/dialer.h"

#include <algorithm>

#include "base/log.h"
#include "base/strings.h"

namespace raylet {
namespace {

constexpr int kAttemptsUnsought = 5;  // to reach a raylet that asked to be dialed
constexpr int kAttemptsInDoubt = 12;  // short attempts; then longer ones, for a machine that is very far away

}  // namespace

PeerDialer::PeerDialer(const PeerIdentity& own, PeerDialLimits limits, Duration in_doubt, const Clock& clock,
                       const Sessions& sessions, Random random)
    : own_(own), limits_(limits), in_doubt_(in_doubt), clock_(clock), sessions_(sessions), random_(std::move(random)) {}

// ---- addresses

Result<void> PeerDialer::Seek(const TcpAddress& address, const NodeId& node) {
  if (address.wildcard() || address.port() == 0)
    return Fail(ErrorCode::kInvalid, StrCat("no raylet can be dialed at ", address.text()));
  if (address.text() == own_.address || node == own_.node) return {};
  Target& target = targets_[address.text()];
  if (target.sought) return {};
  target.address = address;
  target.sought = true;
  if (target.node.IsNil()) target.node = node;
  target.next_at = FirstAt(node);
  return {};
}

// The raylet with the smaller node id dials; the other one gives it time.
TimePoint PeerDialer::FirstAt(const NodeId& node) const {
  const bool it_dials = !node.IsNil() && node < own_.node;
  return clock_.Now() + (it_dials ? 2 * limits_.pause_min : Duration::zero());
}

void PeerDialer::Forget(const std::string& address) {
  const auto found = targets_.find(address);
  if (found == targets_.end()) return;
  found->second.sought = false;
  if (!sessions_.Lives(found->second.node) && !Keeps(found->second)) targets_.erase(found);
}

Result<void> PeerDialer::SeekBack(const PeerIdentity& identity) {
  const auto address = ParseTcpAddress(identity.address);
  if (!address) return Fail(address.error());
  Target& target = targets_[address->text()];
  target.address = *address;
  target.node = identity.node;
  target.next_at = clock_.Now();
  return {};
}

void PeerDialer::OnIntroduction(const PeerIntroductions::News& news) {
  news.introduced ? Introduced(news.place) : IntroducedNoMore(news.place);
}

void PeerDialer::Introduced(const PeerIntroductions::Place& place) {
  const auto address = ParseTcpAddress(place.address);
  if (!address || address->text() == own_.address) return;
  const auto known = targets_.find(address->text());
  if (known == targets_.end()) {
    const auto others = std::count_if(targets_.begin(), targets_.end(),
                                      [](const auto& each) { return !each.second.introduced.empty(); });
    if (static_cast<size_t>(others) >= limits_.introduced_max) return;
  }
  Target& target = targets_[address->text()];
  if (known == targets_.end()) {
    target.address = *address;
    target.next_at = FirstAt(place.node);
  }
  target.introduced.insert(place);
}

void PeerDialer::IntroducedNoMore(const PeerIntroductions::Place& place) {
  const auto address = ParseTcpAddress(place.address);
  const auto found = address ? targets_.find(address->text()) : targets_.end();
  if (found == targets_.end()) return;
  Target& target = found->second;
  if (target.introduced.erase(place) == 0) return;
  // A dial under way ends by itself.
  if (target.connection == 0 && !sessions_.Lives(target.node) && !Keeps(target)) targets_.erase(found);
}

// Once it is known which raylet answers at an address, introductions of others there count no more.
// Returns whether the address is kept.
bool PeerDialer::Refute(const std::string& address, const NodeId& served_by) {
  const auto found = targets_.find(address);
  if (found == targets_.end()) return false;
  Target& target = found->second;
  std::erase_if(target.introduced, [&](const auto& place) { return place.node != served_by; });
  if (served_by != own_.node || target.sought) return true;
  targets_.erase(found);
  return false;
}

// ---- events of sessions

void PeerDialer::Connected(const PeerIdentity& peer, ConnectionId connection) {
  // The peer is dialed there when the connection breaks.
  if (const auto address = ParseTcpAddress(peer.address)) {
    Target& target = targets_[peer.address];
    target.address = *address;
    target.node = peer.node;
  }
  for (auto& [text, target] : targets_) {
    if (target.node != peer.node) continue;
    target.attempts = 0;
    target.last_failure.clear();
    target.lost_until.reset();
    if (target.connection == connection) target.connection = 0;
  }
}

void PeerDialer::OutOfTouch(const NodeId& node) {
  for (auto& [text, target] : targets_) {
    if (target.node != node) continue;
    target.attempts = 0;
    // If this raylet has the larger id, the other one answers that it will dial, or its machine refuses.
    target.next_at = FirstAt(node);
  }
}

void PeerDialer::Dead(const NodeId& node, bool of_silence) {
  for (auto each = targets_.begin(); each != targets_.end();) {
    Target& target = each->second;
    if (target.node != node) {
      ++each;
      continue;
    }
    target.node = {};
    target.attempts = 0;
    target.next_at = clock_.Now() + Pause(1);
    if (of_silence) SeekLost(target);
    each = Keeps(target) ? std::next(each) : targets_.erase(each);
  }
}

// A silent raylet may live: perhaps only the network is cut, and no raylet is left that knows both sides.
void PeerDialer::SeekLost(Target& target) {
  target.lost_until = clock_.Now() + limits_.seek_lost_for;
  size_t lost = 0;
  auto oldest = targets_.end();
  for (auto each = targets_.begin(); each != targets_.end(); ++each) {
    if (!each->second.lost_until) continue;
    ++lost;
    if (oldest == targets_.end() || each->second.lost_until < oldest->second.lost_until) oldest = each;
  }
  if (lost > limits_.lost_max) oldest->second.lost_until.reset();
}

// ---- dials

bool PeerDialer::WantsDial(const Target& target) const {
  if (target.itself || target.connection != 0 || sessions_.InTouch(target.node)) return false;
  if (target.sought || target.lost_until || !target.node.IsNil() || target.introduced.empty()) return true;
  return std::any_of(target.introduced.begin(), target.introduced.end(),
                     [this](const auto& place) { return !sessions_.InTouch(place.node); });
}

// Whether the address is kept although there is no session with the raylet there.
bool PeerDialer::Keeps(const Target& target) const {
  return target.sought || !target.introduced.empty() || (target.lost_until && clock_.Now() < *target.lost_until);
}

PeerDialer::Due PeerDialer::TakeDue() const {
  const TimePoint now = clock_.Now();
  Due due;
  std::vector<std::pair<TimePoint, std::string>> waiting;  // the longest first
  size_t introduced_dials = 0;
  for (const auto& [text, target] : targets_) {
    if (target.connection != 0 && !target.introduced.empty()) ++introduced_dials;
    if (!WantsDial(target)) continue;
    if (now < target.next_at) {
      due.next = std::min(due.next, target.next_at);
    } else {
      waiting.emplace_back(target.next_at, text);
    }
  }
  std::sort(waiting.begin(), waiting.end());
  for (auto& [since, text] : waiting) {
    const Target& target = targets_.at(text);
    if (!target.introduced.empty() && !target.sought && !sessions_.Lives(target.node) &&
        introduced_dials++ >= limits_.introduced_dials_max)
      continue;  // the next look begins it
    due.addresses.push_back(std::move(text));
  }
  return due;
}

std::optional<PeerDialer::Attempt> PeerDialer::Begin(const std::string& address) {
  const auto found = targets_.find(address);
  if (found == targets_.end()) return std::nullopt;
  Target& target = found->second;
  target.dialed_at = clock_.Now();
  Attempt attempt;
  attempt.address = target.address;
  // TCP retransmits only after seconds, so a new connection is faster once the network is back.
  if (sessions_.Lives(target.node) && target.attempts < kAttemptsInDoubt)
    attempt.connect_until = target.dialed_at + in_doubt_;
  return attempt;
}

void PeerDialer::Opened(const std::string& address, ConnectionId connection) {
  if (const auto target = targets_.find(address); target != targets_.end()) target->second.connection = connection;
}

void PeerDialer::Proven(const std::string& address, const NodeId& served_by) {
  if (const auto target = targets_.find(address); target != targets_.end()) target->second.node = served_by;
  Refute(address, served_by);
}

PeerDialer::Verdict PeerDialer::Failed(const std::string& address, ConnectionId connection, const Failure& failure) {
  const auto found = targets_.find(address);
  if (found == targets_.end() || found->second.connection != connection) return {};
  Target& target = found->second;
  target.connection = 0;
  if (failure.to_itself) {
    if (Refute(address, own_.node)) target.itself = true;
    return {};
  }
  if (sessions_.InTouch(target.node)) return {};
  if (failure.other_address) {
    Refute(address, {});
    if (!Keeps(target) && !sessions_.Lives(target.node)) {
      targets_.erase(found);
      return {};
    }
  }
  if (failure.refusal == wire::RefusalKind::DialBack) {
    target.last_failure.clear();
    target.next_at = clock_.Now() + Pause(++target.attempts + 2);
    GiveUpInTheEnd(target);
    return {};
  }
  if (failure.refusal == wire::RefusalKind::SessionEnded) return {target.node, failure.why, /*seek_back=*/true};
  return Failed(target, failure.why, failure.refused_by_machine);
}

PeerDialer::Verdict PeerDialer::NotOpened(const std::string& address, const Error& why) {
  const auto found = targets_.find(address);
  if (found == targets_.end()) return {};
  return Failed(found->second, why, why.code == ErrorCode::kNotRunning);
}

PeerDialer::Verdict PeerDialer::Failed(Target& target, const Error& why, bool refused_by_machine) {
  const NodeId node = target.node;
  const Duration pause = Pause(++target.attempts);
  target.next_at = clock_.Now() + pause;
  // A session that still lives may soon be dead.
  if (sessions_.Lives(node)) target.next_at = std::max(clock_.Now(), target.dialed_at + std::min(pause, in_doubt_));
  if (sessions_.Lives(node) && refused_by_machine) {
    target.last_failure = why.message;  // the session's end is logged instead
    return {node,
            {ErrorCode::kNotRunning,
             StrCat("its machine refuses connections to ", target.address.text(), ": it has ended")}};
  }
  if (std::exchange(target.last_failure, why.message) != why.message) {
    RAYLET_LOG(kWarning, "no connection to the raylet at ", target.address.text(), ": ", why.message,
               Keeps(target) ? "; trying on" : "");
  }
  GiveUpInTheEnd(target);
  return {};
}

void PeerDialer::GiveUpInTheEnd(const Target& target) {
  if (!Keeps(target) && target.attempts >= kAttemptsUnsought && !sessions_.Lives(target.node))
    targets_.erase(std::string(target.address.text()));
}

// Half of a pause that doubles with every attempt, and a random part of the other half. So many
// raylets that lost the same one do not come back to it together.
Duration PeerDialer::Pause(int attempts) {
  Duration pause = limits_.pause_min;
  for (int i = 1; i < attempts && pause < limits_.pause_max; ++i) pause *= 2;
  pause = std::min(pause, limits_.pause_max);
  const auto half = static_cast<uint64_t>(pause.count() / 2);
  return Duration(static_cast<Duration::rep>(half + random_() % (half + 1)));
}

}  // namespace raylet
