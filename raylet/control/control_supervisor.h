// ControlSupervisor: the redis-server of a cluster's control store. `raylet --head` starts it with redis.conf in a
// folder of its own (mode 0700). It starts again when it dies, and stops with the raylet. Owned by main; the raylet's
// loop thread only. The folder keeps Redis's file from one start to the next.
// Always holds: the redis-server ends with the raylet, however the raylet ends: the kernel sends it SIGTERM.
#pragma once

#include <chrono>
#include <functional>
#include <string>

#include "base/clock.h"
#include "base/loop.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "raylet/control/control_address.h"

namespace raylet {

struct ControlSupervisorOptions {
  std::string folder;                            // absolute; created where it is missing
  std::string host = "127.0.0.1";                // numeric: where other machines reach it; the loopback is served too
  uint16_t port = kRedisPort;                    // 0: any free port
  std::string password;                          // of its one user; not empty
  std::string program = "redis-server";          // a path, or a name to look for in PATH
  std::chrono::milliseconds restart_first{100};  // the pause between starts; doubled while it dies at once, up to
  std::chrono::milliseconds restart_max{2'000};
  std::chrono::milliseconds stop_grace{5'000};
  std::chrono::milliseconds port_patience{2'000};  // for the redis-server of a raylet that was just killed
};

class ControlSupervisor {
 public:
  ControlSupervisor(Loop& loop, ControlSupervisorOptions options);
  ~ControlSupervisor();  // kills the redis-server, unless Stop has ended it

  // Writes its files and starts it. kNotRunning, with the package to install, where there is no
  // redis-server. kAlreadyExists where another process listens on its port. Waits for a port that
  // an earlier start in this folder may still have.
  Result<void> Start();
  // While `on_ended` is set, it hears of the redis-server's end, with the server's last words. Nothing starts the
  // server again meanwhile, since a redis-server that has never served would end again and again.
  void SetOnEnded(std::function<void(const Error&)> on_ended) { on_ended_ = std::move(on_ended); }
  void Stop(std::function<void()> stopped);

  const ControlAddress& address() const { return address_; }  // with user and password
  bool is_new() const { return is_new_; }                     // the folder held no data
  pid_t pid() const { return pid_; }                          // 0: it is not running now
  uint32_t restarts() const { return restarts_; }
  std::string LastWords() const;  // the last lines of its log, without the password

 private:
  Result<void> Prepare();
  Result<void> CheckPassword() const;
  Result<void> CheckPort(const std::string& host) const;
  Result<void> Launch();
  void Ended();

  Loop& loop_;
  ControlSupervisorOptions options_;
  ControlAddress address_;
  std::string config_path_, log_path_;
  bool is_new_ = false;
  pid_t pid_ = 0;
  UniqueFd pid_fd_;
  FdWatcher ended_;  // after pid_fd_
  Timer restart_;
  Timer kill_;
  TimePoint started_{};
  std::chrono::milliseconds restart_wait_{};
  uint32_t restarts_ = 0;
  bool stopping_ = false;
  std::function<void()> stopped_;
  std::function<void(const Error&)> on_ended_;
};

}  // namespace raylet
