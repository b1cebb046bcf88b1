// RedisServer: a real redis-server in a folder of its own, on a Unix socket there. Owned by a test; killed with it.
#pragma once

#include <csignal>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "raylet/control/control_address.h"
#include "raylet/control/redis_reply.h"
#include "tests/harness/daemon_process.h"
#include "tests/harness/run_folder.h"

namespace raylet::test {

class RedisServer {
 public:
  // `more` are lines of its configuration as flags: {"--requirepass", "secret"}. Starts it, and aborts where it does
  // not.
  explicit RedisServer(std::vector<std::string> more = {});

  void Start();  // again, after Kill
  void Kill() { process_->Kill(); }
  void Stop() { process_->Signal(SIGSTOP); }
  void Continue() { process_->Signal(SIGCONT); }

  ControlAddress address() const;
  std::string socket() const { return folder_.File("redis"); }
  // A command as redis-cli would send it, with its answer.
  RedisReply Ask(const std::vector<std::string>& words) const;

 private:
  RunFolder folder_;
  std::vector<std::string> more_;
  std::optional<DaemonProcess> process_;
};

}  // namespace raylet::test
