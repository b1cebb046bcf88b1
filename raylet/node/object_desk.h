// ObjectDesk: objects that travel between machines. It hears which objects processes want, free and lend, and which are
// sealed or lost. It passes on the connections that carry objects' bytes. A desk. It owns the ObjectManager, which
// exists only in a cluster. Owned by the Raylet; loop thread only.
#pragma once

#include <memory>
#include <unordered_map>

#include "raylet/node/claimed_things.h"
#include "raylet/node/services.h"
#include "raylet/node/travelling_objects.h"
#include "raylet/objects/awaited_objects.h"
#include "raylet/objects/object_manager.h"
#include "raylet/objects/result_references.h"
#include "raylet/scheduling/scheduler.h"

namespace raylet {

class ObjectDesk final : public TravellingObjects,
                         public ClaimedObjects,
                         public ObjectPlaces,
                         public ObjectManager::Events {
 public:
  explicit ObjectDesk(const Services& services);
  // Call it before anything else. Both outlive the desk.
  void Wire(ArgumentEvents& arguments, const KeptObjects& kept) {
    arguments_ = &arguments;
    kept_ = &kept;
  }
  Result<void> JoinCluster(const PeerSessionLimits& limits);

  // ---- messages of processes
  Result<void> OnWantObjects(ProcessSession& session, const Frame& frame);
  Result<void> OnFreeObjects(ProcessSession& session, const Frame& frame);
  Result<void> OnReleaseLend(ProcessSession& session, const Frame& frame);

  // ---- messages of other machines
  Result<void> OnObjectMessage(const NodeId& node, const Frame& frame) { return manager_->OnMessage(node, frame); }
  Result<void> OnLendReleased(const NodeId& node, const Frame& frame);
  void OnBulk(const NodeId& node, UniqueFd fd) { manager_->transfer().Serve(node, std::move(fd)); }

  void OnSealed(const ObjectId& object);  // called when the store says so

  // ---- for the other desks
  void WantArguments(std::span<const ObjectId> objects) override;
  void ReleaseArguments(std::span<const ObjectId> objects) override;
  void ResultHere(const ObjectId& object) override { manager_->KeptForOwner(object); }
  void ResultHereOfWhoMayHaveEnded(ProcessId owner, const ObjectId& object) override;
  void ResultThere(const NodeId& node, const ObjectId& object, std::vector<ObjectId> references, bool wanted) override;

  // ---- ends (see ends.h)
  void ProcessGone(ProcessId process);  // of any machine
  // ---- for the claim desk
  bool Travel() const override { return manager_ != nullptr; }
  void TellLost(ProcessId wanter, const ObjectId& object, const Error& why) override;
  std::vector<ObjectId> KnownOf(ProcessId owner, const ObjectId& after, size_t most) const override;
  std::vector<ObjectId> ReferencesIn(const ObjectId& object) const override;
  void FreeAdopted(std::span<const ObjectId> objects) override;
  void KeptWhenSettled(const NodeId& node, std::span<const ObjectId> objects) override;
  void RemoteOwnerSettled(ProcessId owner) override;
  void MachineLost(const NodeId& node, MachineNumber machine, const Error& why);

  // ---- for the scheduler, in a cluster
  bool IsHere(const ObjectId& object) const override { return manager_->IsHere(object); }
  void AddBytes(const ObjectId& object, ArgumentBytes& bytes) const override { manager_->AddBytes(object, bytes); }

  const ResultReferences& references() const { return references_; }
  const ObjectManager* manager() const { return manager_.get(); }  // null without other machines

 private:
  void TellPeer(const NodeId& node, wire::ObjectMessage type, Bytes body) override;
  bool IsAlive(ProcessId process) const override;
  bool IsKept(const ObjectId& object) const override { return kept_->IsKept(object); }
  void OnLost(Wanter wanter, const ObjectId& object, const Error& why) override;
  void Await(ProcessId process, const wire::WantNoticeT& notice);
  void TellSealed();
  void ForgetWishes(ProcessId process);
  void TellLender(ProcessId lender, ProcessId by, uint64_t lend);

  Loop& loop_;
  const Clock& clock_;
  StoreLink& store_;
  PeerPost& post_;
  ProcessDoor& door_;
  DecisionLoop& decisions_;
  EndNotices& end_notices_;
  ArgumentEvents* arguments_ = nullptr;  // null before Wire
  const KeptObjects* kept_ = nullptr;    // null before Wire
  std::unique_ptr<ObjectManager> manager_;
  ResultReferences references_;
  AwaitedObjects awaited_;
  std::unordered_map<ProcessId, wire::SealedObjectsNoticeT> sealed_;  // sent at the end of this turn
  const std::shared_ptr<int> life_ = std::make_shared<int>();         // posted work ends with it
};

}  // namespace raylet
