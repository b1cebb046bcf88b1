// ObjectDirectory: where other machines have copies of the objects that this machine's processes
// own. Only the owner's raylet knows this. The store's index shows a copy on this machine, so none
// is kept here. A core; the raylet's loop thread.
// Always holds: an object is in here iff another machine has a copy, or a raylet is locating it.
#pragma once

#include <cstdint>
#include <set>
#include <unordered_map>
#include <vector>

#include "base/spread_map.h"
#include "fbs/ids.h"

namespace raylet {

class ObjectDirectory {
 public:
  // That machine has sealed a copy. Returns the machines that were locating the object.
  std::vector<NodeId> SealedElsewhere(const ObjectId& object, const NodeId& node);
  // The same for a copy on this machine.
  std::vector<NodeId> SealedHere(const ObjectId& object);
  void Dropped(const ObjectId& object, const NodeId& node);  // that machine has no copy any more

  // The machine that got its copy first, or nil.
  NodeId Holder(const ObjectId& object) const;
  std::vector<NodeId> Holders(const ObjectId& object) const;
  // `node` is locating the object until a first copy. True if no other one was: watch the store for
  // it.
  bool Locating(const ObjectId& object, const NodeId& node);

  std::vector<NodeId> TakeLocating(const ObjectId& object);  // returns the machines, which locate it no more
  // That machine locates it no more. True if no other one does.
  bool LocatedNoLonger(const ObjectId& object, const NodeId& node);
  bool IsLocated(const ObjectId& object) const;  // by any machine
  std::vector<ObjectId> LocatedOnlyBy(const NodeId& node) const;
  // Up to `most` objects of the owner, in order, from the first one after `after` on.
  std::vector<ObjectId> ObjectsOf(ProcessId owner, const ObjectId& after, size_t most) const;

  // The owner refers to the object no more. Returns the machines that have a copy.
  std::vector<NodeId> Freed(const ObjectId& object);
  // Returns all objects of a process that has ended, with the machines that have copies.
  std::vector<std::pair<ObjectId, NodeId>> OwnerGone(ProcessId owner);
  // Returns the objects whose last copy elsewhere was there.
  std::vector<ObjectId> NodeGone(const NodeId& node);

  size_t objects() const { return entries_.size(); }

 private:
  struct Entry {
    std::vector<NodeId> holders;  // in the order in which they got their copies
    std::set<NodeId> locating;
  };
  using Entries = SpreadMap<ObjectId, Entry>;
  std::vector<NodeId> TakeLocating(Entries::iterator entry);

  Entries entries_;
  std::unordered_map<ProcessId, std::set<ObjectId>> by_owner_;
};

}  // namespace raylet
