// ObjectDirectory: where the copies are of the objects that this machine's processes own. Pure; the raylet's loop
// thread. The owner's raylet is the one place that knows: a copy on this machine is seen in the store's index and not
// kept here; here are the copies elsewhere, and who waits to hear of a first one. An object is in here iff a copy is
// elsewhere or somebody waits for it.
#pragma once

#include <cstdint>
#include <set>
#include <unordered_map>
#include <vector>

#include "fbs/ids.h"

namespace raylet {

class ObjectDirectory {
 public:
  // A copy has been sealed on another machine. Returns the machines that waited to hear of one.
  std::vector<NodeId> Added(const ObjectId& object, const NodeId& node);
  // The object has been sealed on this machine. Returns the machines that waited.
  std::vector<NodeId> SealedHere(const ObjectId& object);
  void Dropped(const ObjectId& object, const NodeId& node);  // that machine has it no more

  // A machine that has a copy (the one that got its copy first), or nil.
  NodeId Holder(const ObjectId& object) const;
  std::vector<NodeId> Holders(const ObjectId& object) const;
  // `asker` is told at the first copy: true if nobody waited for this object before (watch the store for it).
  bool Wait(const ObjectId& object, const NodeId& asker);

  std::vector<NodeId> TakeAskers(const ObjectId& object);  // they wait no more
  std::vector<ObjectId> ObjectsOf(ProcessId owner) const;

  // Its owner let it go: the machines that have a copy, to be told.
  std::vector<NodeId> Freed(const ObjectId& object);
  // All objects of a process that has gone, with the machines that have copies of them.
  std::vector<std::pair<ObjectId, NodeId>> OwnerGone(ProcessId owner);
  // Returns the objects whose last copy elsewhere was there.
  std::vector<ObjectId> NodeGone(const NodeId& node);

  size_t objects() const { return entries_.size(); }

 private:
  struct Entry {
    std::vector<NodeId> holders;  // in the order in which they got it
    std::set<NodeId> askers;
  };
  std::vector<NodeId> TakeAskers(std::unordered_map<ObjectId, Entry>::iterator entry);

  std::unordered_map<ObjectId, Entry> entries_;
  std::unordered_map<ProcessId, std::set<ObjectId>> by_owner_;
};

}  // namespace raylet
