// One argument of a call, as its parameter wants it. The caller's side converts a value to the
// parameter's type here. An ObjectRef to such a value travels as a reference; the callee gets the value.
#pragma once

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

// P: the parameter's type without reference and const.
template <class P, class V>
Argument MakeArgument(V&& value) {
  using Given = std::remove_cvref_t<V>;
  Argument argument;
  if constexpr (std::is_same_v<Given, P>) {
    argument.value = PackValue<P>(value);
  } else if constexpr (std::is_same_v<Given, ObjectRef<P>>) {
    argument.reference = Require(value.handle());
  } else {
    static_assert(!ObjectRefTraits<Given>::kIs, "this ObjectRef refers to a value of another type than the parameter");
    static_assert(std::is_convertible_v<V&&, P>, "this argument does not convert to the parameter's type");
    argument.value = PackValue<P>(static_cast<P>(std::forward<V>(value)));
  }
  return argument;
}

template <class... P, class... V>
std::vector<Argument> MakeArguments(TypeList<P...>, V&&... values) {
  static_assert(sizeof...(P) == sizeof...(V), "the function takes another number of arguments");
  std::vector<Argument> arguments;
  arguments.reserve(sizeof...(P));
  (arguments.push_back(MakeArgument<std::remove_cvref_t<P>>(std::forward<V>(values))), ...);
  return arguments;
}

}  // namespace internal
}  // namespace ray
