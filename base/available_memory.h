// How much memory the kernel can still give this process. Any thread.
#pragma once

#include <cstddef>
#include <string>

namespace raylet {

// As AvailableMemoryBytes() of shm_segment.h, but reads /proc and /sys below `root`, so that a test can lay out its own
// machine. Returns the smallest of MemAvailable and the rest of each memory cgroup (v2 or v1) above this process. File
// cache that a cgroup can reclaim does not count as used.
size_t AvailableMemoryBytesBelow(const std::string& root);

}  // namespace raylet
