// PrivateDaemons: the plasma_store and the raylet of one program, in a run folder of their own
// (0700). Owned by the program's runtime. They end with it: by Stop, or by their lifelines when the
// program dies, kill -9 included.
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>
#include <vector>

#include <ray/api/ray_config.h>

#include "base/unique_fd.h"
#include "client/plasma/fork_guard.h"

namespace raylet::client {

class PrivateDaemons {
 public:
  // Throws RayException: what was looked for and where, or what the daemon said before it ended.
  static std::unique_ptr<PrivateDaemons> Start(const ray::RayConfig& config);
  ~PrivateDaemons();  // stops them and removes the folder

  const std::string& raylet_socket() const { return raylet_socket_; }

 private:
  struct Daemon {
    pid_t pid = -1;
    UniqueFd lifeline;  // its end of file ends the daemon
    ClosedInChildren closed_in_children;
  };
  PrivateDaemons() = default;
  Daemon Spawn(const std::string& program, std::vector<std::string> arguments);
  static void End(Daemon& daemon);

  ForkGuard fork_guard_;
  std::string folder_;
  std::string logs_folder_;
  std::string raylet_socket_;
  Daemon store_;
  Daemon raylet_;
};

// The path of a program of ours: in $RAYLET_BIN_DIR, beside this program, in ../bin of the library,
// on PATH. Throws.
std::string FindProgram(const std::string& name);

}  // namespace raylet::client
