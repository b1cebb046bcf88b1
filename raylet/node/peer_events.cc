#include "raylet/node/peer_events.h"

#include "raylet/node/own_load.h"

namespace raylet {

void PeerEvents::OnPeerUp(const NodeId& node) { std::get<Ends&>(desks_).MachineReached(node); }

Result<void> PeerEvents::OnPeerMessage(const NodeId& node, const Frame& frame) {
  if (services_.decisions.stopped()) return {};
  const auto heard = HearMachine(desks_, node, frame);
  services_.decisions.CarryOutSoon();
  return heard;
}

void PeerEvents::OnPeerRoom(const NodeId& node) { services_.post.Room(node); }

void PeerEvents::OnPeerChanged(const NodeId&) { std::get<TaskDesk&>(desks_).ClusterChanged(); }

void PeerEvents::OnPeerDead(const NodeId& node, const Error& why, TimePoint serves_until) {
  services_.leases.Vouched(node, {});  // it has called this one dead, or does so soon
  std::get<Ends&>(desks_).MachineLost(node, why, serves_until);
}

NodeLoad PeerEvents::OwnLoad() { return raylet::OwnLoad(std::get<TaskDesk&>(desks_).scheduler(), services_.store); }

void PeerEvents::OnBulk(const NodeId& node, UniqueFd fd) { std::get<ObjectDesk&>(desks_).OnBulk(node, std::move(fd)); }

}  // namespace raylet
