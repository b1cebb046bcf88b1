// PeerIntroductions: the raylets with which this raylet's peers say they have sessions, and the introductions to send
// to each peer. So a cluster becomes fully connected from any tree of addresses. A core; owned by PeerLinks, its loop's
// thread. PeerDialer dials the raylets that it hears of here.
//
// Always holds: this raylet introduces only raylets that it has a session with. So all forget a dead raylet as soon as
// nobody has a session with it. No peer hears of itself, or of a raylet that it introduced. No peer hears the same
// twice on one connection. Each message is bounded, and so is the memory for each peer.
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

constexpr size_t kIntroducedPerMessageMax = 64;  // of each kind; the rest waits for the next message
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
    bool introduced = false;  // true: the first peer names the place; false: no peer names it any more
  };

  explicit PeerIntroductions(const NodeId& own) : own_(own) {}

  // A connection to the peer has opened: the peer hears all introductions again.
  void Connected(const PeerIdentity& peer);
  void Dead(const NodeId& peer);  // its session has ended
  // A peer introduces raylets. kProtocolError.
  Result<void> Hear(const NodeId& from, const wire::PeerIntroductionT& said);
  // The next message for this peer, which counts as told. nullopt: nothing new, or no session with it.
  std::optional<wire::PeerIntroductionT> TakeFor(const NodeId& peer);
  std::vector<News> TakeNews() { return std::exchange(news_, {}); }

 private:
  struct Peer {
    PeerIdentity identity;
    bool told_before = false;          // on any connection
    bool told_all = false;             // since its connection opened
    bool changed = true;               // there may be news for this peer
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
