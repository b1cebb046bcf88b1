// ControlParts: a raylet's parts for its cluster's control store. They are the redis-server that it
// keeps (a head raylet only), the connection to the store, and the link. Owned by main; loop thread
// only; destroyed before the loop.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/loop.h"
#include "raylet/control/control_link.h"
#include "raylet/control/control_supervisor.h"
#include "raylet/control/redis_control_store.h"

namespace raylet {

struct ControlOptions {
  // Exactly one of these two.
  std::optional<ControlAddress> address;         // of a running Redis
  std::optional<ControlSupervisorOptions> head;  // of a Redis that this raylet starts
  std::chrono::milliseconds join_timeout{5'000};
};

// The password of the Redis user `raylet` in a cluster with this token. It is not the token itself,
// because it travels.
std::string ControlPassword(const std::string& token);
// Reads --control, the bytes of a password file (empty: none) and the cluster's token. A
// user without a password gets the file's, or else the token's. Asks the resolver for the host, so
// call it before the loop runs.
Result<ControlAddress> MakeControlAddress(const std::string& text, const std::string& password,
                                          const std::string& token);

class ControlParts {
 public:
  ControlParts(Loop& loop, const Clock& clock, ControlOptions options);

  // Starts the redis-server, if this raylet keeps it.
  Result<void> Start();
  // kNotRunning, with the remedy: no Redis answers within the time. kAlreadyExists: the node id is in use. kIo, with
  // the last lines of its log: our redis-server ended before it served.
  void Join(NodeRecord own, std::function<void(const std::vector<NodeRecord>&)> on_nodes, Done<void> done);
  // Leaves the cluster, and stops the redis-server.
  void Stop(std::function<void()> stopped);

  const ControlSupervisor* supervisor() const { return supervisor_ ? &*supervisor_ : nullptr; }
  const ControlLink* link() const { return link_ ? &*link_ : nullptr; }  // null before Join
  ControlLink* link() { return link_ ? &*link_ : nullptr; }

 private:
  Error CannotJoin(const Error& why) const;

  Loop& loop_;
  const Clock& clock_;
  const ControlOptions options_;
  std::optional<ControlSupervisor> supervisor_;
  std::optional<RedisControlStore> store_;
  std::optional<ControlLink> link_;
  bool given_up_ = false;  // the redis-server ended before the raylet joined
};

}  // namespace raylet
