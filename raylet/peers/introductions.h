// PeerIntroductions: which raylets this raylet's peers have sessions with, as they say, and what to
// tell each of them. So a cluster becomes fully connected from any tree of addresses. A core; owned
// by PeerLinks, its loop's thread. PeerDialer dials the raylets that it hears of here.
//
// Always holds: this raylet introduces only raylets that it has a session with. So all forget a
// dead raylet as soon as nobody has a session with it. A peer never hears of itself, nor of a
// raylet that it introduced itself, and on one connection nothing twice. Each message is bounded,
// and so is the memory for each peer.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "fbs/messages.h"
#include "raylet/peers/handshake.h"

namespace raylet {

constexpr size_t kIntroducedPerMessageMax = 64;  // of each kind; what is left waits for the next message
constexpr size_t kIntroducedByPeerMax = 1024;    // remembered of one peer; further ones are dropped

class PeerIntroductions {
 public:
  // One life of a raylet, and the address where it listens, as a peer says.
  struct Place {
    std::string address;
    NodeId node;
    uint64_t epoch = 0;
    auto operator<=>(const Place&) const = default;
  };
  struct News {
    Place place;
    bool introduced = false;  // by the first peer, or by none any more
  };

  explicit PeerIntroductions(const NodeId& own) : own_(own) {}

  // A connection to it has opened: it hears all, again.
  void Connected(const PeerIdentity& peer);
  void Dead(const NodeId& peer);  // no session with it any more
  // It introduces raylets. kProtocolError.
  Result<void> Hear(const NodeId& from, const wire::PeerIntroductionT& said);
  // The message for it now, which counts as told. nullopt: nothing new, or no session with it.
  std::optional<wire::PeerIntroductionT> TakeFor(const NodeId& peer);
  std::vector<News> TakeNews() { return std::exchange(news_, {}); }

 private:
  struct Peer {
    PeerIdentity identity;
    bool told_before = false;          // on any connection
    bool told_all = false;             // since its connection opened
    bool changed = true;               // there may be something to tell it
    std::map<NodeId, uint64_t> told;   // with their epochs
    std::map<NodeId, Place> it_knows;  // its introductions
  };
  void Learn(Peer& from, Place place);
  void Unlearn(Peer& from, const NodeId& node);

  const NodeId own_;
  std::map<NodeId, Peer> peers_;
  std::map<Place, size_t> places_;  // how many peers name it
  std::vector<News> news_;
};

}  // namespace raylet
