// One argument of a call, as its parameter wants it. The caller's side converts a value to the
// parameter's type here. An ObjectRef to such a value travels as a reference; the callee gets the value.
#pragma once

#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <ray/api/array.h>
#include <ray/api/object_ref.h>
#include <ray/api/serializer.h>
#include <ray/internal/function_traits.h>
#include <ray/internal/runtime.h>

namespace ray {
namespace internal {

// Whether the callee can read the value of an ObjectRef<V> as its parameter of type P. The bytes of numbers say what
// they are, and an optional is packed as its content.
template <class V, class P>
constexpr bool ReadsAs() {
  if constexpr (std::is_same_v<V, P>)
    return true;
  else if constexpr (NilableTraits<P>::kIs)
    return ReadsAs<V, std::remove_const_t<typename NilableTraits<P>::Content>>();
  else
    return std::is_arithmetic_v<V> && std::is_arithmetic_v<P> && std::is_same_v<V, bool> == std::is_same_v<P, bool>;
}
template <class P>
constexpr bool kTakesText = std::is_same_v<P, std::string>;

// P: the parameter's type without reference and const. The argument is for a call that takes it while `value` stays.
template <class P, class V>
Argument MakeArgument(V&& value) {
  using Given = std::remove_cvref_t<V>;
  Argument argument;
  if constexpr (std::is_same_v<Given, P>) {
    argument.value = PackInPlace<P>(value);
  } else if constexpr (ObjectRefTraits<Given>::kIs) {
    static_assert(ReadsAs<typename ObjectRefTraits<Given>::Value, P>(),
                  "this ObjectRef refers to a value of another type than the parameter");
    argument.reference = Require(value.handle());
  } else if constexpr (std::is_convertible_v<V&&, P> ||
                       (kTakesText<P> && std::is_convertible_v<V&&, std::string_view>)) {
    argument.value = PackMoved<P>(static_cast<P>(std::forward<V>(value)));
  } else {
    static_assert(std::is_convertible_v<V&&, P>, "this argument does not convert to the parameter's type");
  }
  return argument;
}

template <class... P, class... V>
std::vector<Argument> MakeArguments(TypeList<P...>, V&&... values) {
  static_assert(sizeof...(P) == sizeof...(V), "the function takes another number of arguments");
  std::vector<Argument> arguments;
  arguments.reserve(sizeof...(P));
  (arguments.push_back(MakeArgument<ValueOf<P>>(std::forward<V>(values))), ...);
  return arguments;
}

}  // namespace internal
}  // namespace ray
