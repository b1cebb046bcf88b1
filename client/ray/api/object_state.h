// ObjectState and ActorState: what the handles of the public templates point to. They are opaque to the templates: each
// runtime derives its own and casts back what it handed out. The last shared_ptr to go is the last local reference, so
// the destructor releases the object or actor. A program may keep handles past Shutdown, and use them after the next
// Init. So each knows its session, by an address that is nobody else's while the handle lives.
#pragma once

#include <ray/internal/runtime.h>

namespace ray::internal {

class ObjectState {
 public:
  explicit ObjectState(const void* session) : session_(session) {}
  ObjectState(const ObjectState&) = delete;
  ObjectState& operator=(const ObjectState&) = delete;
  virtual ~ObjectState() = default;
  const void* session() const { return session_; }

 private:
  const void* const session_;
};

class ActorState {
 public:
  explicit ActorState(const void* session) : session_(session) {}
  ActorState(const ActorState&) = delete;
  ActorState& operator=(const ActorState&) = delete;
  virtual ~ActorState() = default;
  const void* session() const { return session_; }

 private:
  const void* const session_;
};

// Throw where it is of another session, one before the last Shutdown.
void CheckSession(const ObjectState& object, const void* session);
void CheckSession(const ActorState& actor, const void* session);
void CheckSession(const ArrayStorage& array, const void* session);

}  // namespace ray::internal
