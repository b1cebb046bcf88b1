// AwaitFile: a task of a test that goes on when the test says so. Any thread.
#pragma once

#include <time.h>
#include <unistd.h>

#include <chrono>
#include <stdexcept>
#include <string>

namespace raylet::test {

// Returns once there is a file `path`. Throws after a minute, so that a test that forgot it ends.
inline void AwaitFile(const std::string& path) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::minutes(1);
  while (::access(path.c_str(), F_OK) != 0) {
    if (std::chrono::steady_clock::now() > end) throw std::runtime_error("nobody made the file " + path);
    const timespec pause{0, 1'000'000};
    ::nanosleep(&pause, nullptr);
  }
}

}  // namespace raylet::test
