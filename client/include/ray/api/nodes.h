// ray::Nodes, ray::ClusterResources, ray::AvailableResources: the machines that run tasks and actors.
#pragma once

#include <ray/internal/abi.h>

#include <map>
#include <string>
#include <vector>

#include <ray/internal/export.h>

namespace ray {

// One machine, as the raylet of this process knows it. What it knows of another machine is up to half a second old.
struct NodeInfo {
  std::string id;       // 40 hexadecimal digits; a raylet has a new one after each start
  std::string address;  // host:port; empty without other machines
  bool alive = false;
  bool is_this_node = false;                // of the calling process
  std::map<std::string, double> resources;  // all that it has: "CPU", and what --resources names
  std::map<std::string, double> available;  // the part that no task or actor holds; zeros of a dead one
};

// This process's machine is the first. Throws RayException where the raylet does not answer. In local mode there is one
// node, whose CPUs are those of the machine.
RAYLET_API std::vector<NodeInfo> Nodes();
// The sums over all living nodes.
RAYLET_API std::map<std::string, double> ClusterResources();
RAYLET_API std::map<std::string, double> AvailableResources();

}  // namespace ray
