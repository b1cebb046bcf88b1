// The raylet among others: what it tells them of itself, and what it makes of what they say.
#include <algorithm>

#include "base/log.h"
#include "base/strings.h"
#include "raylet/control_records.h"
#include "raylet/raylet.h"

namespace raylet {

Result<void> Raylet::JoinPeers() {
  if (!options_.cluster) return {};
  const ClusterOptions& cluster = *options_.cluster;
  PeerLinksOptions options;
  options.own.node = node_;
  options.own.process_base = static_cast<uint32_t>(process_base_ >> 32);
  options.token = cluster.token;
  options.limits = cluster.limits;
  PeerLinks::Handler& handler = *this;
  peers_ = std::make_unique<PeerLinks>(loop_, clock_, std::move(options), view_, handler);
  RAYLET_RETURN_IF_ERROR(peers_->Listen(cluster.listen));
  for (const TcpAddress& address : cluster.peers) RAYLET_RETURN_IF_ERROR(peers_->Seek(address));
  return {};
}

NodeRecord Raylet::OwnRecord() const {
  return {node_, peers_ == nullptr ? 0 : peers_->own().epoch, static_cast<uint32_t>(process_base_ >> 32), PeerAddress(),
          kBuild};
}

void Raylet::KnowNodes(const std::vector<NodeRecord>& nodes) {
  if (peers_ == nullptr || stopping_) return;
  std::map<NodeId, std::string> known;
  for (const NodeRecord& node : nodes) {
    if (node.id == node_) continue;
    known[node.id] = node.address;
    if (const auto before = known_nodes_.find(node.id); before != known_nodes_.end() && before->second == node.address)
      continue;
    auto address = ParseTcpAddress(node.address);
    const auto sought = address ? peers_->Seek(*address, node.id) : Result<void>(Fail(address.error()));
    if (!sought)
      RAYLET_LOG(kWarning, "raylet ", node.id.hex(), " at ", node.address, " is not sought: ", sought.error().message);
  }
  for (const auto& [id, address] : known_nodes_)
    if (const auto now = known.find(id); now == known.end() || now->second != address) peers_->Forget(address);
  known_nodes_ = std::move(known);
}

std::string Raylet::PeerAddress() const { return peers_ == nullptr ? "" : peers_->own().address; }

NodeLoad Raylet::OwnLoad() {
  NodeLoad load;
  for (const auto& line : scheduler_.ledger().lines())
    load.lines.push_back({line.name, line.total_units, line.free_units});
  load.queued_tasks = scheduler_.queue().size() + scheduler_.dependencies().tasks();
  load.running_tasks = static_cast<uint64_t>(
      std::count_if(scheduler_.workers().begin(), scheduler_.workers().end(),
                    [](const auto& worker) { return worker.second.state == Scheduler::WorkerState::kBusy; }));
  return load;
}

Result<void> Raylet::OnPeerMessage(const NodeId&, const Frame& frame) {
  return Fail(ErrorCode::kProtocolError,
              StrCat("message ", frame.header.type, " is none that this raylet (", kBuild, ") takes from another"));
}

void Raylet::OnBulk(const NodeId& node, UniqueFd) {
  RAYLET_LOG(kWarning, "raylet ", node.hex(), " asks for the bytes of objects, which this one does not send");
}

}  // namespace raylet
