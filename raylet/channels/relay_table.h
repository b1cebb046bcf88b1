// Relay: one call channel between two machines, as one of the two raylets sees it. RelayTable: the relays of this
// raylet, each under the keys by which messages and processes name it. Owned by the ChannelRelay; loop thread only.
//
// Always holds: a relay is opened, hosted or closing. Our process is the caller of an opened relay, and the actor's
// worker of a hosted one. A closing relay was hosted: its caller has gone, and its worker still has it. A caller has
// one opened relay at most to an actor.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "fbs/ids.h"
#include "fbs/lease_page.h"
#include "raylet/channels/relay_end.h"
#include "raylet/scheduling/task.h"

namespace raylet {

using RelayNumber = uint64_t;  // counts from 1; given by the raylet that opened the relay

constexpr size_t kRelaysPerNodeMax = 10'000;  // relays that one other raylet may have open here

struct Relay {
  bool opened = false;  // our process is the caller; otherwise it is the actor's worker
  NodeId node;
  RelayNumber number = 0;
  ActorId actor;
  ProcessId caller = 0;
  uint32_t incarnation = 0;  // set only where opened
  LeaseNumber lease = 0;     // set only where !opened
  WorkerId worker = 0;       // set only where !opened
  ChannelId channel = 0;     // set only where !opened
  std::unique_ptr<RelayEnd> end;
  int64_t credit = kRelayWindowBytes;  // bytes of records that may still be sent
  uint64_t untold = 0;                 // bytes handed over and not yet returned as credit
  bool held = false;                   // the lease does not hold: replies wait in the worker's ring
  bool reads = true;                   // false: our process wrote nonsense, or was told to let go
  bool ended = false;                  // where opened: no more records will come from the other side
  std::optional<Error> why;            // set where the relay ended for another reason than the actor's end
  struct Call {
    uint64_t number = 0;
    ObjectId result;
  };
  std::deque<Call> unanswered;  // where !opened: the calls that the worker got, in order
  size_t calls_at_once = 1;     // where !opened: of the actor, at most
  uint32_t store_client = 0;    // where !opened: the worker's, once it has gone
  bool worker_gone = false;
  bool caller_gone = false;
  bool node_gone = false;
  bool retired = false;
};

class RelayTable {
 public:
  using RelayPtr = std::unique_ptr<Relay>;

  // The caller has no other opened relay to this actor.
  void AddOpened(RelayPtr relay);
  // kAlreadyExists: that machine uses the number for another one. The relay is destroyed then.
  Result<void> AddHosted(RelayPtr relay);
  // The caller of a hosted relay has gone.
  void StartClosing(Relay& relay);
  // Takes it out, whatever its state.
  RelayPtr Take(Relay& relay);

  // Each is null where there is none.
  Relay* Opened(ProcessId caller, const ActorId& actor) const;
  Relay* Opened(const NodeId& node, RelayNumber number) const;
  Relay* Hosted(const NodeId& node, RelayNumber number) const;
  Relay* Closing(WorkerId worker, ChannelId channel) const;
  size_t HostedFor(const NodeId& node) const;
  std::vector<Relay*> Each(const std::function<bool(const Relay&)>& matches) const;

  size_t size() const { return opened_.size() + hosted_.size() + closing_.size(); }

 private:
  std::map<RelayNumber, RelayPtr> opened_;
  std::map<std::pair<ProcessId, ActorId>, RelayNumber> by_caller_;  // of opened_
  std::map<std::pair<NodeId, RelayNumber>, RelayPtr> hosted_;
  std::map<ChannelId, RelayPtr> closing_;
};

}  // namespace raylet
