#include <ray/api/nodes.h>
#include <ray/internal/runtime.h>

namespace ray {
namespace {

std::map<std::string, double> SumOf(std::map<std::string, double> NodeInfo::*amounts) {
  std::map<std::string, double> sums;
  for (const NodeInfo& node : Nodes()) {
    if (!node.alive) continue;
    for (const auto& [name, amount] : node.*amounts) sums[name] += amount;
  }
  return sums;
}

}  // namespace

std::vector<NodeInfo> Nodes() { return internal::CurrentRuntime().Nodes(); }
std::map<std::string, double> ClusterResources() { return SumOf(&NodeInfo::resources); }
std::map<std::string, double> AvailableResources() { return SumOf(&NodeInfo::available); }

}  // namespace ray
