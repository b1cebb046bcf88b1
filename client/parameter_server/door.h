// Door<T>: whether a shard takes gradients. It is open, or closed for a Resize, or the parameters have moved to other
// shards. Owned by a Shard. One thread at a time. Always holds: a closed door lets in those gradients alone that
// another shard had before it closed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <unordered_set>
#include <utility>
#include <vector>

#include <ray/api/msgpack.h>
#include <ray/parameter_server/parameters.h>

#include "client/parameter_server/recent.h"

namespace ray::ps::internal {

// What outlives the shard's process, where shards start again.
template <class T>
struct DoorState {
  bool closed = false;
  std::vector<Server<T>> moved;  // none, or the server with the shards that have the parameters now
  MSGPACK_DEFINE(closed, moved)
};

template <class T>
class Door {
 public:
  const DoorState<T>& state() const { return state_; }
  void set_state(DoorState<T> state) {
    state_ = std::move(state);
    admitted_.clear();
  }
  bool closed() const { return state_.closed; }
  bool moved() const { return !state_.moved.empty(); }
  bool LetsIn(uint64_t sequence) const { return !closed() || (!moved() && admitted_.count(sequence) > 0); }
  // Other shards have these gradients. Returns how many of them this shard lacks.
  size_t Admit(const std::vector<uint64_t>& sequences, const RecentSequences& recent) {
    admitted_.clear();
    for (const uint64_t sequence : sequences)
      if (!recent.Has(sequence)) admitted_.insert(sequence);
    return admitted_.size();
  }
  // Gradients that only some of the shards before had: their workers were too late with the rest.
  void set_partial(const std::vector<uint64_t>& sequences) { partial_ = {sequences.begin(), sequences.end()}; }
  bool IsPartial(uint64_t sequence) const { return partial_.count(sequence) > 0; }

 private:
  DoorState<T> state_;
  std::unordered_set<uint64_t> admitted_;
  std::unordered_set<uint64_t> partial_;
};

}  // namespace ray::ps::internal
