#include "tests/harness/stop_process.h"

#include <signal.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "base/strings.h"
#include "tests/harness/daemon_process.h"

namespace raylet::test {
namespace {

// A thread that has ended stands still, too.
bool AllThreadsStand(pid_t pid) {
  std::error_code gone;
  std::filesystem::directory_iterator thread(StrCat("/proc/", pid, "/task"), gone);
  for (; !gone && thread != std::filesystem::directory_iterator(); thread.increment(gone)) {
    std::ifstream file(thread->path() / "stat");
    const std::string stat{std::istreambuf_iterator<char>(file), {}};
    const size_t name_end = stat.rfind(") ");
    if (name_end == std::string::npos) continue;
    const char state = stat[name_end + 2];
    if (state != 'T' && state != 'Z' && state != 'X') return false;
  }
  return true;
}

}  // namespace

bool StopProcess(pid_t pid) {
  if (::kill(pid, SIGSTOP) != 0) return false;
  return Eventually(std::chrono::seconds(20), [pid] { return AllThreadsStand(pid); }) && ::kill(pid, 0) == 0;
}

}  // namespace raylet::test
