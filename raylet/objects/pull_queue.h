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
#include "raylet/objects/unreached_nodes.h"

namespace raylet {

enum class PullPriority : uint8_t { kGet = 0, kWait = 1, kArgument = 2 };  // served in this order
using Wanter = uint64_t;                                                   // the caller's number for it
using PullNumber = uint64_t;                                               // never 0, never used again

struct PullLimits {
  size_t objects_max = 1'000'000;  // wanted at a time
  size_t pulls_max = 64;           // under way; the last quarter is not for arguments, the last eighth only for gets
  // The same where the next object is small. A pull of one takes as long as the machines take to answer, and its bytes
  // are few.
  size_t small_pulls_max = 512;
  uint64_t small_bytes = uint64_t{16} << 10;
  uint64_t bytes_max = uint64_t{512} << 20;     // of the objects under way, with the same shares
  uint64_t unknown_bytes = uint64_t{64} << 10;  // counted while nobody has said how large an object is
  Duration back_off_first = std::chrono::milliseconds(20);
  Duration back_off_max = std::chrono::seconds(2);
  // An object counts as lost once none of its holders could be reached for so long, although its owner may still reach
  // them. Attempts for other objects count, too, so of many objects behind a cut only the first ones wait. A stall of
  // this raylet does not count.
  Duration give_up_after = std::chrono::seconds(30);
  Duration unreached_forgotten_after = std::chrono::seconds(10);  // without another failure
};

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
  // The objects of that machine's processes that are wanted now are lost. TakeDecisions loses some of them at a time.
  // kNoMachine: its processes own none.
  void NodeGone(const NodeId& node, MachineNumber machine = kNoMachine, const Error& why = {});
  void Tick();  // at NextTick, or any time

  bool IsWanted(const ObjectId& object) const { return entries_.contains(object); }
  // Starts the pulls that may start, first. Returns `most` decisions at most; the others stay for the next call.
  std::vector<PullDecision> TakeDecisions(size_t most = SIZE_MAX);
  bool has_decisions() const { return !decisions_.empty() || !to_lose_.empty(); }
  TimePoint NextTick() const;  // TimePoint::max(): only events change anything

  // ---- for stats
  size_t objects() const { return entries_.size(); }
  size_t pulls() const { return pulls_; }
  size_t PullsFrom(const NodeId& node) const {
    const auto from = pulls_from_.find(node);
    return from == pulls_from_.end() ? 0 : from->second;
  }
  uint64_t pulled_bytes() const { return pulled_bytes_; }  // as counted against bytes_max
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

  // Objects of a machine that has gone. Those that are wanted anew after its end are not of them.
  struct ToLose {
    std::vector<ObjectId> objects;
    Error why;
    uint64_t wanted_before = 0;  // a sequence
  };

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
  bool MayStart(const Entry& entry) const;
  uint64_t CountedBytes(const Entry& entry) const;
  size_t ChooseHolder(const Entries::value_type& entry) const;
  void RemoveWanter(Entries::iterator entry, Wanter wanter);
  void Remove(Entries::iterator entry);
  void LoseAll(Entries::iterator entry, const Error& why);
  void LoseSome(size_t most);

  NodeId own_;
  PullLimits limits_;
  const Clock* clock_;
  Entries entries_;
  std::set<ReadyKey> ready_;
  std::set<std::pair<TimePoint, ObjectId>> retries_;
  std::set<std::tuple<TimePoint, ObjectId, Wanter>> deadlines_;  // of wanters that have one
  std::unordered_map<Wanter, std::set<ObjectId>> by_wanter_;
  std::unordered_map<NodeId, size_t> pulls_from_;
  std::unique_ptr<UnreachedNodes> unreached_;
  size_t pulls_ = 0;
  uint64_t pulled_bytes_ = 0;  // the sum of counted_bytes
  uint64_t next_sequence_ = 1;
  PullNumber next_pull_ = 1;
  std::deque<ToLose> to_lose_;
  std::deque<PullDecision> decisions_;
};

}  // namespace raylet
