// RAY_REMOTE(f, &C::m, C::Create, RAY_FUNC(overloaded, int)): makes functions, methods and factories of actors known
// under the text given here, in the program and in its workers. Write it beside the definition, at namespace scope,
// once for each function. In a header it may be read by any number of files.
#pragma once

#include <string>
#include <type_traits>
#include <typeinfo>
#include <utility>
#include <vector>

#include <ray/internal/function_traits.h>
#include <ray/internal/invoke.h>
#include <ray/internal/overload.h>
#include <ray/internal/runtime.h>

namespace ray {
namespace internal {

// "f, &C::m, RAY_FUNC(g, int, std::map<int, int>)" at its outer commas; throws unless there are `count` names.
RAYLET_API std::vector<std::string> SplitNames(const char* names, size_t count);

// The compiler looks at the packing of a type before its unpacking. So the static_assert of a type that cannot travel
// is the first error. A function with a deduced result is instantiated where it is named.
template <class T>
auto LookAtPacking() {
  if constexpr (!std::is_void_v<T> && !std::is_pointer_v<T>)
    static_cast<void>(&msgpack::packer<ValueStream>::template pack<T>);
}
template <class Result, class... P>
auto LookAtPackings(TypeList<P...>) {
  (LookAtPacking<ValueOf<P>>(), ...);
  LookAtPacking<typename ResultValue<Result>::Type>();
}

// Whether this is the first registration: false where the same name stands for the same function already.
template <class F>
bool RegisterOne(std::string name, F f) {
  using Traits = FunctionTraits<F>;
  static_assert(Traits::kIsFunction || Traits::kIsMember,
                "RAY_REMOTE takes functions and pointers to members, by which workers find the same code: give a "
                "lambda or a function object a name as a function");
  using Pointer = typename Traits::Pointer;
  RegisteredFunction function;
  function.name = std::move(name);
  if constexpr (Traits::kIsFunction || Traits::kIsMember) {
    LookAtPackings<typename Traits::Result>(typename Traits::Parameters());
    function.target = TargetBytes(f);
    function.type_name = typeid(Pointer).name();
  }
  if constexpr (Traits::kIsMember)
    function.invoke = &InvokeMethod<Pointer>;
  else if constexpr (std::is_pointer_v<typename Traits::Result>)
    function.create = &InvokeFactory<Pointer>;
  else if constexpr (Traits::kIsFunction)
    function.invoke = &InvokeFunction<Pointer>;
  return RegisterFunction(std::move(function));
}

template <class... F>
bool RegisterRemote(const char* names, F... functions) {
  std::vector<std::string> split = SplitNames(names, sizeof...(F));
  size_t i = 0;
  (RegisterOne(std::move(split[i++]), functions), ...);
  return true;
}

// The name under which f was registered; throws RayFunctionNotFound.
template <class F>
const std::string& NameOf(F f) {
  using Pointer = typename FunctionTraits<F>::Pointer;
  const Pointer pointer = f;
  return FunctionName(std::string_view(reinterpret_cast<const char*>(&pointer), sizeof pointer),
                      typeid(Pointer).name());
}

}  // namespace internal
}  // namespace ray

#define RAYLET_CONCAT_(A, B) A##B
#define RAYLET_CONCAT(A, B) RAYLET_CONCAT_(A, B)
// A counter, not the line: a header and the file that includes it may have the same one.
#define RAY_REMOTE(...)                                                                      \
  [[maybe_unused]] static const bool RAYLET_CONCAT(raylet_remote_registered_, __COUNTER__) = \
      ::ray::internal::RegisterRemote(#__VA_ARGS__, __VA_ARGS__)
