// The kernel's knowledge of other processes: whether they run, their programs, their descriptors of shared memory.
// Any thread. What it returns was true at one moment.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>

#include "base/shm_segment.h"

namespace raylet::objstat {

struct ProcessInfo {
  bool alive = false;
  bool stopped = false;  // by SIGSTOP or a debugger
  std::string program;   // the file's name; empty: it has ended, or belongs to another user
};
ProcessInfo LookAtProcess(pid_t pid);

// The memfds that a process has open: paths in /proc by the memfd's name. Empty for another user's process.
using Memfds = std::unordered_multimap<std::string, std::string>;
Memfds MemfdsOf(pid_t pid);

// The pin page of `client`, mapped read-only, if exactly one of the memfds can be it.
std::optional<Mapping> FindPinPage(const Memfds& memfds, uint32_t client);

// The path of the arena, if exactly one of the memfds can be it.
std::optional<std::string> FindArena(const Memfds& memfds, uint64_t arena_bytes);

// How many descriptors the process has open, and how many it may have.
struct DescriptorUse {
  uint64_t open = 0, most = 0;
};
std::optional<DescriptorUse> DescriptorsOf(pid_t pid);

}  // namespace raylet::objstat
