// The result of Wait, in the order of the given references.
#pragma once

#include <list>

#include <ray/api/object_ref.h>

namespace ray {

template <class T>
struct WaitResult {
  std::list<ObjectRef<T>> ready;  // with a value, or with an error that Get will throw
  std::list<ObjectRef<T>> unready;
};

}  // namespace ray
