// ControlParts: what a raylet has of its cluster's control store, put together: the redis-server that it keeps (a head
// raylet alone), the connection to the store, its life there. Owned by main; loop thread only; destroyed before the
// loop.
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
  // One of them.
  std::optional<ControlAddress> address;         // of a Redis that runs
  std::optional<ControlSupervisorOptions> head;  // of one that this raylet starts
  std::chrono::milliseconds join_timeout{5'000};
};

// What raylet's user in Redis has for a password, in a cluster with this token: not the token itself, since it travels.
std::string ControlPassword(const std::string& token);
// From --control, the bytes of a password file (empty: none) and the cluster's token (empty: none). A user without a
// password has the file's, or else the token's. Asks the resolver for the host: before the loop runs.
Result<ControlAddress> MakeControlAddress(const std::string& text, const std::string& password,
                                          const std::string& token);

class ControlParts {
 public:
  ControlParts(Loop& loop, const Clock& clock, ControlOptions options);

  // Starts the redis-server, if it is ours.
  Result<void> Start();
  // kNotRunning, with the remedy, where no Redis is there within the time; kAlreadyExists for a node id in use; kIo,
  // with its last words, where our redis-server ends before it serves.
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
  bool given_up_ = false;  // the redis-server has ended before anybody joined
};

}  // namespace raylet
