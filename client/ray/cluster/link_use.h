// LinkUse: counts one object that refers to the parts of its runtime, for as long as it lives. It is the first field,
// destroyed last, of every object that may outlive Shutdown in the program's hands. So ClusterParts knows when no
// object can touch the parts any more. Any thread.
#pragma once

#include <atomic>
#include <cstddef>

namespace raylet::client {

class LinkUses {
 public:
  // Acquire: the last user's work with the parts is visible.
  bool Any() const { return count_.load(std::memory_order_acquire) != 0; }

 private:
  friend class LinkUse;
  std::atomic<size_t> count_{0};
};

class LinkUse {
 public:
  explicit LinkUse(LinkUses& uses) : uses_(uses) { uses_.count_.fetch_add(1, std::memory_order_relaxed); }
  ~LinkUse() { uses_.count_.fetch_sub(1, std::memory_order_release); }
  LinkUse(const LinkUse&) = delete;
  LinkUse& operator=(const LinkUse&) = delete;

 private:
  LinkUses& uses_;
};

}  // namespace raylet::client
