// Door<T>: which gradients a shard takes. Each counts once. A closed door lets in those alone that another shard of the
// layout has, so that a Resize finds each gradient in all shards or in none. What comes meanwhile waits inside. So no
// Resize depends on a worker's next call. Owned by a Shard. One thread at a time.
// Always holds: a moved door is closed, and never opens. Nobody waits at an open door, nor at a settled one.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <unordered_set>
#include <utility>
#include <vector>

#include <ray/api/array.h>
#include <ray/parameter_server/parameters.h>

#include "client/parameter_server/messages.h"
#include "client/parameter_server/recent.h"

namespace ray::ps::internal {

enum class Entry {
  kEnters,   // it is new: the policy decides about it
  kKnown,    // it counts here already
  kPartial,  // it counts in some shards of an older layout, and its worker was too late with the rest
  kClosed,   // its worker asks where the parameters are, and sends it again
};

template <class T>
class Door {
 public:
  // Its memory stays pinned meanwhile; the worker has it pinned, too.
  static constexpr size_t kWaitingMax = 1024;
  struct Waiting {
    PushArguments arguments;
    Array<T> gradient;
  };

  const DoorState<T>& state() const { return state_; }
  bool closed() const { return state_.closed; }
  bool moved() const { return !state_.moved.empty(); }
  // Of the process before this one.
  void Restore(DoorState<T> state) {
    state_ = std::move(state);
    settled_ = moved();
  }

  Entry Ask(uint64_t sequence) const {
    if (partial_.count(sequence) > 0) return Entry::kPartial;
    if (recent_.Has(sequence)) return Entry::kKnown;
    return closed() && (settled_ || admitted_.count(sequence) == 0) ? Entry::kClosed : Entry::kEnters;
  }
  void Took(uint64_t sequence) {
    recent_.Add(sequence);
    admitted_.erase(sequence);
  }
  void Dropped(uint64_t sequence) {
    dropped_.Add(sequence);
    admitted_.erase(sequence);
  }
  // Of a gradient that was told kClosed. It stays here as long as it might be let in after all. The next Resize waits
  // for those alone that somebody sends again for certain.
  void Refuse(const PushArguments& arguments, const Array<T>& gradient) {
    if (moved()) return;
    if (arguments.waits) refused_.Add(arguments.sequence);
    const auto same = [&](const Waiting& one) { return one.arguments.sequence == arguments.sequence; };
    if (!settled_ && waiting_.size() < kWaitingMax && std::none_of(waiting_.begin(), waiting_.end(), same))
      waiting_.push_back({arguments, gradient});
  }

  // ---- a Resize, in this order; Open at any time before Move

  void Close(uint64_t resize) {
    state_.closed = true;
    state_.resize = resize;
    settled_ = false;
  }
  // Other shards have these. Returns those of them that wait here, in the order in which they came: they are taken now.
  std::vector<Waiting> Admit(const std::vector<uint64_t>& sequences) {
    for (const uint64_t sequence : sequences)
      if (!Answered(sequence)) admitted_.insert(sequence);
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
    state_ = {};
    admitted_.clear();
    waiting_.clear();
    refused_ = {};
    settled_ = false;
  }
  // Returns what it has refused, and whose workers wait: they send it to the new layout. A home that moved before has
  // refused nothing since.
  std::vector<uint64_t> Move(const Server<T>& to) {
    if (moved() && state_.moved[0].epoch < to.epoch) refused_ = {};
    state_ = {true, {to}, 0};
    Settle();
    return refused_.all();
  }
  // How many of these this shard has not answered yet.
  size_t Lacks(const std::vector<uint64_t>& sequences) const {
    return static_cast<size_t>(
        std::count_if(sequences.begin(), sequences.end(), [&](uint64_t sequence) { return !Answered(sequence); }));
  }

  const RecentSequences& recent() const { return recent_; }
  void set_recent(RecentSequences recent) { recent_ = std::move(recent); }
  // Gradients that only some of the shards before had.
  void set_partial(const std::vector<uint64_t>& sequences) { partial_ = {sequences.begin(), sequences.end()}; }

 private:
  bool Answered(uint64_t sequence) const { return recent_.Has(sequence) || dropped_.Has(sequence); }

  DoorState<T> state_;
  RecentSequences recent_;   // that count here
  RecentSequences dropped_;  // that came too late for their round
  std::unordered_set<uint64_t> partial_;
  // While the door is closed:
  std::unordered_set<uint64_t> admitted_;  // neither recent nor dropped
  std::vector<Waiting> waiting_;           // in the order in which they came
  RecentSequences refused_;                // whose workers wait
  bool settled_ = false;
};

}  // namespace ray::ps::internal
