// ObjectState and ActorState: what the handles of the public templates point to. They are opaque to the templates: each
// runtime derives its own and casts back what it handed out. The last shared_ptr to go is the last local reference, so
// the destructor releases the object or actor.
#pragma once

#include <ray/internal/runtime.h>

namespace ray::internal {

class ObjectState {
 public:
  ObjectState() = default;
  ObjectState(const ObjectState&) = delete;
  ObjectState& operator=(const ObjectState&) = delete;
  virtual ~ObjectState() = default;
};

class ActorState {
 public:
  ActorState() = default;
  ActorState(const ActorState&) = delete;
  ActorState& operator=(const ActorState&) = delete;
  virtual ~ActorState() = default;
};

}  // namespace ray::internal
