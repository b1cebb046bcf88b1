// ObjectDirectory: what is known of the copies that other machines have of objects that this machine's processes own.
// Only the owner's raylet knows this. The store's index shows a copy on this machine, so none is kept here. A core; the
// raylet's loop thread.
// Always holds: an object is in here iff another machine has a copy, a raylet is locating it, or its last copy is in
// doubt or lost. A lost machine has no copy and locates nothing from that moment on. ForgetLost takes what still names
// it out of the entries, some in each turn of the loop. Each life of a machine has its own number. So the directory
// never takes a new report of the machine for an old one.
#pragma once

#include <cstdint>
#include <set>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/spread_map.h"
#include "fbs/ids.h"

namespace raylet {

class ObjectDirectory {
 public:
  // That machine has sealed a copy. Returns the machines that were locating the object. `bytes` 0: not known.
  std::vector<NodeId> SealedElsewhere(const ObjectId& object, const NodeId& node, uint64_t bytes = 0);
  // The same for a copy on this machine.
  std::vector<NodeId> SealedHere(const ObjectId& object);
  void Dropped(const ObjectId& object, const NodeId& node);  // that machine has no copy any more
  // A raylet did not find the last copy, which was there. If the machine is dead, the object is lost with it: the
  // raylet may learn of the machine's end before this one does.
  void DoubtLast(const ObjectId& object, const NodeId& node);
  void Lost(const ObjectId& object, const NodeId& node);  // with that machine, until a copy is sealed or it is freed

  bool Has(const ObjectId& object) const { return entries_.contains(object); }
  // The machine that got its copy first, or nil.
  NodeId Holder(const ObjectId& object) const;
  std::vector<NodeId> Holders(const ObjectId& object) const;
  uint64_t Bytes(const ObjectId& object) const;   // of a copy; 0: there is none, or not known
  NodeId LostWith(const ObjectId& object) const;  // the machine that had the last copy; nil: not lost
  // `node` is locating the object until a first copy. True if no other one was: watch the store for
  // it.
  bool Locating(const ObjectId& object, const NodeId& node);

  std::vector<NodeId> TakeLocating(const ObjectId& object);  // returns the machines, which locate it no more
  // That machine locates it no more. True if no other one does.
  bool LocatedNoLonger(const ObjectId& object, const NodeId& node);
  bool IsLocated(const ObjectId& object) const;  // by any machine
  // Up to `most` objects of the owner, in order, from the first one after `after` on.
  std::vector<ObjectId> ObjectsOf(ProcessId owner, const ObjectId& after, size_t most) const;

  // The owner refers to the object no more. Returns the machines that have a copy.
  std::vector<NodeId> Freed(const ObjectId& object);

  void MachineLost(const NodeId& node);
  struct Forgotten {
    std::vector<std::pair<ObjectId, NodeId>> lost;  // whose last copy was there: call Lost unless this machine has one
    std::vector<ObjectId> unlocated;                // nobody locates them any more
  };
  // Goes through a part of the entries, and on until it has seen `most`. Call it while `forgets`.
  Forgotten ForgetLost(size_t most);
  bool forgets() const { return parts_left_ > 0; }

  size_t objects() const { return entries_.size(); }
  size_t lost() const { return lost_; }  // of the objects

 private:
  // The number of a machine's life, from one loss to the next.
  using Life = uint32_t;
  static constexpr Life kNoLife = 0;
  struct Place {
    NodeId node;
    bool over = false;
  };
  struct Entry {
    std::vector<Life> holders;  // in the order in which they got their copies
    std::set<Life> locating;
    uint64_t bytes = 0;
    Life doubted = kNoLife;
    NodeId lost_with;
    bool needed() const { return !holders.empty() || !locating.empty() || doubted != kNoLife || !lost_with.IsNil(); }
  };
  using Entries = SpreadMap<ObjectId, Entry>;
  Entries::iterator Add(const ObjectId& object);
  void EraseUnlessNeeded(Entries::iterator entry);
  std::vector<NodeId> TakeLocating(Entries::iterator entry);
  Life LifeOf(const NodeId& node);
  Life Find(const NodeId& node) const;
  bool IsOver(Life life) const { return life != kNoLife && places_.at(life).over; }
  bool HasCopy(const Entry& entry) const;
  NodeId LostWith(const Entry& entry) const;
  void EraseOver(Entry& entry) const;
  void SetLostWith(Entry& entry, const NodeId& node);
  template <class Lives>
  std::vector<NodeId> NodesOf(const Lives& lives) const;

  Entries entries_;
  std::unordered_map<ProcessId, std::set<ObjectId>> by_owner_;
  std::unordered_map<NodeId, Life> lives_;  // of machines that are not lost
  std::unordered_map<Life, Place> places_;  // of all lives that an entry may name
  Life last_life_ = kNoLife;
  size_t lost_ = 0;                        // entries with a lost_with
  size_t next_part_ = 0, parts_left_ = 0;  // to be seen since the last loss
};

}  // namespace raylet
