#include "client/ray/api/function_registry.h"

#include <array>
#include <cstring>
#include <utility>

#include <ray/api/exceptions.h>
#include <ray/api/function_manager.h>

#include "base/strings.h"
#include "client/ray/api/current_runtime.h"
#include "client/ray/api/user_exception.h"

namespace raylet::client {

FunctionRegistry& FunctionRegistry::Instance() {
  static FunctionRegistry* const registry = new FunctionRegistry();  // never destroyed: static objects may still call
  return *registry;
}

bool FunctionRegistry::Register(Function function) {
  const MutexLock lock(mutex_);
  const auto same_name = by_name_.find(function.name);
  const auto same_target = by_target_.find(Target{function.target, function.type_name});
  if (keep_first_ && (same_name != by_name_.end() || same_target != by_target_.end())) return true;
  if (same_target != by_target_.end()) {
    if (same_target->second->name == function.name) return false;
    throw ray::internal::RayException(StrCat("RAY_REMOTE: ", function.name, " is registered already, as ",
                                             same_target->second->name, "; give each function one name"));
  }
  if (same_name != by_name_.end())
    throw ray::internal::RayException(
        StrCat("RAY_REMOTE: another function is registered as ", function.name,
               " already; qualify the name with its namespace or class, so that the two differ"));
  const Function& entry = functions_.emplace_back(std::move(function));
  by_name_.emplace(entry.name, &entry);
  by_target_.emplace(Target{entry.target, entry.type_name}, &entry);
  return true;
}

const FunctionRegistry::Function* FunctionRegistry::FindByName(std::string_view name) const {
  const MutexLock lock(mutex_);
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? nullptr : found->second;
}

const FunctionRegistry::Function* FunctionRegistry::FindByTarget(std::string_view target,
                                                                 std::string_view type_name) const {
  const MutexLock lock(mutex_);
  const auto found = by_target_.find(Target{target, type_name});
  return found == by_target_.end() ? nullptr : found->second;
}

void FunctionRegistry::SetKeepFirst(bool keep_first) {
  const MutexLock lock(mutex_);
  keep_first_ = keep_first;
}

}  // namespace raylet::client

namespace ray::internal {

bool RegisterFunction(RegisteredFunction function) {
  return raylet::client::FunctionRegistry::Instance().Register(std::move(function));
}

const std::string& FunctionName(std::string_view target, const char* type_name) {
  // What this thread asked for last: a loop calls one function again and again. Entries stay for ever.
  struct Last {
    std::array<char, 16> target{};
    size_t size = 0;
    const char* type_name = nullptr;
    const RegisteredFunction* function = nullptr;
  };
  thread_local constinit Last last;
  if (last.type_name == type_name && last.size == target.size() &&
      std::memcmp(last.target.data(), target.data(), target.size()) == 0)
    return last.function->name;
  CheckNotInChild();  // another thread may have held the registry's lock
  const RegisteredFunction* function = raylet::client::FunctionRegistry::Instance().FindByTarget(target, type_name);
  if (function == nullptr)
    throw RayFunctionNotFound(raylet::StrCat("a function of type ", Demangle(type_name), " is not registered"),
                              {.cause = "the function was not given to RAY_REMOTE",
                               .retry_safe = true,
                               .hint = "add RAY_REMOTE(the_function); next to its definition"});
  if (target.size() <= last.target.size()) {
    std::memcpy(last.target.data(), target.data(), target.size());
    last = {last.target, target.size(), type_name, function};
  }
  return function->name;
}

std::string FunctionNameOrEmpty(std::string_view target, const char* type_name) {
  CheckNotInChild();
  const RegisteredFunction* function = raylet::client::FunctionRegistry::Instance().FindByTarget(target, type_name);
  return function == nullptr ? std::string() : function->name;
}

void ThrowRegisteredTwice(const std::string& name) {
  throw RayException(raylet::StrCat("RegisterRemoteFunction: ", name, " is registered already"));
}

const RegisteredFunction* FindFunction(std::string_view name) {
  return raylet::client::FunctionRegistry::Instance().FindByName(name);
}

}  // namespace ray::internal
