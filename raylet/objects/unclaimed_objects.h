// UnclaimedObjects: objects of settled owners that are freed unless somebody claims them, some in each turn of the
// loop. A core; owned by the ClaimDesk.
// Always holds: each object that was added, and each known one of an added owner, is taken at least once.
#pragma once

#include <deque>
#include <functional>
#include <optional>
#include <vector>

#include "fbs/ids.h"

namespace raylet {

class UnclaimedObjects {
 public:
  // Up to `most` objects of `owner` that have copies on other machines, in order, from the first one after `after` on.
  using KnownOf = std::function<std::vector<ObjectId>(ProcessId owner, const ObjectId& after, size_t most)>;

  void Add(std::vector<ObjectId> objects);
  // `objects`, and then all that are known of the owner.
  void AddOwner(ProcessId owner, std::vector<ObjectId> objects);
  // The next ones: `most` at most, fewer only where none are left.
  std::vector<ObjectId> Take(size_t most, const KnownOf& known_of);
  bool empty() const { return waiting_.empty(); }

 private:
  struct Waiting {
    std::vector<ObjectId> objects;   // these first,
    std::optional<ProcessId> owner;  // and then this owner's,
    ObjectId after;                  // from the first one after this on
  };
  std::deque<Waiting> waiting_;
};

}  // namespace raylet
