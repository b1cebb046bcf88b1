// ObjectLocator: the owner's side of objects that travel: what the raylets of other machines ask and tell about objects
// that this machine's processes own, and what they are answered. Pure; owned by the raylet, its loop's thread. Each
// event leaves its messages for TakeMessages, one for each node and kind however many objects they name.
// Always holds: whoever asked for an object without a copy is answered again exactly once: at its first copy, or when
// there will be none.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

#include "fbs/ids.h"
#include "fbs/peer_object_generated.h"
#include "raylet/objects/directory.h"

namespace raylet {

class ObjectLocator {
 public:
  // What this machine sees by itself.
  class Machine {
   public:
    virtual ~Machine() = default;
    virtual std::optional<uint64_t> SealedBytes(const ObjectId& object) const = 0;  // data and metadata
    virtual bool OwnerLives(ProcessId owner) const = 0;                             // of this machine
  };
  struct Messages {
    std::map<NodeId, wire::CopiesFoundT> found;
    std::map<NodeId, wire::FreeCopiesNoticeT> free;
    std::vector<ObjectId> watch;  // tell SealedHere once these are sealed
  };

  // `machine` outlives it.
  ObjectLocator(const NodeId& own, const Machine& machine) : own_(own), machine_(machine) {}

  // ---- what another raylet says
  void OnLocate(const NodeId& asker, const wire::LocateRequestT& request);
  void OnAdded(const NodeId& node, const wire::CopiesAddedNoticeT& notice);
  void Added(const NodeId& node, const ObjectId& object, uint64_t bytes);  // 0: not known
  void OnDropped(const NodeId& node, const wire::CopiesDroppedNoticeT& notice);
  // ---- what happens here
  void SealedHere(const ObjectId& object);
  void Freed(std::span<const ObjectId> objects);  // their owners let them go
  void OwnerGone(ProcessId owner);
  // Returns the objects whose last copy was there: whoever asks for one from now on hears that there is none.
  std::vector<ObjectId> NodeGone(const NodeId& node);

  Messages TakeMessages() { return std::exchange(messages_, {}); }
  const ObjectDirectory& directory() const { return directory_; }
  uint64_t BytesElsewhere(const ObjectId& object) const;  // of a copy on another machine; 0: none, or not known

 private:
  void Answer(const NodeId& asker, const ObjectId& object);
  void LoseDoubted(const NodeId& node, std::vector<ObjectId>& gone);

  const NodeId own_;
  const Machine& machine_;
  ObjectDirectory directory_;
  std::unordered_map<ObjectId, uint64_t> bytes_;  // of objects in the directory, where somebody has said
  std::unordered_map<ObjectId, NodeId> lost_;     // the last copy went with this machine; until its owner lets it go
  // The last copy was there, and somebody did not find it: it is lost when that machine is. Who asks learns that a
  // machine has gone before this one does, now and then.
  std::unordered_map<ObjectId, NodeId> doubted_;
  Messages messages_;
};

}  // namespace raylet
