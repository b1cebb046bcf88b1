// RayletOptions: what a raylet is started with. Made by main from its flags, or by a test; never changed.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "base/tcp_socket.h"
#include "raylet/node/process_session.h"
#include "raylet/peers/session.h"
#include "raylet/peers/token.h"
#include "raylet/scheduling/scheduler.h"

namespace raylet {

// The raylet's part in a cluster. Without it there is this machine and no other.
struct ClusterOptions {
  NodeId node;                    // who this raylet is to others; nil: one is drawn
  TcpAddress listen;              // where other raylets reach this one
  PeerToken token;                // that all of them share
  std::vector<TcpAddress> peers;  // that are to be found there
  PeerSessionLimits limits;
};

struct RayletOptions {
  std::string socket;        // absolute
  std::string store_socket;  // absolute
  std::string logs_folder;   // absolute, exists
  ResourceSet resources;
  std::optional<ClusterOptions> cluster;
  SchedulerLimits limits;
  SessionLimits session_limits;
  std::chrono::milliseconds register_timeout{10'000};  // of a worker
  std::chrono::milliseconds exit_grace{5'000};         // after Exit
  std::chrono::milliseconds stop_grace{1'000};         // after SIGTERM, when the raylet stops
};

}  // namespace raylet
