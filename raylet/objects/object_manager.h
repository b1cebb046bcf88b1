// ObjectManager: objects of other machines, for whoever wants them here, and what other raylets are told about the
// objects of ours. Owned by the Raylet; loop thread only. ObjectTransfer brings them, ObjectLocator knows where the
// copies are of what our processes own; here is who says what to whom.
// Always holds: what a process wants here is asked for until it is here, the process is told that it will not come, or
// it wants it no more. What a process of another machine owns, kept for it or copied from there, goes when its owner
// says so, ends, or loses its machine.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "base/clock.h"
#include "base/loop.h"
#include "fbs/messages.h"
#include "fbs/peer_object_generated.h"
#include "raylet/objects/locator.h"
#include "raylet/objects/store_link.h"
#include "raylet/objects/transfer.h"
#include "raylet/scheduling/cluster_view.h"

namespace raylet {

constexpr PullAsker kArgumentAsker = 0;  // the scheduler; every other asker is a process
// Copies that came as arguments are pinned until a task begins with them, as far as these allow; more of them may be
// evicted, and are pulled again then.
constexpr uint64_t kArgumentsStoreShare = 4;   // a quarter of the store's bytes
constexpr size_t kArgumentsPinnedMax = 16384;  // a quarter of the pins that a process has

class ObjectManager final : private ObjectTransfer::Handler, private ObjectLocator::Machine {
 public:
  class Events {
   public:
    virtual ~Events() = default;
    virtual void TellPeer(const NodeId& node, wire::ObjectMessage type, Bytes body) = 0;
    virtual void DialBulk(const NodeId& node) = 0;      // ends in Dialled
    virtual bool IsAlive(ProcessId process) const = 0;  // as far as we know, of any machine
    // Not again for this asker, unless it asks again.
    virtual void OnWillNotCome(PullAsker asker, const ObjectId& object, const Error& why) = 0;
  };

  // All outlive the manager. `client` is for transfers alone.
  ObjectManager(Loop& loop, const Clock& clock, uint32_t process_base, const ClusterView& view, StoreLink& store,
                std::shared_ptr<client::StoreClient> client, Events& events, ObjectTransferLimits limits = {});
  ~ObjectManager() override;

  // ---- this machine's processes
  void Want(const ObjectId& object, PullAsker asker, PullPriority priority);
  void WantNoLonger(const ObjectId& object, PullAsker asker);
  // The scheduler's, until it releases them.
  void WantArguments(std::span<const ObjectId> objects);
  void ReleaseArguments(std::span<const ObjectId> objects);
  void OnSealed(const ObjectId& object);  // as the store says it of what it watches
  // A result lies on another machine, and a process of ours owns it.
  void MadeElsewhere(const ObjectId& object, const NodeId& node);
  // A process of another machine owns it, and we keep it for that one.
  void KeptFor(ProcessId owner, const ObjectId& object);
  void Freed(const ObjectId& object);   // its owner, a process of ours, refers to it no more
  void ProcessGone(ProcessId process);  // of any machine

  // ---- other raylets
  Result<void> OnMessage(const NodeId& node, const Frame& frame);
  void Dialled(const NodeId& node, Result<UniqueFd> fd) { transfer_.Dialled(node, std::move(fd)); }
  void Serve(const NodeId& node, UniqueFd fd) { transfer_.Serve(node, std::move(fd)); }
  void NodeGone(const NodeId& node, uint32_t process_base, const Error& why);

  // ---- looking
  bool IsHere(const ObjectId& object) const { return store_.BytesOf(object).has_value(); }
  void AddBytes(const ObjectId& object, std::map<NodeId, uint64_t>& bytes) const;
  const ObjectTransfer& transfer() const { return transfer_; }
  const ObjectLocator& locator() const { return locator_; }
  size_t kept() const;  // objects for processes of other machines
  uint64_t pinned_argument_bytes() const { return pinned_argument_bytes_; }

 private:
  void OnLocate(std::vector<LocateObject> objects) override;
  void OnDial(const NodeId& node) override { events_.DialBulk(node); }
  void OnCopied(const ObjectId& object, uint64_t bytes, client::ObjectView view) override;
  // Who waits sees it in the store, and the scheduler hears of it from there.
  void OnHere(const ObjectId&, const std::vector<PullAsker>&) override {}
  void OnFailed(const ObjectId& object, PullAsker asker, const Error& why) override;

  Result<void> OnLocateRequest(const NodeId& node, const Frame& frame);
  Result<void> OnCopiesFound(const NodeId& node, const Frame& frame);
  Result<void> OnCopiesAdded(const NodeId& node, const Frame& frame);
  Result<void> OnCopiesDropped(const NodeId& node, const Frame& frame);
  Result<void> OnFreeCopies(const NodeId& node, const Frame& frame);
  std::optional<uint64_t> SealedBytes(const ObjectId& object) const override { return store_.BytesOf(object); }
  bool OwnerLives(ProcessId owner) const override { return events_.IsAlive(owner); }
  void SayWhatIsToBeSaid();  // of the locator
  void Found(wire::CopiesFoundT found);
  std::string WhyOwnerGone(ProcessId owner) const;
  std::string MachineLost(const NodeId& node) const;
  void LoseKept(ProcessId owner);
  void PinArgument(const ObjectId& object, uint64_t bytes, client::ObjectView view);
  bool IsOurs(ProcessId process) const { return process >> 32 == process_base_; }

  const uint32_t process_base_;
  const ClusterView& view_;
  StoreLink& store_;
  Events& events_;
  ObjectTransfer transfer_;
  ObjectLocator locator_;
  std::unordered_map<ProcessId, std::unordered_set<ObjectId>> kept_;  // for other machines' processes, by owner
  // What the scheduler wants and has not released, with its pin where it came and there was room for it.
  struct Argument {
    client::ObjectView view;
    uint64_t bytes = 0;  // pinned
  };
  std::unordered_map<ObjectId, Argument> arguments_;
  size_t pinned_arguments_ = 0;
  uint64_t pinned_argument_bytes_ = 0;
};

}  // namespace raylet
