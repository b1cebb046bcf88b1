// ObjectManager: the objects of other machines that are wanted here, and the messages between raylets about objects.
// ObjectTransfer pulls objects. ObjectLocator knows where the copies of this machine's objects are. The manager carries
// the messages between these two and other raylets. Owned by the Raylet; loop thread only.
//
// The way of an object: a process or the scheduler *wants* it. The owner's raylet *locates* it, and
// this machine *pulls* it from a holder. Then it is *sealed* here, or it is *lost* and its wanter
// hears why.
//
// Always holds: a wanted object is pulled until it is sealed here, is lost, or nobody wants it. An
// object that a process of another machine owns goes when that process frees it or ends, or when
// its machine is lost.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/later_turn.h"
#include "base/loop.h"
#include "base/spread_map.h"
#include "fbs/messages.h"
#include "fbs/peer_object_generated.h"
#include "raylet/objects/kept_copies.h"
#include "raylet/objects/locator.h"
#include "raylet/objects/store_link.h"
#include "raylet/objects/transfer.h"
#include "raylet/scheduling/cluster_view.h"

namespace raylet {

constexpr Wanter kArgumentWanter = 0;  // the scheduler; every other wanter is a process
// Pulled arguments stay pinned until a task begins with them, within these limits. Arguments beyond the limits may be
// evicted, and are then pulled again.
constexpr uint64_t kArgumentsStoreShare = 4;   // a quarter of the store's bytes
constexpr size_t kArgumentsPinnedMax = 16384;  // a quarter of the pins that a process has

class ObjectManager final : private ObjectTransfer::Handler, private ObjectLocator::Machine {
 public:
  class Events {
   public:
    virtual ~Events() = default;
    virtual void TellPeer(const NodeId& node, wire::ObjectMessage type, Bytes body) = 0;
    virtual bool IsAlive(ProcessId process) const = 0;  // as far as we know, of any machine
    // The owner, of this machine, has ended, and the machine keeps the object.
    virtual bool IsKept(const ObjectId& object) const = 0;
    // The wanter hears it once, unless it wants the object again.
    virtual void OnLost(Wanter wanter, const ObjectId& object, const Error& why) = 0;
  };

  // All outlive the manager. `client` is for transfers alone.
  ObjectManager(Loop& loop, const Clock& clock, MachineNumber machine, const ClusterView& view, StoreLink& store,
                std::shared_ptr<client::StoreClient> client, BulkDialer dial, Events& events,
                ObjectTransferLimits limits = {});
  ~ObjectManager() override;

  // ---- events of this machine's processes
  void Want(const ObjectId& object, Wanter wanter, PullPriority priority);
  void WantNoLonger(const ObjectId& object, Wanter wanter);
  // The scheduler wants these until it releases them.
  void WantArguments(std::span<const ObjectId> objects);
  void ReleaseArguments(std::span<const ObjectId> objects);
  void SealedHere(const ObjectId& object);  // the store reports the seal of a watched object
  // That machine has sealed a result that a process of this one owns.
  void SealedElsewhere(const ObjectId& object, const NodeId& node);
  // This machine keeps the object for a process of another one.
  void KeptForOwner(const ObjectId& object);
  void Freed(std::span<const ObjectId> objects);  // nobody refers to these objects of this machine's processes any more
  // Of any machine. Its objects that others still refer to stay. The others are lost, some in each turn of the loop.
  void OwnerGone(ProcessId process);
  // Forgets up to `most` wishes of a process that has gone. False: there are more.
  bool WanterGone(ProcessId process, size_t most);
  // The owners' machine keeps these when their owners are settled, which comes next.
  void KeptWhenSettled(const NodeId& node, std::span<const ObjectId> objects);
  // Drops the other objects that this machine keeps for that process of another machine, some in each turn of the loop.
  void RemoteOwnerSettled(ProcessId owner);

  // ---- other raylets
  Result<void> OnMessage(const NodeId& node, const Frame& frame);
  // What was there or belonged to its processes is lost, some of it in each turn of the loop.
  void MachineLost(const NodeId& node, MachineNumber machine, const Error& why);

  // ---- for stats
  bool IsHere(const ObjectId& object) const { return store_.BytesOf(object).has_value(); }
  void AddBytes(const ObjectId& object, std::map<NodeId, uint64_t>& bytes) const;
  ObjectTransfer& transfer() { return transfer_; }
  const ObjectTransfer& transfer() const { return transfer_; }
  const ObjectLocator& locator() const { return locator_; }
  size_t kept() const { return kept_.count(); }  // objects for processes of other machines
  uint64_t pinned_argument_bytes() const { return pinned_argument_bytes_; }

 private:
  void OnLocate(std::vector<LocateObject> objects) override;
  void OnPullSealed(const ObjectId& object, uint64_t bytes, client::PinnedObject view) override;
  void OnSealed(const ObjectId& object, const std::vector<Wanter>& wanters) override;
  void OnLost(Wanter wanter, const ObjectId& object, const Error& why) override;

  Result<void> OnLocateRequest(const NodeId& node, const Frame& frame);
  Result<void> OnLocated(const NodeId& node, const Frame& frame);
  Result<void> OnCopiesSealed(const NodeId& node, const Frame& frame);
  Result<void> OnCopiesDropped(const NodeId& node, const Frame& frame);
  Result<void> OnFreeCopies(const NodeId& node, const Frame& frame);
  std::optional<uint64_t> SealedBytes(const ObjectId& object) const override { return store_.BytesOf(object); }
  bool IsLost(const ObjectId& object) const override { return store_.IsLost(object); }
  bool OwnerLives(ProcessId owner) const override { return events_.IsAlive(owner); }
  bool IsKept(const ObjectId& object) const override { return events_.IsKept(object); }
  void UnwatchUnlessWanted(const ObjectId& object);
  void LoseUnmade(ProcessId owner, const ObjectId& after);
  void SendLocatorMessages();
  void WorkOff();
  void TellCopiesSealed();
  void Located(wire::LocatedNoticeT located);  // another raylet's answer, or our own
  std::string WhyOwnerGone(ProcessId owner) const;
  bool MayStillBe(const ObjectId& object) const;
  std::string NameOfLost(const NodeId& node) const;
  void PinArgument(const ObjectId& object, uint64_t bytes, client::PinnedObject view);
  bool IsOurs(ProcessId process) const { return MachineOf(process) == machine_; }

  Loop& loop_;
  const MachineNumber machine_;
  const ClusterView& view_;
  StoreLink& store_;
  Events& events_;
  ObjectTransfer transfer_;
  ObjectLocator locator_;
  std::map<NodeId, wire::CopiesSealedNoticeT> copies_sealed_;  // in this turn, by the owners' machines
  KeptCopies kept_;
  // The scheduler wants these; pinned if they were pulled and there was room.
  struct Argument {
    client::PinnedObject view;
    uint64_t bytes = 0;  // pinned
  };
  SpreadMap<ObjectId, Argument> arguments_;
  size_t pinned_arguments_ = 0;
  uint64_t pinned_argument_bytes_ = 0;
  LaterTurn work_off_{loop_, [this] { WorkOff(); }};
  const std::shared_ptr<int> life_ = std::make_shared<int>();
};

}  // namespace raylet
