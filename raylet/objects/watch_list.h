// WatchList: the objects that the raylet watches in its store, and the reasons. A core: the raylet's loop thread;
// StoreLink carries its orders out.
// Always holds: the store watches at most `watched_max` objects, those of unanswered orders included. The others wait
// in a queue for a place at the store. Meanwhile the raylet looks for them in the store's index, in turn, so that no
// object waits behind others that are never sealed. An object is in here iff it has a reason, or the store has not
// confirmed yet that it stopped. The queue needs no bound of its own: tasks, pulls and the located objects of other
// machines are bounded.
#pragma once

#include <cstdint>
#include <deque>
#include <list>
#include <span>
#include <vector>

#include "base/spread_map.h"
#include "fbs/ids.h"

namespace raylet {

enum class WatchFor : uint8_t {
  kTask = 1,    // a task waits for it
  kPull = 2,    // a process or the scheduler wants it
  kLocate = 4,  // a machine locates it
  kWait = 8,    // a process waits for it in ray::Wait
};

class WatchList {
 public:
  struct Orders {
    std::vector<ObjectId> watch, unwatch;
  };

  explicit WatchList(size_t watched_max) : watched_max_(watched_max) {}

  void Add(std::span<const ObjectId> objects, WatchFor reason);
  void Remove(std::span<const ObjectId> objects, WatchFor reason);
  // ---- events of the store
  bool Sealed(const ObjectId& object);  // true: somebody waits for it
  // The same where the raylet itself knows it. The store, which may have evicted it since, ends its watch on order.
  bool SealedHere(const ObjectId& object);
  void Unwatched(std::span<const ObjectId> objects);
  // The store has no room for these. The list orders fewer from now on.
  void Refused(std::span<const ObjectId> objects);
  // The store watches nothing any more: all wait for their turn again.
  void Restarted();

  // Up to `count` of the objects that wait for a place, to be looked for. Each gets its turn.
  std::vector<ObjectId> NextToLookFor(size_t count);
  // Names at most `most` objects. The others stay for later orders.
  Orders TakeOrders(size_t most);
  size_t objects() const { return entries_.size(); }
  size_t waiting() const { return waiting_.size(); }
  size_t at_store() const { return watched_.size() + leaving_; }

 private:
  enum class State : uint8_t { kWaiting, kWatched, kLeaving };
  struct Entry {
    uint8_t reasons = 0;
    State state = State::kWaiting;
    std::list<ObjectId>::iterator place;  // in waiting_ or watched_; in neither while kLeaving
  };
  using Entries = SpreadMap<ObjectId, Entry>;
  void Leave(Entries::value_type& entry);

  size_t watched_max_;
  Entries entries_;
  std::list<ObjectId> waiting_;
  std::list<ObjectId> watched_;
  size_t leaving_ = 0;
  std::deque<ObjectId> unwatch_;  // for the next orders
};

}  // namespace raylet
