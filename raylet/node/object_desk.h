// ObjectDesk: objects of several machines: who wants them here and is told that one will not come, what owners let go
// of, what processes lent each other, and the connections over which bytes go. A desk. It owns the ObjectManager, which
// there is only in a cluster. Owned by the Raylet; loop thread only.
#pragma once

#include <memory>

#include "raylet/node/services.h"
#include "raylet/node/travelling_objects.h"
#include "raylet/objects/object_manager.h"
#include "raylet/scheduling/scheduler.h"

namespace raylet {

class ObjectDesk final : public TravellingObjects, public ObjectPlaces, public ObjectManager::Events {
 public:
  explicit ObjectDesk(const Services& services);
  void Wire(ArgumentEvents& arguments) { arguments_ = &arguments; }  // before anything else
  Result<void> JoinCluster(const PeerSessionLimits& limits);

  // ---- what processes say
  Result<void> OnWantObjects(ProcessSession& session, const Frame& frame);
  Result<void> OnFreeObjects(ProcessSession& session, const Frame& frame);
  Result<void> OnReleaseLend(ProcessSession& session, const Frame& frame);

  // ---- what other machines say
  Result<void> OnObjectMessage(const NodeId& node, const Frame& frame) { return manager_->OnMessage(node, frame); }
  Result<void> OnLendReleased(const NodeId& node, const Frame& frame);
  void OnBulk(const NodeId& node, UniqueFd fd) { manager_->transfer().Serve(node, std::move(fd)); }

  void OnSealed(const ObjectId& object);  // as the store says

  // ---- what the other desks say
  void WantArguments(std::span<const ObjectId> objects) override;
  void ReleaseArguments(std::span<const ObjectId> objects) override;
  void ResultHere(ProcessId owner, const ObjectId& object) override { manager_->KeptFor(owner, object); }
  void ResultHereOfWhoMayHaveEnded(ProcessId owner, const ObjectId& object) override;
  void ResultThere(const NodeId& node, const ObjectId& object, bool wanted) override;

  // ---- ends (see ends.h)
  void ProcessGone(ProcessId process);  // of any machine
  void MachineGone(const NodeId& node, MachineNumber machine, const Error& why);

  // ---- what the scheduler looks at, in a cluster
  bool IsHere(const ObjectId& object) const override { return manager_->IsHere(object); }
  void AddBytes(const ObjectId& object, ArgumentBytes& bytes) const override { manager_->AddBytes(object, bytes); }

  const ObjectManager* manager() const { return manager_.get(); }  // null without other machines

 private:
  void TellPeer(const NodeId& node, wire::ObjectMessage type, Bytes body) override;
  bool IsAlive(ProcessId process) const override;
  void OnLost(Wanter wanter, const ObjectId& object, const Error& why) override;
  void TellLender(ProcessId lender, ProcessId by, uint64_t lend);

  Loop& loop_;
  const Clock& clock_;
  StoreLink& store_;
  PeerPost& post_;
  ProcessDoor& door_;
  DecisionLoop& decisions_;
  ArgumentEvents* arguments_ = nullptr;  // null before Wire
  std::unique_ptr<ObjectManager> manager_;
};

}  // namespace raylet
