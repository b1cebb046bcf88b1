#include "client/ray/cluster/task_submission.h"

#include <algorithm>
#include <utility>

#include "fbs/resource_units.h"

namespace raylet::client {

void FillResources(std::map<std::string, double> resources, double cpus,
                   std::vector<std::unique_ptr<wire::ResourceT>>& out) {
  if (cpus > 0) resources.emplace("CPU", cpus);
  for (const auto& [name, amount] : resources) {
    auto resource = std::make_unique<wire::ResourceT>();
    resource->name = name;
    resource->units = UnitsOf(name, amount);
    if (resource->units > 0) out.push_back(std::move(resource));
  }
}

}  // namespace raylet::client
