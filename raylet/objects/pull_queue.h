// PullQueue: decides which objects this machine pulls, from which holder and in which order. A core: events in,
// decisions out, time by the caller's clock; the raylet's loop thread.
//
// The way of an object: *wanted*, *located* at its owner's raylet, *pulled* from a holder, and then
// *sealed* here or *lost*. A pull is one attempt to copy it from one holder.
//
// Always holds: an object is in here iff somebody wants it. It is in exactly one state: being
// located, ready, pulled or backing off. One pull copies it, however many want it. The pulls under
// way stay within the limits, except that an object larger than the limit goes alone. Each wanter
// hears exactly once that its object is sealed or lost, unless it wants it no longer.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <unordered_map>
#include <variant>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "base/spread_map.h"
#include "fbs/ids.h"
#include "raylet/objects/machine_losses.h"
#include "raylet/objects/pulls_under_way.h"
#include "raylet/objects/unreached_nodes.h"

namespace raylet {

using Wanter = uint64_t;      // the caller's number for it
using PullNumber = uint64_t;  // never 0, never used again

// Decisions for the edge, which carries them out in this order.
struct LocateObject {  // at its owner's raylet
  ObjectId object;
  std::vector<NodeId> without;  // nodes that said that they have no copy
};
struct StartPull {
  PullNumber pull = 0;
  ObjectId object;
  NodeId from;
  PullPriority priority = PullPriority::kArgument;
};
struct RaisePull {  // raises a pull under way: a more urgent wanter wants the object, too
  PullNumber pull = 0;
  ObjectId object;
  NodeId from;
  PullPriority priority = PullPriority::kArgument;
};
struct StopPull {  // nobody wants the object any more, so its bytes so far go. Comes between two pulls, too.
  ObjectId object;
  std::optional<PullNumber> pull;  // the one under way
};
struct TellSealed {
  ObjectId object;
  std::vector<Wanter> wanters;
};
struct TellLost {
  ObjectId object;
  Wanter wanter = 0;
  Error why;
};
using PullDecision = std::variant<LocateObject, StartPull, RaisePull, StopPull, TellSealed, TellLost>;

class PullQueue {
 public:
  // `clock` outlives the queue. `own` only spreads the machines that pull one object over its
  // holders.
  PullQueue(const NodeId& own, PullLimits limits, const Clock& clock);

  // ---- events. Each leaves its decisions for TakeDecisions.
  // A wanter has one place for each object, with its latest wish. kFull: objects_max.
  Result<void> Want(const ObjectId& object, Wanter wanter, PullPriority priority, Deadline deadline);
  void WantNoLonger(const ObjectId& object, Wanter wanter);
  // Forgets up to `most` wishes of a wanter that has gone, and returns their objects. Call it again where these are so
  // many.
  std::vector<ObjectId> WanterGone(Wanter wanter, size_t most = SIZE_MAX);
  // The owner's raylet says who has copies. Without any, it says so again at the first copy.
  // `bytes` 0: not known.
  void Located(const ObjectId& object, const std::vector<NodeId>& holders, uint64_t bytes);
  // No copy is left and none will be made.
  void Lost(const ObjectId& object, const Error& why);
  void PullSized(PullNumber pull, const ObjectId& object, uint64_t bytes);  // the holder has told its size
  void PullSealed(PullNumber pull, const ObjectId& object);                 // this pull sealed it here
  void SealedHere(const ObjectId& object);                                  // by anybody
  // This pull ended early; `good_bytes` have come and stay. kNotFound: that machine has no copy.
  // kFull, and kAlreadyExists (somebody writes it here): again later. kTooLarge: lost. Else: the
  // next holder.
  void PullEnded(PullNumber pull, const ObjectId& object, const Error& why, uint64_t good_bytes);
  // The machine is lost, with the objects of its processes that are wanted now. TakeDecisions looks through some of the
  // objects at a time, and no pull starts before it has seen all. kNoMachine: its processes own none.
  void MachineLost(const NodeId& node, MachineNumber machine = kNoMachine, const Error& why = {});
  void Tick();  // at NextTick, or any time

  bool IsWanted(const ObjectId& object) const { return entries_.contains(object); }
  // Starts the pulls that may start, first. Returns `most` decisions at most; the others stay for the next call.
  std::vector<PullDecision> TakeDecisions(size_t most = SIZE_MAX);
  bool has_decisions() const { return !decisions_.empty() || !losses_.empty(); }
  TimePoint NextTick() const;  // TimePoint::max(): only events change anything

  // ---- for stats
  size_t objects() const { return entries_.size(); }
  const PullsUnderWay& under_way() const { return under_way_; }
  size_t ready() const { return ready_.size(); }
  // Why an object is not here yet: half a sentence that follows "object X".
  std::string WhyWaiting(const ObjectId& object) const;

 private:
  enum class State { kLocating, kReady, kPulling, kBackingOff };
  struct Wish {  // of one wanter
    PullPriority priority = PullPriority::kArgument;
    TimePoint deadline;
  };
  struct Entry {
    State state = State::kLocating;
    std::map<Wanter, Wish> wanters;
    PullPriority priority = PullPriority::kArgument;  // the most urgent of its wanters'
    uint64_t sequence = 0;                            // of the first wish
    bool answered = false;                            // kLocating: the owner knows of no copy yet
    std::vector<NodeId> holders;                      // not tried since the owner's raylet named them
    std::vector<NodeId> without;                      // said since then that they have no copy
    uint64_t bytes = 0;                               // 0: not known yet
    bool started = false;                             // bytes of it may lie in the store
    PullNumber pull = 0;                              // kPulling
    NodeId from;                                      // kPulling
    uint64_t counted_bytes = 0;                       // kPulling
    uint64_t good_bytes = 0;                          // came in earlier pulls
    uint32_t failures = 0;                            // in a row, without a byte in between
    std::vector<NodeId> unreached;                    // holders that did not answer since it was located
    TimePoint retry_at;                               // kBackingOff
    std::string last_failure;
  };
  using Entries = SpreadMap<ObjectId, Entry>;
  using ReadyKey = std::tuple<PullPriority, uint64_t, ObjectId>;

  static ReadyKey KeyOf(const Entries::value_type& entry);
  Entry* FindPull(PullNumber pull, const ObjectId& object);
  bool IsOutOfReach(const Entry& entry) const;
  void Locate(Entries::value_type& entry);
  void BecomeReady(Entries::value_type& entry);
  void BackOff(Entries::value_type& entry);
  void NextHolder(Entries::value_type& entry);
  void LeavePulling(Entry& entry);
  void SetPriority(Entries::value_type& entry);
  void Start(Entries::value_type& entry);
  size_t ChooseHolder(const Entries::value_type& entry) const;
  void RemoveWanter(Entries::iterator entry, Wanter wanter);
  void Remove(Entries::iterator entry);
  void LoseAll(Entries::iterator entry, const Error& why);
  void WorkOffLosses(size_t most);
  std::vector<ObjectId> LookThrough(const MachineLosses::Loss& loss, size_t part);
  void ForgetHolder(Entries::value_type& entry, const NodeId& node);

  NodeId own_;
  PullLimits limits_;
  const Clock* clock_;
  Entries entries_;
  std::set<ReadyKey> ready_;
  std::set<std::pair<TimePoint, ObjectId>> retries_;
  std::set<std::tuple<TimePoint, ObjectId, Wanter>> deadlines_;  // of wanters that have one
  std::unordered_map<Wanter, std::set<ObjectId>> by_wanter_;
  PullsUnderWay under_way_;
  std::unique_ptr<UnreachedNodes> unreached_;
  uint64_t next_sequence_ = 1;
  PullNumber next_pull_ = 1;
  MachineLosses losses_{Entries::kParts};
  std::deque<PullDecision> decisions_;
};

}  // namespace raylet
