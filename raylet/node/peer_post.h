// PeerPost: what is said to other raylets, and who is who among them: their addresses, the halves of process numbers,
// the homes of actors, which processes there have ended. A service; it owns the links and the view of the cluster.
// Owned by the Raylet; loop thread only. Always holds: what Tell takes arrives once and in order, or that machine is
// told dead. Without Join there is no other machine, and Tell says nothing.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/loop.h"
#include "raylet/control/control_records.h"
#include "raylet/node/peer_outboxes.h"
#include "raylet/node/raylet_options.h"
#include "raylet/peers/links.h"
#include "raylet/scheduling/cluster_view.h"
#include "raylet/scheduling/task.h"

namespace raylet {

class PeerPost {
 public:
  PeerPost(Loop& loop, const Clock& clock, const std::optional<ClusterOptions>& cluster);

  // ---- joining
  // Listens to other raylets and seeks those that were named. `handler` outlives this.
  Result<void> Join(const ClusterOptions& cluster, PeerLinks::Handler& handler);
  bool joined() const { return links_ != nullptr; }
  NodeRecord OwnRecord() const;
  // Who lives, as the control store says: all are sought.
  void KnowNodes(const std::vector<NodeRecord>& nodes);
  void Stop(const std::string& why);

  // ---- saying
  template <class Type>
  void Tell(const NodeId& node, Type type, Bytes body) {
    Send(node, static_cast<uint16_t>(type), std::move(body));
  }
  // Every machine that is not dead.
  void TellAll(wire::WorkMessage type, const Bytes& body);
  void Room(const NodeId& node) { outboxes_.Room(node); }
  void DialBulk(const NodeId& node, PeerLinks::BulkDone done) { links_->DialBulk(node, std::move(done)); }

  // ---- who is who
  const NodeId& node() const { return node_; }            // this one
  MachineNumber machine() const { return machine_; }      // part of every process number of this machine
  std::string OwnAddress() const;                         // where others reach this one; empty where they do not
  std::vector<std::string> KnownAddresses() const;        // of the dead, too: their cluster is still this one
  std::string AddressOf(const NodeId& node) const;        // for people
  std::string AddressOfProcess(ProcessId process) const;  // empty where its machine is not known
  std::string WhyLost(const NodeId& node) const;          // empty where that is not known
  std::string WhyLostMachineOf(ProcessId process) const;
  MachineNumber MachineNumberOf(const NodeId& node) const;  // kNoMachine: not known
  bool IsOurs(ProcessId process) const { return MachineOf(process) == machine_; }
  bool IsHome(const ActorId& actor) const { return IsOurs(CreatorOf(actor)); }
  // Null where it is a machine that we do not know, or that is dead.
  const ClusterView::Node* HomeOf(const ActorId& actor) const;
  const ClusterView::Node* LivingNode(const NodeId& node) const;  // null as above
  // Of a process speaks its own machine alone.
  Result<void> CheckSpeaksFor(const NodeId& node, ProcessId process) const;
  ClusterView& view() { return view_; }
  const ClusterView& view() const { return view_; }
  const PeerLinks* links() const { return links_.get(); }  // null: not joined

  // ---- who has gone
  void ProcessesEnded(const NodeId& node, const ProcessSet& processes);
  bool LivesElsewhere(ProcessId process) const;  // as far as we know
  void MachineGone(const NodeId& node);

 private:
  void Send(const NodeId& node, uint16_t type, Bytes body);

  Loop& loop_;
  const Clock& clock_;
  const NodeId node_;
  const MachineNumber machine_ = NewMachineNumber();  // so that another raylet's are not taken for ours
  ClusterView view_;
  std::unique_ptr<PeerLinks> links_;  // null: not joined
  PeerOutboxes outboxes_;
  std::map<NodeId, std::string> known_nodes_;  // from the control store, their addresses
  std::map<NodeId, std::set<ProcessId>> ended_elsewhere_;
};

}  // namespace raylet
