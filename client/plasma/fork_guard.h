// ForkGuard: remembers the process that connected. A child of fork() inherits the mappings and the
// socket, but the pins and the connection are its parent's. Using them, or running their destructors,
// would release objects that the parent still holds. Any thread.
#pragma once

#include <cstdint>

#include "base/fork_generation.h"
#include "base/result.h"

namespace raylet::client {

class ForkGuard {
 public:
  ForkGuard();  // the calling process is the owner
  // True in every child of the owner. One relaxed load.
  bool InChild() const { return ForkGeneration() != generation_; }
  // kForked, with the remedy; `socket` names the daemon.
  static tl::unexpected<Error> Refuse(const std::string& socket);

 private:
  uint64_t generation_;
};

// A socket that children of fork() must not keep open: the daemon would otherwise take this client for alive as long as
// any child lives. While registered, its number becomes /dev/null in a child. The descriptor's owner outlives this.
class ClosedInChildren {
 public:
  ClosedInChildren() = default;
  explicit ClosedInChildren(int fd);
  ClosedInChildren(ClosedInChildren&& other) noexcept;
  ClosedInChildren& operator=(ClosedInChildren&& other) noexcept;
  ~ClosedInChildren();

 private:
  int place_ = -1;  // in the table of registered descriptors; -1: none (or the table was full)
};

}  // namespace raylet::client
