// ObjectPlaces: where the arguments of tasks are, for the scheduler. The raylet's loop thread.
#pragma once

#include "raylet/scheduling/placement_policy.h"
#include "raylet/scheduling/task.h"

namespace raylet {

// It knows the places of objects as far as this machine does.
class ObjectPlaces {
 public:
  virtual ~ObjectPlaces() = default;
  virtual bool IsHere(const ObjectId& object) const = 0;
  // Adds the object's size for every machine that has a copy.
  virtual void AddBytes(const ObjectId& object, ArgumentBytes& bytes) const = 0;
};

}  // namespace raylet
