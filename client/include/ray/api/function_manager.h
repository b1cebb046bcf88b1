// FunctionManager: the functions given to RAY_REMOTE, for programs that give them under names of their own. Any thread.
#pragma once

#include <string>
#include <string_view>
#include <typeinfo>

#include <ray/api/ray_remote.h>
#include <ray/internal/export.h>
#include <ray/internal/runtime.h>

namespace ray {
namespace internal {

// Empty where it was not registered.
RAYLET_API std::string FunctionNameOrEmpty(std::string_view target, const char* type_name);
[[noreturn]] RAYLET_API void ThrowRegisteredTwice(const std::string& name);

class FunctionManager {
 public:
  static FunctionManager& Instance() {
    static FunctionManager manager;
    return manager;
  }
  FunctionManager(const FunctionManager&) = delete;
  FunctionManager& operator=(const FunctionManager&) = delete;

  // True. RayException where the name or the function is registered already.
  template <class F>
  bool RegisterRemoteFunction(const std::string& name, F function) {
    if (!RegisterOne(name, function)) ThrowRegisteredTwice(name);
    return true;
  }

  // Empty where it was not registered.
  template <class F>
  std::string GetFunctionName(F function) const {
    return FunctionNameOrEmpty(TargetBytes(function), typeid(typename FunctionTraits<F>::Pointer).name());
  }

  // "C" for "C::Create" and for "RAY_FUNC(C::Create, int)"; empty for a function of no class.
  RAYLET_API static std::string GetClassNameByFuncName(const std::string& function_name);

 private:
  FunctionManager() = default;
};

}  // namespace internal
}  // namespace ray
