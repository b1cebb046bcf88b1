// Door<T>: which gradients a shard of parameters takes. Beyond a Gate, a closed door lets in those that another shard
// of the layout has, so that a Resize finds each gradient in all shards or in none. What comes meanwhile waits inside.
// So no Resize depends on a worker's next call. Owned by a Shard. One thread at a time.
// Always holds: nobody waits at an open door, nor at a settled one.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <unordered_set>
#include <utility>
#include <vector>

#include <ray/api/array.h>
#include <ray/parameter_server/parameters.h>

#include "client/parameter_server/gate.h"
#include "client/parameter_server/messages.h"

namespace ray::ps::internal {

template <class T>
class Door : public Gate<Server<T>> {
  using Base = Gate<Server<T>>;

 public:
  // Its memory stays pinned meanwhile; the worker has it pinned, too.
  static constexpr size_t kWaitingMax = 1024;
  struct Waiting {
    PushArguments arguments;
    Array<T> gradient;
  };

  using Base::moved;
  void Restore(DoorState<Server<T>> state) {
    Base::Restore(std::move(state));
    settled_ = moved();
  }

  Entry Ask(uint64_t sequence) const {
    if (partial_.count(sequence) > 0) return Entry::kPartial;
    const Entry entry = Base::Ask(sequence);
    return entry == Entry::kClosed && !settled_ && admitted_.count(sequence) > 0 ? Entry::kEnters : entry;
  }
  void Took(uint64_t sequence) {
    Base::Took(sequence);
    admitted_.erase(sequence);
  }
  void Dropped(uint64_t sequence) {
    Base::Dropped(sequence);
    admitted_.erase(sequence);
  }
  // Of a gradient that was told kClosed. It stays here as long as it might be let in after all. The next Resize waits
  // for those alone that somebody sends again for certain.
  void Refuse(const PushArguments& arguments, const Array<T>& gradient) {
    if (moved()) return;
    if (arguments.waits) Base::Refuse(arguments.sequence);
    const auto same = [&](const Waiting& one) { return one.arguments.sequence == arguments.sequence; };
    if (!settled_ && waiting_.size() < kWaitingMax && std::none_of(waiting_.begin(), waiting_.end(), same))
      waiting_.push_back({arguments, gradient});
  }

  // ---- a Resize, in this order; Open at any time before Move

  void Close(uint64_t resize) {
    Base::Close(resize);
    settled_ = false;
  }
  // Other shards have these. Returns those of them that wait here, in the order in which they came: they are taken now.
  std::vector<Waiting> Admit(const std::vector<uint64_t>& sequences) {
    for (const uint64_t sequence : sequences)
      if (!Base::Answered(sequence)) admitted_.insert(sequence);
    const auto stays = [&](const Waiting& one) { return admitted_.count(one.arguments.sequence) == 0; };
    const auto first = std::stable_partition(waiting_.begin(), waiting_.end(), stays);
    std::vector<Waiting> enter(std::make_move_iterator(first), std::make_move_iterator(waiting_.end()));
    waiting_.erase(first, waiting_.end());
    return enter;
  }
  size_t missing() const { return admitted_.size(); }  // that others have, and this shard has not
  void Settle() {                                      // nothing enters from now on
    settled_ = true;
    admitted_.clear();
    waiting_.clear();
  }
  void Open() {
    Base::Open();
    admitted_.clear();
    waiting_.clear();
    settled_ = false;
  }
  std::vector<uint64_t> Move(const Server<T>& to) {
    Settle();
    return Base::Move(to);
  }

  // Gradients that only some of the shards before had.
  void set_partial(const std::vector<uint64_t>& sequences) { partial_ = {sequences.begin(), sequences.end()}; }

 private:
  std::unordered_set<uint64_t> partial_;
  // While the door is closed:
  std::unordered_set<uint64_t> admitted_;  // neither recent nor dropped
  std::vector<Waiting> waiting_;           // in the order in which they came
  bool settled_ = false;
};

}  // namespace ray::ps::internal
