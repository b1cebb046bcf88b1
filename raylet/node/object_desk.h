// ObjectDesk: objects of several machines: who wants them here and is told that one will not come, what owners let go
// of, what processes lent each other, and the connections over which bytes go. A desk. It owns the ObjectManager, which
// there is only in a cluster. Owned by the Raylet; loop thread only.
#pragma once

#include <memory>
#include <unordered_map>

#include "raylet/node/services.h"
#include "raylet/node/travelling_objects.h"
#include "raylet/objects/awaited_objects.h"
#include "raylet/objects/object_manager.h"
#include "raylet/scheduling/scheduler.h"

namespace raylet {

// KeptObjects: which objects this machine keeps though their owner has ended. Implemented by the claim desk.
class KeptObjects {
 public:
  virtual ~KeptObjects() = default;
  virtual bool IsKept(const ObjectId& object) const = 0;
};

class ObjectDesk final : public TravellingObjects, public ObjectPlaces, public ObjectManager::Events {
 public:
  explicit ObjectDesk(const Services& services);
  // Before anything else. Both outlive it.
  void Wire(ArgumentEvents& arguments, const KeptObjects& kept) {
    arguments_ = &arguments;
    kept_ = &kept;
  }
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
  // ---- what the claim desk says
  void TellLost(ProcessId wanter, const ObjectId& object, const Error& why);  // nothing where that one has gone
  std::vector<ObjectId> KnownOf(ProcessId owner) const;  // of this machine: what lies elsewhere of its
  void FreeAdopted(std::span<const ObjectId> objects);   // their owners have ended, and nobody claims them
  // All objects of that process go, but for those that its machine keeps.
  void OwnerSettledElsewhere(ProcessId owner, std::span<const ObjectId> kept);
  void MachineGone(const NodeId& node, MachineNumber machine, const Error& why);

  // ---- what the scheduler looks at, in a cluster
  bool IsHere(const ObjectId& object) const override { return manager_->IsHere(object); }
  void AddBytes(const ObjectId& object, ArgumentBytes& bytes) const override { manager_->AddBytes(object, bytes); }

  const ObjectManager* manager() const { return manager_.get(); }  // null without other machines

 private:
  void TellPeer(const NodeId& node, wire::ObjectMessage type, Bytes body) override;
  bool IsAlive(ProcessId process) const override;
  bool IsKept(const ObjectId& object) const override { return kept_->IsKept(object); }
  void OnLost(Wanter wanter, const ObjectId& object, const Error& why) override;
  void Await(ProcessId process, const wire::WantNoticeT& notice);
  void TellSealed();
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
  AwaitedObjects awaited_;
  std::unordered_map<ProcessId, wire::SealedObjectsNoticeT> sealed_;  // to be told at the end of this turn
};

}  // namespace raylet
