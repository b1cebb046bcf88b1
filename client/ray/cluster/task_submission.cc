#include "client/ray/cluster/task_submission.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace raylet::client {
namespace {

constexpr double kUnitsPerWhole = 10000;

}  // namespace

void FillResources(std::map<std::string, double> resources, double cpus,
                   std::vector<std::unique_ptr<wire::ResourceT>>& out) {
  if (cpus > 0) resources.emplace("CPU", cpus);
  for (const auto& [name, amount] : resources) {
    auto resource = std::make_unique<wire::ResourceT>();
    resource->name = name;
    resource->units = std::llround(amount * kUnitsPerWhole);
    if (resource->units > 0) out.push_back(std::move(resource));
  }
}

}  // namespace raylet::client
