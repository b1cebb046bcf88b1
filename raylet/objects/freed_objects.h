// FreedObjects: the objects that were freed last. A machine may report a copy that it was making meanwhile. A core; the
// raylet's loop thread.
#pragma once

#include <cstddef>
#include <deque>
#include <unordered_set>

#include "fbs/ids.h"

namespace raylet {

class FreedObjects {
 public:
  static constexpr size_t kMax = 4096;  // the oldest ones go

  void Add(const ObjectId& object) {
    if (!objects_.insert(object).second) return;
    order_.push_back(object);
    if (order_.size() <= kMax) return;
    objects_.erase(order_.front());
    order_.pop_front();
  }
  bool Has(const ObjectId& object) const { return objects_.contains(object); }

 private:
  std::unordered_set<ObjectId> objects_;
  std::deque<ObjectId> order_;
};

}  // namespace raylet
