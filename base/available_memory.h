// How much memory the kernel would still give this process. Any thread.
#pragma once

#include <cstddef>
#include <string>

namespace raylet {

// As AvailableMemoryBytes() of shm_segment.h, with /proc and /sys looked up below `root`, so that a test can lay out a
// machine of its own: the smaller of MemAvailable and of what each memory cgroup (v2 or v1) above us leaves. A
// cgroup's file cache that it would give up first does not count as used.
size_t AvailableMemoryBytesBelow(const std::string& root);

}  // namespace raylet
