// ResultReferences: what the results of this machine's processes refer to, where the result lies on another machine.
// The store here has no metadata of such a result. When its owner ends and others claim it, this machine claims these
// objects for it. A core; owned by the ObjectDesk; loop thread only. Always holds: an entry goes with its object.
#pragma once

#include <cstddef>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

#include "fbs/ids.h"

namespace raylet {

class ResultReferences {
 public:
  void Add(const ObjectId& result, std::vector<ObjectId> references) {
    if (!references.empty()) references_.insert_or_assign(result, std::move(references));
  }
  std::vector<ObjectId> Of(const ObjectId& result) const {
    const auto found = references_.find(result);
    return found == references_.end() ? std::vector<ObjectId>() : found->second;
  }
  void Freed(std::span<const ObjectId> results) {
    if (references_.empty()) return;
    for (const ObjectId& result : results) references_.erase(result);
  }
  size_t results() const { return references_.size(); }

 private:
  std::unordered_map<ObjectId, std::vector<ObjectId>> references_;
};

}  // namespace raylet
