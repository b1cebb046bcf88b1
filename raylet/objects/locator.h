// ObjectLocator: the owner's side of objects that travel. Other raylets locate the objects that this machine's
// processes own, and report their copies. The locator answers them. A core: each event leaves its messages for
// TakeMessages, one for each node and kind however many objects they name. Owned by ObjectManager; the raylet's loop
// thread.
// Always holds: a raylet that locates an object without a copy is answered again exactly once: at its first copy, or
// when it is lost.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "fbs/ids.h"
#include "fbs/peer_object_generated.h"
#include "raylet/objects/directory.h"
#include "raylet/objects/freed_objects.h"

namespace raylet {

class ObjectLocator {
 public:
  // The state of this machine.
  class Machine {
   public:
    virtual ~Machine() = default;
    virtual std::optional<uint64_t> SealedBytes(const ObjectId& object) const = 0;  // data and metadata
    virtual bool IsLost(const ObjectId& object) const = 0;                          // its bytes, on this machine
    virtual bool OwnerLives(ProcessId owner) const = 0;                             // of this machine
    virtual bool IsKept(const ObjectId& object) const = 0;                          // although its owner has ended
  };
  struct Messages {
    std::map<NodeId, wire::LocatedNoticeT> located;
    std::map<NodeId, wire::FreeCopiesNoticeT> free;
    std::vector<ObjectId> watch;    // SealedHere is wanted of these
    std::vector<ObjectId> unwatch;  // and no longer of these
  };

  // `machine` outlives it.
  ObjectLocator(const NodeId& own, const Machine& machine) : own_(own), machine_(machine) {}

  // ---- messages of other raylets
  void OnLocate(const NodeId& from, const wire::LocateRequestT& request);
  void LocatedNoLonger(const NodeId& node, const ObjectId& object);
  void OnCopiesSealed(const NodeId& node, const wire::CopiesSealedNoticeT& notice);
  void SealedElsewhere(const NodeId& node, const ObjectId& object, uint64_t bytes);  // 0: not known
  void OnCopiesDropped(const NodeId& node, const wire::CopiesDroppedNoticeT& notice);
  // ---- events of this machine
  void SealedHere(const ObjectId& object);
  void Freed(std::span<const ObjectId> objects);  // their owners refer to them no more
  // The owner's objects that have no copy will never be made. The others stay until they are freed. This looks at
  // `most` of its objects at most, from the first one after `after` on, and returns the last one. Nothing: that is all.
  std::optional<ObjectId> OwnerGone(ProcessId owner, const ObjectId& after = {}, size_t most = SIZE_MAX);
  // A raylet that locates an object whose last copy was there hears from now on that it is lost.
  void MachineLost(const NodeId& node);
  // Looks through the objects for those that are lost with machines that have gone, and on until it has seen `most`.
  // Returns them, with their machines. Raylets that wait for one hear of it. Call it while `loses`.
  std::vector<std::pair<ObjectId, NodeId>> LoseSome(size_t most);
  bool loses() const { return directory_.forgets(); }

  Messages TakeMessages();
  const ObjectDirectory& directory() const { return directory_; }

 private:
  void Answer(const NodeId& node, const ObjectId& object);
  bool IsFreed(const ObjectId& object) const;
  std::vector<NodeId> TakeLocating(const ObjectId& object);

  const NodeId own_;
  const Machine& machine_;
  ObjectDirectory directory_;
  FreedObjects freed_;
  Messages messages_;
};

}  // namespace raylet
