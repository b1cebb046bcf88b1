// The introductions of PeerLinks: whom it tells its peers of, and when, and what it makes of whom it is told of.
#include <algorithm>

#include "base/log.h"
#include "base/strings.h"
#include "raylet/peers/links.h"

namespace raylet {

// What has changed goes with the next tick, in one message to each, whatever happens in between.
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

Result<void> PeerLinks::HearIntroduction(const NodeId& node, const Peer& peer) {
  auto heard = introductions_.Hear(node, peer.session->introduction());
  TakeIntroductions();
  return heard;
}

void PeerLinks::TakeIntroductions() {
  for (const auto& news : introductions_.TakeNews())
    news.introduced ? SeekIntroduced(news.place) : SeekIntroducedNoMore(news.place);
}

void PeerLinks::SeekIntroduced(const PeerIntroductions::Place& place) {
  const auto address = ParseTcpAddress(place.address);
  if (!address || !MayReach(*address) || address->text() == options_.own.address) return;
  const auto known = targets_.find(address->text());
  if (known == targets_.end()) {
    const auto others = std::count_if(targets_.begin(), targets_.end(),
                                      [](const auto& each) { return !each.second.introduced.empty(); });
    if (static_cast<size_t>(others) >= options_.introduced_max) return;
  }
  Target& target = targets_[address->text()];
  if (known == targets_.end()) {
    target.address = *address;
    target.next_at = clock_.Now();
    // The smaller id dials: leave it the time to.
    if (place.node < options_.own.node) target.next_at += 2 * options_.redial_min;
  }
  target.introduced.insert(place);
  DialSoon();
}

void PeerLinks::SeekIntroducedNoMore(const PeerIntroductions::Place& place) {
  const auto address = ParseTcpAddress(place.address);
  const auto found = address ? targets_.find(address->text()) : targets_.end();
  if (found == targets_.end()) return;
  Target& target = found->second;
  if (target.introduced.erase(place) == 0) return;
  // A dial that is under way ends by itself.
  if (target.connection == 0 && LivePeer(target.node) == nullptr && !Keeps(target)) targets_.erase(found);
}

// What was said of an address is given up once it is known who serves it. Returns whether the target is still there.
bool PeerLinks::Refute(const std::string& text, const NodeId& served_by) {
  const auto found = targets_.find(text);
  if (found == targets_.end()) return false;
  Target& target = found->second;
  std::erase_if(target.introduced, [&](const auto& place) { return place.node != served_by; });
  if (served_by != options_.own.node || target.sought) return true;
  targets_.erase(found);
  return false;
}

// Silence tells nothing of whether it lives: perhaps it is only the network that is cut, and nobody else is left who
// knows the two of us.
void PeerLinks::SeekLost(Target& target) {
  target.lost_until = clock_.Now() + options_.seek_lost_for;
  size_t lost = 0;
  auto oldest = targets_.end();
  for (auto each = targets_.begin(); each != targets_.end(); ++each) {
    if (!each->second.lost_until) continue;
    ++lost;
    if (oldest == targets_.end() || each->second.lost_until < oldest->second.lost_until) oldest = each;
  }
  if (lost > options_.lost_max) oldest->second.lost_until.reset();
}

}  // namespace raylet
