// RAY_REMOTE(f, &C::m, C::Create, RAY_FUNC(overloaded, int)): makes functions, methods and factories of actors known
// under the text given here, in the program and in its workers. Write it beside the definition, at namespace scope,
// once for each function.
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

template <class F>
void RegisterOne(std::string name, F f) {
  using Traits = FunctionTraits<F>;
  static_assert(Traits::kIsFunction || Traits::kIsMember, "RAY_REMOTE takes functions and pointers to members");
  using Pointer = typename Traits::Pointer;
  RegisteredFunction function;
  function.name = std::move(name);
  function.target = TargetBytes(f);
  function.type_name = typeid(Pointer).name();
  if constexpr (Traits::kIsMember)
    function.invoke = &InvokeMethod<Pointer>;
  else if constexpr (std::is_pointer_v<typename Traits::Result>)
    function.create = &InvokeFactory<Pointer>;
  else
    function.invoke = &InvokeFunction<Pointer>;
  RegisterFunction(std::move(function));
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
