// ClusterViewFixture: one machine's view of a cluster, for tests of the view and of the cores that use it. Owned by a
// test; one thread.
#pragma once

#include <gtest/gtest.h>

#include "raylet/scheduling/cluster_view.h"
#include "tests/harness/node_number.h"

namespace raylet::test {

inline ResourceSet Of(const char* json) { return *ParseResources(json); }

inline const NodeId kOwn = NodeNumber(1), kB = NodeNumber(2), kC = NodeNumber(3);
inline constexpr ProcessId kOwner = ProcessIdOf(MachineNumber{1}, 7);

inline NodeLoad Load(int64_t cpus, int64_t free, std::map<NodeId, ResourceSet> held = {}) {
  NodeLoad load;
  load.lines.push_back({kCpu, cpus * kUnitsPerWhole, free * kUnitsPerWhole});
  load.held = std::move(held);
  return load;
}

class ClusterViewFixture : public ::testing::Test {
 protected:
  void Join(const NodeId& id, NodeLoad load) {
    view_.Up(id, 1, MachineNumber{id.data()[0]}, "10.0.0.1:1", {});
    view_.Heard(id, std::move(load), {});
  }
  const ClusterView::Node& At(const NodeId& id) { return *view_.Find(id); }

  ClusterView view_{kOwn};
};

}  // namespace raylet::test
