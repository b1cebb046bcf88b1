// How a program starts: the address of its raylet, or local_mode.
#pragma once

#include <ray/internal/abi.h>

#include <string>
#include <vector>

#include <boost/optional.hpp>

#include <ray/api/runtime_env.h>

namespace ray {

enum class ActorLifetime {
  DETACHED,  // an actor lives until it is killed
  // An actor ends with the program that created it. Without a name it ends with its last handle already.
  NON_DETACHED,
};

// A plain description, read once by ray::Init. A worker takes that of its driver, whichever Init it comes to first.
// Flags on the command line win over it, and it wins over RAY_ADDRESS.
class RayConfig {
 public:
  // The raylet's socket, or host:port of any raylet of a cluster. With host:port the program attaches to that cluster's
  // raylet on this machine. Empty: RAY_ADDRESS, and without that a private plasma_store and raylet for this program
  // alone.
  std::string address;

  // Run tasks and actors in this process, on threads, without any daemon.
  bool local_mode = false;

  // Shared libraries, or folders of them, whose RAY_REMOTE functions are known besides the program's own.
  std::vector<std::string> code_search_path;

  // Arguments for the raylet that Init starts, one element each: "--num-cpus", "2", "--resources", "{\"tpu\": 1}" …
  // Init passes over arguments of Ray that mean nothing here, and names them on standard error.
  std::vector<std::string> head_args;

  // The lifetime of an actor that does not set its own.
  ActorLifetime default_actor_lifetime = ActorLifetime::NON_DETACHED;

  // The environment of all tasks and actors of the program, with what they ask for themselves over it. Local mode has
  // none.
  boost::optional<RuntimeEnv> runtime_env;

  // The namespace in which names of actors are looked up. Empty: one of this program's own.
  std::string ray_namespace;

  // The folder for the logs of private daemons and their workers. Empty: in the run folder, removed at Shutdown.
  std::string logs_dir;

  // Kept so that programs that set them compile: there is no password and no separate worker program here.
  boost::optional<std::string> redis_password_;
  bool is_worker_ = false;
};

}  // namespace ray
