#include "client/ray/cluster/task_submission.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace raylet::client {
namespace {

constexpr int64_t kUnitsPerWhole = 10'000;

// A product of doubles has not all digits of bytes.
int64_t UnitsOf(double amount) {
  if (amount == std::floor(amount)) return static_cast<int64_t>(amount) * kUnitsPerWhole;
  return std::llround(amount * static_cast<double>(kUnitsPerWhole));
}

}  // namespace

void FillResources(std::map<std::string, double> resources, double cpus,
                   std::vector<std::unique_ptr<wire::ResourceT>>& out) {
  if (cpus > 0) resources.emplace("CPU", cpus);
  for (const auto& [name, amount] : resources) {
    auto resource = std::make_unique<wire::ResourceT>();
    resource->name = name;
    resource->units = UnitsOf(amount);
    if (resource->units > 0) out.push_back(std::move(resource));
  }
}

}  // namespace raylet::client
