// FunctionTraits: the result, parameters and class of a function pointer or a pointer to member, and the
// pointer's type without noexcept. So a function is the same one however it was named.
#pragma once

#include <cstddef>
#include <cstring>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include <ray/api/array.h>

namespace ray {
namespace internal {

template <class... Types>
struct TypeList {
  static constexpr size_t kSize = sizeof...(Types);
};

// Of anything else; the rest keeps further errors away from those who see the static_assert.
template <class F>
struct FunctionTraits {
  static constexpr bool kIsFunction = false;
  static constexpr bool kIsMember = false;
  using Result = void;
  using Parameters = TypeList<>;
  using Pointer = F;
};

template <class R, class... A>
struct FunctionTraits<R (*)(A...)> {
  static constexpr bool kIsFunction = true;
  static constexpr bool kIsMember = false;
  using Result = R;
  using Parameters = TypeList<A...>;
  using Pointer = R (*)(A...);
};
template <class R, class... A>
struct FunctionTraits<R (*)(A...) noexcept> : FunctionTraits<R (*)(A...)> {};

// Object: how the actor's object is given to the call.
#define RAYLET_MEMBER_TRAITS(QUALIFIERS, OBJECT)     \
  template <class R, class C, class... A>            \
  struct FunctionTraits<R (C::*)(A...) QUALIFIERS> { \
    static constexpr bool kIsFunction = false;       \
    static constexpr bool kIsMember = true;          \
    using Result = R;                                \
    using Class = C;                                 \
    using Object = OBJECT;                           \
    using Parameters = TypeList<A...>;               \
    using Pointer = R (C::*)(A...) QUALIFIERS;       \
  };                                                 \
  template <class R, class C, class... A>            \
  struct FunctionTraits<R (C::*)(A...) QUALIFIERS noexcept> : FunctionTraits<R (C::*)(A...) QUALIFIERS> {};
RAYLET_MEMBER_TRAITS(, C&)
RAYLET_MEMBER_TRAITS(const, const C&)
RAYLET_MEMBER_TRAITS(volatile, volatile C&)
RAYLET_MEMBER_TRAITS(const volatile, const volatile C&)
RAYLET_MEMBER_TRAITS(&, C&)
RAYLET_MEMBER_TRAITS(const&, const C&)
RAYLET_MEMBER_TRAITS(volatile&, volatile C&)
RAYLET_MEMBER_TRAITS(const volatile&, const volatile C&)
RAYLET_MEMBER_TRAITS(&&, C&&)
RAYLET_MEMBER_TRAITS(const&&, const C&&)
RAYLET_MEMBER_TRAITS(volatile&&, volatile C&&)
RAYLET_MEMBER_TRAITS(const volatile&&, const volatile C&&)
#undef RAYLET_MEMBER_TRAITS

// The T of the ObjectRef<T> to a function's result: without reference and const, and an Array for a MutableArray.
template <class R>
struct ResultValue {
  using Type = std::remove_cvref_t<R>;
};
template <class T>
struct ResultValue<MutableArray<T>> {
  using Type = Array<T>;
};
template <class F>
using ResultOf = typename ResultValue<std::remove_cvref_t<typename FunctionTraits<F>::Result>>::Type;

// The type of the values that travel for a parameter: without reference and const, and text for a view of it.
template <class P>
struct ParameterValue {
  using Type = std::remove_cvref_t<P>;
};
template <class P>
requires std::is_same_v<std::remove_cvref_t<P>, std::string_view>
struct ParameterValue<P> {
  using Type = std::string;
};
template <class P>
using ValueOf = typename ParameterValue<P>::Type;

// The pointer's bytes, in its type without noexcept.
template <class F>
std::string TargetBytes(F f) {
  const typename FunctionTraits<F>::Pointer pointer = f;
  return std::string(reinterpret_cast<const char*>(&pointer), sizeof pointer);
}
template <class F>
F TargetFrom(const void* bytes) {
  F pointer;
  std::memcpy(&pointer, bytes, sizeof pointer);
  return pointer;
}

}  // namespace internal
}  // namespace ray
