// PeerEvents: passes each event of the links to other raylets on to the services and desks. Owned by the Raylet; loop
// thread only.
#pragma once

#include "raylet/node/message_table.h"
#include "raylet/peers/links.h"

namespace raylet {

class PeerEvents final : public PeerLinks::Handler {
 public:
  // All outlive it.
  PeerEvents(const Services& services, const Desks& desks) : services_(services), desks_(desks) {}

  void OnPeerUp(const NodeId& node) override;
  Result<void> OnPeerMessage(const NodeId& node, const Frame& frame) override;
  void OnPeerRoom(const NodeId& node) override;
  void OnPeerChanged(const NodeId& node) override;
  void OnPeerVouched(const NodeId& node, TimePoint until) override { services_.leases.Vouched(node, until); }
  void OnPeerDead(const NodeId& node, const Error& why, TimePoint serves_until) override;
  NodeLoad OwnLoad() override;
  void OnBulk(const NodeId& node, UniqueFd fd) override;

 private:
  const Services services_;
  const Desks desks_;
};

}  // namespace raylet
