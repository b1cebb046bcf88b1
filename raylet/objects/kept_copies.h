// KeptCopies: the objects that this machine keeps for processes of other machines, which own them. Once such an owner
// is settled, or its machine is lost, its objects go, some in each turn of the loop. A core; owned by the
// ObjectManager. Always holds: an object that is added again meanwhile stays.
#pragma once

#include <cstddef>
#include <map>
#include <set>
#include <span>
#include <utility>
#include <vector>

#include "fbs/ids.h"

namespace raylet {

class KeptCopies {
 public:
  void Add(const ObjectId& object);
  void Remove(const ObjectId& object);  // its owner has freed it
  // Others still refer to these, so they stay when their owners are settled, which comes next.
  void StayWhenSettled(std::span<const ObjectId> objects);
  void OwnerSettled(ProcessId owner);
  void MachineLost(MachineNumber machine);

  // Up to `most` objects that go. Call it while `drops`.
  std::vector<ObjectId> TakeDropped(size_t most);
  bool drops() const { return !dropped_.empty(); }
  size_t count() const { return count_; }  // of those that stay for now

 private:
  struct Kept {
    std::set<ObjectId> objects, stay;  // each is in one of the two
  };
  using ByOwner = std::map<ProcessId, Kept>;
  bool Contains(const ObjectId& object) const;
  void Drop(std::set<ObjectId> objects);

  ByOwner by_owner_;
  size_t count_ = 0;
  std::vector<std::set<ObjectId>> dropped_;  // none of them is empty
};

}  // namespace raylet
