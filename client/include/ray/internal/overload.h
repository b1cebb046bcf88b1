// RAY_FUNC's work: picks the function with these parameter types out of an overload set, free or member, whatever its
// qualifiers. If several members differ in qualifiers alone, it takes the least qualified one.
#pragma once

#include <ray/internal/abi.h>

namespace ray {
namespace internal {

template <int N>
struct Preference : Preference<N - 1> {};
template <>
struct Preference<0> {};

template <class... A>
struct Overload {
  template <class R>
  static constexpr auto Pick(R (*f)(A...), Preference<12>) {
    return f;
  }
#define RAYLET_PICK_MEMBER(QUALIFIERS, PREFERENCE)                                 \
  template <class R, class C>                                                      \
  static constexpr auto Pick(R (C::*f)(A...) QUALIFIERS, Preference<PREFERENCE>) { \
    return f;                                                                      \
  }
  RAYLET_PICK_MEMBER(, 12)
  RAYLET_PICK_MEMBER(const, 11)
  RAYLET_PICK_MEMBER(volatile, 10)
  RAYLET_PICK_MEMBER(const volatile, 9)
  RAYLET_PICK_MEMBER(&, 8)
  RAYLET_PICK_MEMBER(const&, 7)
  RAYLET_PICK_MEMBER(volatile&, 6)
  RAYLET_PICK_MEMBER(const volatile&, 5)
  RAYLET_PICK_MEMBER(&&, 4)
  RAYLET_PICK_MEMBER(const&&, 3)
  RAYLET_PICK_MEMBER(volatile&&, 2)
  RAYLET_PICK_MEMBER(const volatile&&, 1)
#undef RAYLET_PICK_MEMBER
};

}  // namespace internal
}  // namespace ray

// RAY_FUNC(f, int, double): the f that takes these. RAY_FUNC(f): the one that takes nothing.
#define RAY_FUNC(FUNCTION, ...) \
  ::ray::internal::Overload<__VA_ARGS__>::Pick(FUNCTION, ::ray::internal::Preference<12>())
