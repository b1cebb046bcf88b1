// Gate<S>: whether a shard of the server S takes changes, and which ones it has. Each counts once. A closed gate lets
// in nothing that is new. Owned by a shard's actor. One thread at a time. Always holds: a moved gate is closed, and
// never opens.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "client/parameter_server/messages.h"
#include "client/parameter_server/recent.h"

namespace ray::ps::internal {

enum class Entry {
  kEnters,   // it is new: the shard decides about it
  kKnown,    // it counts here already
  kPartial,  // it counts in some shards of an older layout, and its worker was too late with the rest
  kClosed,   // its worker asks where the shard's content is, and sends it again
};

template <class S>
class Gate {
 public:
  const DoorState<S>& state() const { return state_; }
  bool closed() const { return state_.closed; }
  bool moved() const { return !state_.moved.empty(); }
  // Of the process before this one.
  void Restore(DoorState<S> state) { state_ = std::move(state); }

  // `from`: the changes of earlier layouts whose parts this one is. Where one of them counted there, this one does.
  Entry Ask(uint64_t sequence, const std::vector<uint64_t>& from = {}) const {
    const auto has = [&](uint64_t one) { return recent_.Has(one); };
    if (has(sequence) || std::any_of(from.begin(), from.end(), has)) return Entry::kKnown;
    return closed() ? Entry::kClosed : Entry::kEnters;
  }
  void Took(uint64_t sequence) { recent_.Add(sequence); }
  // It does not count here, and nobody waits for it any longer.
  void Dropped(uint64_t sequence) { dropped_.Add(sequence); }
  // Of a change that was told kClosed, and that somebody sends again for certain. The next Resize waits for it.
  void Refuse(uint64_t sequence) {
    if (!moved()) refused_.Add(sequence);
  }

  // ---- a Resize: Close, then Open or Move

  void Close(uint64_t resize) {
    state_.closed = true;
    state_.resize = resize;
  }
  // Whether Open follows: where this Resize has closed it; 0: whichever.
  bool OpensFor(uint64_t resize) const { return !moved() && closed() && (resize == 0 || resize == state_.resize); }
  void Open() {
    state_ = {};
    refused_ = {};
  }
  // Returns what it has refused, and whose workers wait: they send it to the new layout. A home that moved before has
  // refused nothing since.
  std::vector<uint64_t> Move(const S& to) {
    if (moved() && state_.moved[0].epoch < to.epoch) refused_ = {};
    state_ = {true, {to}, 0};
    return refused_.all();
  }
  // How many of these this shard has not answered yet.
  size_t Lacks(const std::vector<uint64_t>& sequences) const {
    return static_cast<size_t>(
        std::count_if(sequences.begin(), sequences.end(), [&](uint64_t sequence) { return !Answered(sequence); }));
  }

  const RecentSequences& recent() const { return recent_; }
  void set_recent(RecentSequences recent) { recent_ = std::move(recent); }

 protected:
  bool Answered(uint64_t sequence) const { return recent_.Has(sequence) || dropped_.Has(sequence); }

 private:
  DoorState<S> state_;
  RecentSequences recent_;   // that count here
  RecentSequences dropped_;  // that came too late, or of which other shards have all
  RecentSequences refused_;  // while it is closed: whose workers wait
};

}  // namespace ray::ps::internal
