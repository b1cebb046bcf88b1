// The raylet among others: what it tells them of itself, and what it makes of what they say.
#include <algorithm>

#include "base/log.h"
#include "base/strings.h"
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
