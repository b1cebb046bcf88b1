#include "raylet/objects/watch_list.h"

#include <algorithm>
#include <utility>

namespace raylet {

void WatchList::Add(std::span<const ObjectId> objects, WatchFor reason) {
  for (const ObjectId& object : objects) {
    const auto [entry, added] = entries_.try_emplace(object);
    entry->second.reasons |= static_cast<uint8_t>(reason);
    if (added) entry->second.place = waiting_.insert(waiting_.end(), object);
  }
}

void WatchList::Remove(std::span<const ObjectId> objects, WatchFor reason) {
  for (const ObjectId& object : objects) {
    const auto entry = entries_.find(object);
    if (entry == entries_.end()) continue;
    entry->second.reasons &= static_cast<uint8_t>(~static_cast<uint8_t>(reason));
    if (entry->second.reasons != 0) continue;
    if (entry->second.state == State::kWatched) Leave(*entry);
    if (entry->second.state != State::kWaiting) continue;
    waiting_.erase(entry->second.place);
    entries_.erase(entry);
  }
}

void WatchList::Leave(Entries::value_type& entry) {
  watched_.erase(entry.second.place);
  entry.second.state = State::kLeaving;
  ++leaving_;
  unwatch_.push_back(entry.first);
}

bool WatchList::Sealed(const ObjectId& object) {
  const auto entry = entries_.find(object);
  if (entry == entries_.end()) return false;
  const bool awaited = std::exchange(entry->second.reasons, 0) != 0;
  // The notice crossed our order; the answer to the order comes.
  if (entry->second.state == State::kLeaving) return awaited;
  (entry->second.state == State::kWatched ? watched_ : waiting_).erase(entry->second.place);
  entries_.erase(entry);
  return awaited;
}

bool WatchList::SealedHere(const ObjectId& object) {
  const auto entry = entries_.find(object);
  if (entry == entries_.end()) return false;
  if (entry->second.state == State::kWatched) Leave(*entry);
  return Sealed(object);
}

void WatchList::Unwatched(std::span<const ObjectId> objects) {
  for (const ObjectId& object : objects) {
    const auto entry = entries_.find(object);
    if (entry == entries_.end() || entry->second.state != State::kLeaving) continue;
    --leaving_;
    if (entry->second.reasons == 0) {
      entries_.erase(entry);
    } else {
      entry->second.state = State::kWaiting;
      entry->second.place = waiting_.insert(waiting_.end(), object);
    }
  }
}

void WatchList::Refused(std::span<const ObjectId> objects) {
  if (objects.empty()) return;
  for (const ObjectId& object : objects) {
    const auto entry = entries_.find(object);
    if (entry == entries_.end() || entry->second.state != State::kWatched) continue;
    entry->second.state = State::kWaiting;
    waiting_.splice(waiting_.begin(), watched_, entry->second.place);
  }
  watched_max_ = std::max<size_t>(std::min(watched_max_, at_store()), 1);
}

void WatchList::Restarted() {
  for (auto entry = entries_.begin(); entry != entries_.end();) {
    const bool left = entry->second.state == State::kLeaving;
    if (left && entry->second.reasons == 0) {
      entry = entries_.erase(entry);
      continue;
    }
    if (left) entry->second.place = waiting_.insert(waiting_.end(), entry->first);
    entry->second.state = State::kWaiting;
    ++entry;
  }
  waiting_.splice(waiting_.begin(), watched_);
  leaving_ = 0;
  unwatch_.clear();
}

std::vector<ObjectId> WatchList::NextToLookFor(size_t count) {
  std::vector<ObjectId> next;
  for (count = std::min(count, waiting_.size()); count > 0; --count) {
    next.push_back(waiting_.front());
    waiting_.splice(waiting_.end(), waiting_, waiting_.begin());
  }
  return next;
}

WatchList::Orders WatchList::TakeOrders(size_t most) {
  Orders orders;
  for (; !unwatch_.empty() && most > 0; --most) {
    orders.unwatch.push_back(unwatch_.front());
    unwatch_.pop_front();
  }
  for (; !waiting_.empty() && at_store() < watched_max_ && most > 0; --most) {
    Entry& entry = entries_.at(waiting_.front());
    entry.state = State::kWatched;
    orders.watch.push_back(waiting_.front());
    watched_.splice(watched_.end(), waiting_, entry.place);
  }
  return orders;
}

}  // namespace raylet
