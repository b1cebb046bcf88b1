// DaemonProcess: one real program started by a test, with its output kept. Owned by the test; its destructor kills (-9)
// and reaps a program that still runs. A daemon of ours also gets a lifeline, so that it ends with the test program
// however that dies. One thread at a time.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "base/unique_fd.h"

namespace raylet::test {

// A program of the build tree by its name: $RAYLET_BIN_DIR/name, or where that is not set, ../bin/name beside this
// program's folder.
std::string ProgramPath(const std::string& name);

// How a process ended.
struct ProcessEnd {
  int exit_code = -1;  // -1 when a signal ended it
  int signal = 0;      // 0 when it exited
};

struct ProcessOptions {
  // Gives the program "--ready-fd N", and Start returns once it wrote its byte.
  bool ready_fd = true;
  // Gives the program "--lifeline-fd N", whose other end lives in the test.
  bool lifeline_fd = true;
  Duration ready_timeout = std::chrono::seconds(20);
  // On top of the test's own. XDG_CONFIG_HOME is a folder of the test: no test writes into the real
  // home.
  std::vector<std::pair<std::string, std::string>> environment;
  std::string folder;                 // where it runs; the test's own if empty
  uint64_t descriptors_max = 0;       // RLIMIT_NOFILE; 0 leaves it alone
  bool bound_by_permissions = false;  // of files and folders, though root started it
  int network = -1;                   // a descriptor of its network namespace; -1: the test's own
};

class DaemonProcess {
 public:
  // `program` is a path, or a name of the build tree. kIo: it cannot be started. kNotRunning: it ended
  // before it was ready; the message has its output. kTimedOut: it was not ready in time.
  static Result<DaemonProcess> Start(const std::string& program, std::vector<std::string> arguments,
                                     const ProcessOptions& options = {});
  // A program without the daemons' flags.
  static Result<DaemonProcess> StartPlain(const std::string& program, std::vector<std::string> arguments,
                                          ProcessOptions options = {});
  DaemonProcess(DaemonProcess&& other) noexcept;
  DaemonProcess& operator=(DaemonProcess&& other) noexcept;
  ~DaemonProcess();

  pid_t pid() const { return pid_; }
  // A plasma_store is a keeper and a server. The server, or the process itself where it has none.
  pid_t server_pid() const;
  bool Running();
  // To a plasma_store's keeper; SIGSTOP, SIGCONT and SIGKILL go to its server, too.
  void Signal(int signal) const;
  void CloseLifeline() { lifeline_.Reset(); }
  // How it ended, or nothing at the deadline.
  std::optional<ProcessEnd> Wait(Deadline deadline);
  // SIGKILL and reap. Of a plasma_store both processes, so that nothing is left of it.
  void Kill();
  // SIGTERM and wait; kTimedOut after `timeout`.
  Result<ProcessEnd> Terminate(Duration timeout = std::chrono::seconds(30));
  // What it wrote to stdout and stderr so far.
  std::string Output() const;

  // User and system time so far, from /proc. Of a plasma_store this and the rest are its server's.
  Duration CpuTime() const;
  uint64_t ResidentBytes() const;
  uint64_t PrivateBytes() const;  // resident, without the memory that it shares or maps from files
  int OpenDescriptors() const;

 private:
  DaemonProcess() = default;

  pid_t pid_ = -1;
  bool is_store_ = false;
  std::optional<ProcessEnd> end_;  // set once reaped
  UniqueFd output_;
  UniqueFd lifeline_;
};

// Processes whose environment has this text in it, such as a folder that their ancestor was told of.
std::vector<pid_t> ProcessesWith(const std::string& text);

// Polls `condition` every millisecond until it holds; false at the deadline. For conditions that no descriptor
// announces.
template <class Condition>
bool Eventually(Duration timeout, Condition condition) {
  const Deadline deadline = Deadline::After(timeout);
  while (!condition()) {
    if (deadline.Passed()) return condition();
    const timespec pause{0, 1'000'000};
    ::nanosleep(&pause, nullptr);
  }
  return true;
}

}  // namespace raylet::test
