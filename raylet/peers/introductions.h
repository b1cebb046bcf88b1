// PeerIntroductions: which raylets our peers have sessions with, as they say, and what each of them is to be told of
// ours. So a cluster becomes fully connected, whatever tree the addresses form that its raylets were started with.
// Pure; owned by PeerLinks, its loop's thread; PeerLinks dials whom it hears of and believes nothing but a handshake.
//
// Always holds: who is passed on has a session with this raylet, so that the dead are forgotten by all as soon as
// nobody has a session with them; nobody is told of itself, nor of whom it has told us; on one connection nobody is
// told the same twice. What one message says and what is remembered of one peer's words is bounded.
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
constexpr size_t kIntroducedByPeerMax = 1024;    // that one peer's words are remembered of; more are not heard

class PeerIntroductions {
 public:
  // A life of a raylet, and where it is said to listen.
  struct Place {
    std::string address;
    NodeId node;
    uint64_t epoch = 0;
    auto operator<=>(const Place&) const = default;
  };
  struct News {
    Place place;
    bool introduced = false;  // by the first of our peers, or by none of them any more
  };

  explicit PeerIntroductions(const NodeId& own) : own_(own) {}

  // A connection to it has opened: it is told all, again.
  void Connected(const PeerIdentity& peer);
  void Dead(const NodeId& peer);  // no session with it any more
  // What it says. kProtocolError.
  Result<void> Hear(const NodeId& from, const wire::PeerIntroductionT& said);
  // What it is to be told now; it counts as told. nullopt: nothing, or it is no peer of ours.
  std::optional<wire::PeerIntroductionT> TakeFor(const NodeId& peer);
  std::vector<News> TakeNews() { return std::exchange(news_, {}); }

 private:
  struct Peer {
    PeerIdentity identity;
    bool told_before = false;          // on any connection
    bool told_all = false;             // since its connection opened
    bool changed = true;               // something may be to be told
    std::map<NodeId, uint64_t> told;   // and of which epoch
    std::map<NodeId, Place> it_knows;  // as it says
  };
  void Learn(Peer& from, Place place);
  void Unlearn(Peer& from, const NodeId& node);

  const NodeId own_;
  std::map<NodeId, Peer> peers_;
  std::map<Place, size_t> places_;  // how many peers name it
  std::vector<News> news_;
};

}  // namespace raylet
