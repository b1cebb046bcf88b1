// DeadActors: the reasons of the latest deaths of actors, for callers that come late. Owned by the ActorDirectory; the
// raylet's loop thread. Always holds: it has at most kDeadActorsMax reasons, in kDeadActorBytesMax; the oldest goes
// first.
#pragma once

#include <cstddef>
#include <deque>
#include <optional>
#include <unordered_map>

#include "fbs/ids.h"
#include "fbs/messages.h"

namespace raylet {

constexpr size_t kDeadActorsMax = 10'000;
constexpr size_t kDeadActorBytesMax = size_t{4} << 20;
constexpr size_t kDeadActorTextMax = 1'000;  // of each text of a failure: an exception's text may be long

class DeadActors {
 public:
  void Add(const ActorId& id, const wire::FailureT& failure);
  bool Contains(const ActorId& id) const { return records_.contains(id); }
  std::optional<wire::FailureT> WhyDead(const ActorId& id) const;
  size_t size() const { return order_.size(); }
  size_t bytes() const { return bytes_; }

 private:
  std::unordered_map<ActorId, Bytes> records_;  // the failure as it travels, which is its shortest form
  std::deque<ActorId> order_;                   // of records_, the oldest first
  size_t bytes_ = 0;                            // of all records_
};

}  // namespace raylet
