// MachineLosses: lost machines that a PullQueue has still to look through its objects for, and the objects that are
// lost with them. Both take several turns of the loop. A core; owned by the PullQueue. Always holds: an object that is
// wanted anew after a loss is not lost with it.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "base/result.h"
#include "fbs/ids.h"

namespace raylet {

class MachineLosses {
 public:
  struct Loss {
    NodeId node;
    MachineNumber machine = kNoMachine;  // its processes own no object
    Error why;
    uint64_t wanted_before = 0;  // the sequence of the first object that is wanted after the loss

    bool Takes(const ObjectId& object, uint64_t sequence) const {
      return machine != kNoMachine && MachineOf(OwnerOf(object)) == machine && sequence < wanted_before;
    }
  };

  // The objects lie in `parts`. The queue looks through one after the other.
  explicit MachineLosses(size_t parts) : parts_(parts) {}

  void Add(Loss loss) { open_.push_back({std::move(loss), 0, {}}); }
  // While it is true, the queue may still know copies on a lost machine.
  bool looks() const { return !open_.empty() && open_.back().next_part < parts_; }
  // Hands the next part and its loss to `look`, which returns the objects that are lost. Call it while `looks`.
  template <class Look>
  void LookThroughNext(const Look& look) {
    auto open = open_.begin();
    while (open->next_part == parts_) ++open;
    const std::vector<ObjectId> lost = look(open->loss, open->next_part++);
    open->lost.insert(open->lost.end(), lost.begin(), lost.end());
  }

  // The next lost object, and its loss, which stays valid until the next call.
  std::optional<std::pair<ObjectId, const Loss*>> TakeLost();
  // The loss with which the object is lost, though its turn has not come. Null: none.
  const Loss* Of(const ObjectId& object, uint64_t sequence) const;
  bool empty() const { return open_.empty(); }

 private:
  struct Open {
    Loss loss;
    size_t next_part = 0;
    std::vector<ObjectId> lost;  // found in the parts before
  };
  size_t parts_;
  std::deque<Open> open_;
};

}  // namespace raylet
