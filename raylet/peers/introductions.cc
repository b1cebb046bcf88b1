#include "raylet/peers/introductions.h"

#include "base/check.h"
#include "base/strings.h"

namespace raylet {

void PeerIntroductions::Connected(const PeerIdentity& peer) {
  Peer& known = peers_[peer.node];
  known.identity = peer;
  known.told_all = false;
  known.told.clear();
  for (auto& [node, other] : peers_) other.changed = true;
}

void PeerIntroductions::Dead(const NodeId& peer) {
  const auto found = peers_.find(peer);
  if (found == peers_.end()) return;
  while (!found->second.it_knows.empty()) Unlearn(found->second, found->second.it_knows.begin()->first);
  peers_.erase(found);
  for (auto& [node, other] : peers_) other.changed = true;
}

Result<void> PeerIntroductions::Hear(const NodeId& from, const wire::PeerIntroductionT& said) {
  if (said.introduced.size() > kIntroducedPerMessageMax || said.gone.size() > kIntroducedPerMessageMax) {
    return Fail(ErrorCode::kProtocolError,
                StrCat("a raylet introduces ", said.introduced.size(), " others and takes back ", said.gone.size(),
                       " at once, and the limit is ", kIntroducedPerMessageMax, " of each"));
  }
  const auto found = peers_.find(from);
  if (found == peers_.end()) return {};
  Peer& peer = found->second;
  peer.changed = true;
  if (said.all)
    while (!peer.it_knows.empty()) Unlearn(peer, peer.it_knows.begin()->first);
  for (const wire::Id20& gone : said.gone) Unlearn(peer, FromWire<NodeId>(gone));
  for (const auto& each : said.introduced) {
    const auto node = FromWire<NodeId>(*each->node);
    if (node.IsNil()) return Fail(ErrorCode::kProtocolError, "a raylet introduces another one without an id");
    if (node != own_ && node != from) Learn(peer, {each->address, node, each->epoch});
  }
  return {};
}

void PeerIntroductions::Learn(Peer& from, Place place) {
  if (place.address.empty() || place.address.size() > kAddressBytesMax) return;
  if (const auto known = from.it_knows.find(place.node); known != from.it_knows.end()) {
    if (known->second == place) return;
    Unlearn(from, place.node);
  }
  if (from.it_knows.size() >= kIntroducedByPeerMax) return;
  if (++places_[place] == 1) news_.push_back({place, true});
  from.it_knows.emplace(place.node, std::move(place));
}

void PeerIntroductions::Unlearn(Peer& from, const NodeId& node) {
  const auto known = from.it_knows.extract(node);
  if (known.empty()) return;
  const auto place = places_.find(known.mapped());
  RAYLET_CHECK(place != places_.end(), "a place that a peer names is none");
  if (--place->second > 0) return;
  places_.erase(place);
  news_.push_back({known.mapped(), false});
}

std::optional<wire::PeerIntroductionT> PeerIntroductions::TakeFor(const NodeId& peer) {
  const auto found = peers_.find(peer);
  if (found == peers_.end() || !found->second.changed) return std::nullopt;
  Peer& to = found->second;
  to.changed = false;
  wire::PeerIntroductionT message;
  message.all = !to.told_all;
  for (auto told = to.told.begin(); told != to.told.end();) {
    if (peers_.contains(told->first)) {
      ++told;
    } else if (message.gone.size() < kIntroducedPerMessageMax) {
      message.gone.push_back(ToWire(told->first));
      told = to.told.erase(told);
    } else {
      to.changed = true;
      break;
    }
  }
  for (const auto& [node, other] : peers_) {
    if (node == peer || to.it_knows.contains(node)) continue;
    const auto told = to.told.find(node);
    if (told != to.told.end() && told->second == other.identity.epoch) continue;
    if (message.introduced.size() >= kIntroducedPerMessageMax) {
      to.changed = true;
      break;
    }
    auto introduced = std::make_unique<wire::PeerIntroducedT>();
    introduced->node = std::make_unique<wire::Id20>(ToWire(node));
    introduced->epoch = other.identity.epoch;
    introduced->address = other.identity.address;
    message.introduced.push_back(std::move(introduced));
    to.told[node] = other.identity.epoch;
  }
  // A peer that never heard of any raylet need not hear that there is none.
  if (message.introduced.empty() && message.gone.empty() && !(message.all && to.told_before)) return std::nullopt;
  to.told_before = to.told_all = true;
  return message;
}

}  // namespace raylet
