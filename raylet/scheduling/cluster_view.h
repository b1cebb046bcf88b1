// ClusterView: this raylet's knowledge of the other machines: their states, their total and free resources, and the
// resources that our own work there takes. Pure; the raylet's loop thread. A load report is up to half a second old.
// The view adds the work that we have sent since, and does not count twice what the report already counts. So FreeAt
// never promises the same unit to two tasks of ours.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "fbs/ids.h"
#include "raylet/scheduling/resources.h"

namespace raylet {

enum class NodeState { kUp, kSilent, kDead };

// A node's load, as its heartbeats report it.
struct NodeLoad {
  struct Line {
    std::string name;
    int64_t total_units = 0;
    int64_t free_units = 0;    // below zero for a moment while more is in use than there is
    int64_t queued_units = 0;  // what forwarded tasks that have not begun ask for
    int64_t leased_units = 0;  // of what is not free: what workers hold under leases that are open
  };
  std::vector<Line> lines;
  uint64_t queued_tasks = 0;
  uint64_t running_tasks = 0;
  uint64_t store_capacity_bytes = 0;
  uint64_t store_free_bytes = 0;
  std::map<NodeId, ResourceSet> held;  // by each other node's work there, queued work included
};

// Our tasks on one machine. It bounds tasks that ask for no resources.
constexpr uint64_t kInFlightPerNodeMax = 1000;

class ClusterView {
 public:
  struct Node {
    NodeId id;
    uint64_t epoch = 0;
    MachineNumber machine{};
    std::string address;  // for people
    NodeState state = NodeState::kUp;
    std::string why_dead;  // for people; set for a dead node
    TimePoint heard = {};
    NodeLoad load;
    ResourceSet in_flight;  // of the work that we sent there and that has not ended
    uint64_t in_flight_tasks = 0;
    // What placement groups have reserved there, as their homes say. No load report has it.
    std::map<PlacementGroupId, ResourceSet> groups;
  };

  explicit ClusterView(const NodeId& own) : own_(own) {}

  // A node came, or came back in a new life. The view forgets the life before.
  void Up(const NodeId& id, uint64_t epoch, MachineNumber machine, std::string address, TimePoint now);
  void Heard(const NodeId& id, NodeLoad load, TimePoint now);
  void Silent(const NodeId& id);
  // The node is dead. The scheduler takes back the work that was in flight there.
  void Dead(const NodeId& id, std::string why = {});

  void Sent(const NodeId& id, const ResourceSet& needs);
  void Ended(const NodeId& id, const ResourceSet& needs);
  // The same for what a placement group of ours reserves there, which is no task.
  void Reserve(const NodeId& id, const ResourceSet& resources);
  void Unreserve(const NodeId& id, const ResourceSet& resources);
  // All that the group has there; empty: nothing any more.
  void SetGroup(const NodeId& id, const PlacementGroupId& group, ResourceSet resources);
  void DropGroup(const PlacementGroupId& group);

  const NodeId& own() const { return own_; }
  const std::map<NodeId, Node>& nodes() const { return nodes_; }
  const Node* Find(const NodeId& id) const;
  // The node of a process; null for a process of this machine, or of a node that we do not know.
  const Node* NodeOf(ProcessId process) const;
  bool Usable(const NodeId& id) const;  // up, and has reported its resources
  bool AnyUsable() const;

  // Whether the node could ever run this, and whether it can now.
  bool Feasible(const Node& node, const ResourceSet& needs) const;
  bool Fits(const Node& node, const ResourceSet& needs) const;
  std::map<std::string, int64_t> FreeOf(const Node& node) const;  // as Fits counts it
  // The fullest of the resources that `needs` names (of all, where it names none), from 0 to 1.
  double Utilization(const Node& node, const ResourceSet& needs) const;

 private:
  // What a node has of one resource, as its load report or the home of a placement group says.
  struct Amounts {
    int64_t total_units = 0;
    int64_t free_units = 0;  // without what queues there
  };
  int64_t FreeAt(const Node& node, const std::string& name, const Amounts& amounts) const;
  std::optional<Amounts> AmountsOf(const Node& node, const std::string& name) const;

  const NodeId own_;
  std::map<NodeId, Node> nodes_;
  std::map<MachineNumber, NodeId> by_machine_;
};

}  // namespace raylet
