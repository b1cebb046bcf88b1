// RayletOptions: the options of a raylet. Made by main from its flags, or by a test; never changed.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "base/tcp_socket.h"
#include "raylet/node/peer_outboxes.h"
#include "raylet/node/process_session.h"
#include "raylet/node/visible_devices.h"
#include "raylet/peers/session.h"
#include "raylet/peers/token.h"
#include "raylet/scheduling/scheduler.h"

namespace raylet {

// The raylet's part in a cluster. Without it the raylet knows no other machine.
struct ClusterOptions {
  NodeId node;                    // this raylet's id; nil: the raylet draws one
  TcpAddress listen;              // where other raylets reach this one
  PeerToken token;                // that all raylets of the cluster share
  std::vector<TcpAddress> peers;  // where to find other raylets
  PeerSessionLimits limits;
  size_t outbox_bytes_max = kOutboxBytesMax;  // that may wait for one other raylet
};

struct RayletOptions {
  std::string socket;        // absolute
  std::string store_socket;  // absolute
  std::string logs_folder;   // absolute, exists
  ResourceSet resources;
  GpuNames gpus;  // as many as `resources` has whole GPUs
  std::optional<ClusterOptions> cluster;
  SchedulerLimits limits;
  SessionLimits session_limits;
  std::chrono::milliseconds register_timeout{10'000};  // of a worker
  std::chrono::milliseconds exit_grace{5'000};         // after Exit
  std::chrono::milliseconds stop_grace{1'000};         // after SIGTERM, when the raylet stops
};

}  // namespace raylet
