// Sleeps: whether another thread of the test waits. Any thread.
#pragma once

#include <sys/types.h>

#include <fstream>
#include <iterator>
#include <string>

namespace raylet::test {

// `thread`: a number of gettid, of this process.
inline bool Sleeps(pid_t thread) {
  std::ifstream file("/proc/self/task/" + std::to_string(thread) + "/stat");
  const std::string stat{std::istreambuf_iterator<char>(file), {}};
  const size_t name_end = stat.rfind(") ");
  return name_end != std::string::npos && stat[name_end + 2] == 'S';
}

}  // namespace raylet::test
