// LinkUse: says that an object of this process refers to the parts of its runtime, while it lives. The first field of
// whatever may outlive Shutdown in the program's hands, so that nothing of that object touches the parts afterwards.
// Then ClusterParts knows when nobody does. Any thread.
#pragma once

#include <atomic>
#include <cstddef>

namespace raylet::client {

class LinkUses {
 public:
  // Acquire: what the last user did with the parts is done.
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
