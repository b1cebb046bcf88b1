// Flags: the raylet's command line. It becomes the options of the raylet's parts, or a usage error that names the flag,
// its limit and the remedy. Owned by main, which calls it before the loop runs, since it resolves names of machines.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/tcp_socket.h"
#include "raylet/control/control_parts.h"
#include "raylet/node/raylet_options.h"

namespace raylet {

struct Flags {
  std::string socket;
  std::string store_socket;
  double cpus = 0;
  std::string resources = "{}";
  std::optional<int> gpus;
  std::optional<std::string> visible_devices;  // CUDA_VISIBLE_DEVICES of this process
  std::optional<double> memory;                // bytes
  std::string logs_folder;
  std::string log_level = "warning";
  std::string node_id;
  std::string node_ip;
  std::optional<int> port;
  std::string token_file;
  std::string control;
  std::string control_password_file;
  bool head = false;
  std::optional<int> head_port;
  std::optional<double> control_timeout;  // seconds
  std::vector<std::string> peers;
  double register_timeout = 10;  // seconds
  int workers_max = static_cast<int>(SchedulerLimits().workers_max);
  int tasks_max = static_cast<int>(SchedulerLimits().tasks_per_job_max);
  double peer_silent_after = 3;     // seconds
  double peer_dead_after = 10;      // seconds
  std::optional<int> metrics_port;  // 0: any that is free
  std::string metrics_address = "127.0.0.1";
  std::optional<int> ready_fd;
  std::optional<int> lifeline_fd;
};

// Refuses what is wrong on every machine: amounts outside their limits, and flags that need another flag.
Result<void> CheckFlags(const Flags& flags);

// Takes flags that CheckFlags has passed.
Result<RayletOptions> MakeOptions(const Flags& flags);
// Adds what every node has: memory, the store's capacity, and its own name. --resources wins.
Result<void> AddNodeResources(const Flags& flags, uint64_t store_bytes, RayletOptions& options);
// Nothing without --metrics-port.
Result<std::optional<TcpAddress>> MakeMetricsAddress(const Flags& flags);
// Nothing without --control and --head.
Result<std::optional<ControlOptions>> MakeControlOptions(const Flags& flags, const RayletOptions& options);

}  // namespace raylet
