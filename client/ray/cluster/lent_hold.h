// LentHold: a hold on an object or actor that can be lent. It knows the id, so that a lender finds the things that a
// borrower says to retain. Made where something is packed; any thread.
#pragma once

#include <memory>
#include <unordered_set>
#include <utility>
#include <vector>

#include <ray/internal/runtime.h>

#include "client/ray/cluster/cluster_object.h"
#include "fbs/ids.h"

namespace raylet::client {

class LentHold {
 public:
  // Of an object that was named by its id alone: it keeps nothing.
  static ray::internal::Hold OfObject(const ClusterObjectPtr& object);
  // Of an array or an actor: they refer to nothing else.
  static ray::internal::Hold Of(ray::internal::Hold held, const ObjectId& id);
  // Of all that a value refers to which this process has packed.
  static ray::internal::Hold OfAll(std::vector<ray::internal::Hold> holds);
  // Null where it is a hold of another kind.
  static const LentHold* In(const ray::internal::Hold& hold);

  const ObjectId& id() const { return id_; }
  bool Keeps() const { return held_ != nullptr; }
  // Whether the object's value may refer to one of these, or to something that does. One that is still to
  // come, or that others have made, may do so.
  bool MayReferTo(const std::unordered_set<ObjectId>& ids) const;

  void operator()(const void*) { held_.reset(); }  // the last of the hold goes

 private:
  bool MayReferToMore() const;

  LentHold(ray::internal::Hold held, const ObjectId& id, const ClusterObject* object)
      : held_(std::move(held)), id_(id), object_(object) {}

  ray::internal::Hold held_;
  ObjectId id_;
  const ClusterObject* object_;  // null: no object
};

}  // namespace raylet::client
