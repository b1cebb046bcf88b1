// EvictionPolicy: the order of eviction, least recently used first. Pure; loop thread only.
// Always holds: an entry is in here iff its object is sealed and not owned.
#pragma once

#include <cstdint>
#include <list>
#include <unordered_map>

namespace raylet::store {

class EvictionPolicy {
 public:
  // Makes the entry the most recently used one; adds it if it is new.
  void Add(uint32_t entry) {
    Remove(entry);
    order_.push_back(entry);
    where_[entry] = std::prev(order_.end());
  }
  // As Add, but only for an entry that is in here. A late touch of an object that has gone does
  // nothing.
  void Touch(uint32_t entry) {
    if (const auto it = where_.find(entry); it != where_.end()) order_.splice(order_.end(), order_, it->second);
  }
  void Remove(uint32_t entry) {
    if (const auto it = where_.find(entry); it != where_.end()) {
      order_.erase(it->second);
      where_.erase(it);
    }
  }
  const std::list<uint32_t>& OldestFirst() const { return order_; }

 private:
  std::list<uint32_t> order_;  // least recently used first
  std::unordered_map<uint32_t, std::list<uint32_t>::iterator> where_;
};

}  // namespace raylet::store
