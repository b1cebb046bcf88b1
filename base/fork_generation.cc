#include "base/fork_generation.h"

#include <pthread.h>

namespace raylet {

namespace fork_internal {
std::atomic<uint64_t> generation{0};
}  // namespace fork_internal

void CountForks() {
  [[maybe_unused]] static const int registered =
      ::pthread_atfork(nullptr, nullptr, [] { fork_internal::generation.fetch_add(1, std::memory_order_relaxed); });
}

}  // namespace raylet
