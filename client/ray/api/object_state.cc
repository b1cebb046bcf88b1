#include "client/ray/api/object_state.h"

#include <ray/api/exceptions.h>

#include "base/strings.h"

namespace ray::internal {
namespace {

[[noreturn]] void ThrowOfEarlierSession(const char* what) {
  throw RayException(raylet::StrCat("this ", what, " was made before the last ray::Shutdown, with which ",
                                    "all that it refers to has gone: make it again"));
}

}  // namespace

void CheckSession(const ObjectState& object, const void* session) {
  if (object.session() != session) ThrowOfEarlierSession("ObjectRef");
}
void CheckSession(const ActorState& actor, const void* session) {
  if (actor.session() != session) ThrowOfEarlierSession("ActorHandle");
}
void CheckSession(const ArrayStorage& array, const void* session) {
  if (array.session() != session) ThrowOfEarlierSession("ray::Array");
}

}  // namespace ray::internal
