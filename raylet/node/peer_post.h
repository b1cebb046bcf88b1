// PeerPost: sends messages to other raylets, and knows these raylets: their addresses and machine numbers, the homes of
// actors, and the processes that have ended there. A service; it owns the links and the view of the cluster. Owned by
// the Raylet; loop thread only. Always holds: a message that Tell takes arrives once and in order, or that machine is
// reported dead. No machine is reported dead from inside Tell. Without Join there is no other machine, and Tell sends
// nothing.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/later_turn.h"
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
  // Listens for other raylets, and dials those that were named. `handler` outlives this.
  Result<void> Join(const ClusterOptions& cluster, PeerLinks::Handler& handler);
  bool joined() const { return links_ != nullptr; }
  NodeRecord OwnRecord() const;
  // Tells the living nodes that the control store lists. This raylet dials all of them.
  void KnowNodes(const std::vector<NodeRecord>& nodes);
  void Stop(const std::string& why);

  // ---- sending
  template <class Type>
  void Tell(const NodeId& node, Type type, Bytes body) {
    Send(node, static_cast<uint16_t>(type), std::move(body));
  }
  // Every machine that is not dead.
  void TellAll(wire::WorkMessage type, const Bytes& body);
  void Room(const NodeId& node) { outboxes_.Room(node); }
  void DialBulk(const NodeId& node, PeerLinks::BulkDone done) { links_->DialBulk(node, std::move(done)); }

  // ---- names, numbers and addresses
  const NodeId& node() const { return node_; }        // this one
  MachineNumber machine() const { return machine_; }  // part of every process number of this machine
  std::string OwnAddress() const;                     // where others reach this one; empty without other machines
  // Includes dead nodes, because any address of the cluster helps a program to find it.
  std::vector<std::string> KnownAddresses() const;
  std::string AddressOf(const NodeId& node) const;        // for people
  std::string AddressOfProcess(ProcessId process) const;  // empty where its machine is not known
  std::string WhyLost(const NodeId& node) const;          // empty where that is not known
  std::string WhyLostMachineOf(ProcessId process) const;
  MachineNumber MachineNumberOf(const NodeId& node) const;  // kNoMachine: not known
  bool IsOurs(ProcessId process) const { return MachineOf(process) == machine_; }
  bool IsHome(const ActorId& actor) const { return IsOurs(CreatorOf(actor)); }
  // Null where we do not know that machine, or it is dead.
  const ClusterView::Node* HomeOf(const ActorId& actor) const;
  const ClusterView::Node* LivingNode(const NodeId& node) const;  // null as above
  // kProtocolError unless the process is of that machine: no other machine may speak for it.
  Result<void> CheckSpeaksFor(const NodeId& node, ProcessId process) const;
  ClusterView& view() { return view_; }
  const ClusterView& view() const { return view_; }
  const PeerLinks* links() const { return links_.get(); }  // null: not joined

  // ---- processes that have ended
  void ProcessesEnded(const NodeId& node, const ProcessSet& processes);
  bool RemoteLives(ProcessId process) const;  // as far as we know
  void MachineLost(const NodeId& node);

 private:
  void Send(const NodeId& node, uint16_t type, Bytes body);
  void EndOverfull();

  Loop& loop_;
  const Clock& clock_;
  const NodeId node_;
  // Drawn even without a cluster, so that no other raylet's processes are taken for ours.
  const MachineNumber machine_ = NewMachineNumber();
  ClusterView view_;
  std::unique_ptr<PeerLinks> links_;  // null: not joined
  PeerOutboxes outboxes_;
  std::map<NodeId, Error> overfull_;  // machines whose sessions end in a later turn, since too much waits for them
  LaterTurn end_overfull_;
  std::map<NodeId, std::string> known_nodes_;  // addresses from the control store
  std::map<NodeId, std::set<ProcessId>> remote_ended_;
};

}  // namespace raylet
