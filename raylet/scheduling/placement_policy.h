// PlacementPolicy: where a task runs: here, or on which other machine. Pure; the raylet's loop thread. The policy is
// hybrid, as Ray's. A task with large arguments goes where most of their bytes lie. Other tasks run here until this
// machine is half full, and then where the load is lowest. A task is sent only where it fits now. Otherwise it waits
// here, from where it can still go anywhere.
#pragma once

#include <cstdint>
#include <map>
#include <optional>

#include "raylet/scheduling/cluster_view.h"
#include "raylet/scheduling/resources.h"

namespace raylet {

constexpr double kHalfFull = 0.5;
constexpr uint64_t kLargeArgumentBytes = uint64_t{1} << 20;  // the sum of a task's arguments on one machine

// Bytes of a task's arguments by the machine that holds them.
using ArgumentBytes = std::map<NodeId, uint64_t>;

struct Placement {
  enum class Where {
    kHere,
    kThere,       // on `node`
    kNowhereYet,  // every machine that could run it is busy or silent
    kInfeasible,  // no known machine has so much in total
  };
  Where where = Where::kHere;
  NodeId node;
};

class PlacementPolicy {
 public:
  explicit PlacementPolicy(const ClusterView& view) : view_(view) {}

  // `here` is this machine's ledger after the tasks before this one have taken their resources. `resolved` are the
  // needs as it resolves them.
  Placement Choose(const ResourceSet& needs, const std::optional<ResourceNeeds>& resolved, const ResourceLedger& here,
                   const ArgumentBytes& arguments) const;

 private:
  const ClusterView& view_;
};

// The fullest of the resources that `needs` names (of all, where it names none), from 0 to 1.
double Utilization(const ResourceLedger& ledger, const ResourceSet& needs);

}  // namespace raylet
