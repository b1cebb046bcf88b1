// ForkGeneration: how many forks lie between the start of this program and this process. An object that remembers the
// generation can tell a child of fork() from its parent, without a system call or a lock. Any thread.
#pragma once

#include <atomic>
#include <cstdint>

namespace raylet {

namespace fork_internal {
// Written only in a child, before fork() returns there.
extern std::atomic<uint64_t> generation;
}  // namespace fork_internal

// Starts to count forks. Call it before anything remembers the generation; more than once does no harm.
void CountForks();

// One relaxed load.
inline uint64_t ForkGeneration() { return fork_internal::generation.load(std::memory_order_relaxed); }

}  // namespace raylet
