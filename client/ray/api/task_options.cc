#include <ray/api/task_options.h>

#include <cmath>

#include <ray/api/exceptions.h>

#include "base/strings.h"
#include "fbs/resource_units.h"

namespace ray::internal {
namespace {

using raylet::StrCat;

void CheckResource(const std::string& name, double amount) {
  if (name.empty()) throw RayException("a resource needs a name");
  if (!std::isfinite(amount) || amount <= 0)
    throw RayException(StrCat("resource ", name, ": the amount must be above zero, not ", amount));
  if (amount < raylet::LeastAmount(name))
    throw RayException(StrCat("resource ", name, ": the amount must be at least ",
                              raylet::CountsBytes(name) ? "1" : "0.0001", ", not ", amount));
  if (amount > 1 && amount != std::floor(amount))
    throw RayException(StrCat("resource ", name, ": an amount above one must be whole, not ", amount));
  if (amount > static_cast<double>(raylet::WholeMax(name)))
    throw RayException(
        StrCat("resource ", name, ": the amount must be at most ", raylet::WholeMax(name), ", not ", amount));
}

}  // namespace

void CheckTaskOptions(const std::unordered_map<std::string, double>& resources) {
  for (const auto& [name, amount] : resources) CheckResource(name, amount);
}

void CheckOptions(const CallOptions& options) {
  for (const auto& [name, amount] : options.resources) CheckResource(name, amount);
  if (options.bundle < -1) throw RayException(StrCat("a bundle is -1 (any), zero or more, not ", options.bundle));
  if (options.max_retries < -1)
    throw RayException(StrCat("max_retries must be -1 (for ever), zero or more, not ", options.max_retries));
  if (options.max_restarts < -1)
    throw RayException(StrCat("max_restarts must be -1 (always), zero or more, not ", options.max_restarts));
  if (options.max_concurrency < 1)
    throw RayException(StrCat("max_concurrency must be one or more, not ", options.max_concurrency));
}

}  // namespace ray::internal
