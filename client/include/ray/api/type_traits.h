// Here by the name that programs written for Ray include: whether a type is an ObjectRef or an ActorHandle.
#pragma once

#include <type_traits>

#include <ray/api/actor_handle.h>
#include <ray/api/object_ref.h>

namespace ray {
namespace internal {

template <class T>
inline constexpr bool is_object_ref_v = ObjectRefTraits<std::remove_cvref_t<T>>::kIs;
template <class T>
inline constexpr bool is_actor_handle_v = requires {
  std::remove_cvref_t<T>::IsActorHandle();
};

}  // namespace internal
}  // namespace ray
