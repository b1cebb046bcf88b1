// The functors of this program, by the names of their types. They are registered before main, or while a library is
// loaded. So nobody reads the list while it grows.
#include <ray/parameter_server/custom.h>

#include <cxxabi.h>

#include <cstdlib>
#include <map>
#include <memory>
#include <string>
#include <variant>

#include <ray/api/exceptions.h>

#include "client/parameter_server/kernels.h"

namespace ray::ps::internal {

using ray::internal::RayException;

namespace {

std::map<std::string, RuleMaker>& Rules() {
  static std::map<std::string, RuleMaker> rules;
  return rules;
}

std::string ForPeople(const std::string& type) {
  int status = 0;
  const std::unique_ptr<char, decltype(&std::free)> name(abi::__cxa_demangle(type.c_str(), nullptr, nullptr, &status),
                                                         &std::free);
  return status == 0 ? name.get() : type;
}

}  // namespace

bool RegisterRule(const char* name, RuleMaker maker) {
  Rules()[name] = maker;
  return true;
}

void ThrowWrongElements(const char* functor, const char* elements) {
  throw RayException("the optimiser " + ForPeople(functor) + " takes no Elements<" + elements +
                     ">, and the server's parameters are of " + elements);
}

std::shared_ptr<const Rule> RuleOfOptimizer(const Optimizer& optimizer) {
  const auto* custom = std::get_if<CustomRule>(&optimizer);
  if (custom == nullptr) return nullptr;
  const auto found = Rules().find(custom->name);
  if (found == Rules().end())
    throw RayException("this program has no optimiser " + ForPeople(custom->name) +
                       ": the programs of a cluster's workers take the same functors as the one that calls Create");
  return found->second(custom->state);
}

}  // namespace ray::ps::internal
