#include "raylet/flags.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <string>

#include "base/process_start.h"
#include "base/shm_segment.h"
#include "base/strings.h"
#include "base/tcp_socket.h"
#include "base/unix_socket.h"
#include "raylet/peers/token.h"

namespace raylet {
namespace {

constexpr double kControlTimeout = 5;  // seconds
constexpr int kTasksMin = 32, kTasksMax = 10'000'000;
constexpr int kWorkersMax = 480;  // the rest of the raylet's connections are drivers and tools

// The address must name one machine: no group of machines and, for another machine, no "every address".
Result<void> CheckOneMachine(const char* flag, const TcpAddress& address, bool another) {
  const std::string& host = address.host();
  const bool many = host.find(':') == std::string::npos
                        ? (std::stoi(host) >= 224 && std::stoi(host) < 240) || host == "255.255.255.255"
                        : host.starts_with("ff") && host.find(':') == 4;
  if (!many && !(another && address.wildcard())) return {};
  return Fail(ErrorCode::kInvalid, StrCat(flag, ": ", host, " is the address of no single machine",
                                          another ? ": name the one that is meant"
                                                  : ": name one of this machine's own; ip -brief address shows them"));
}

// A raylet that names another machine must be reachable from there, too.
Result<void> CheckReachable(const ClusterOptions& cluster, const TcpAddress& other, const char* flag) {
  if (!cluster.listen.loopback() || other.loopback()) return {};
  return Fail(ErrorCode::kInvalid,
              StrCat(flag, " names another machine, ", other.text(), ", and from there nobody reaches this raylet at ",
                     cluster.listen.host(), ": say --node-ip with an address of this machine"));
}

// From --token-file, or else the user's token, which all raylets of the user share.
Result<PeerToken> MakeToken(const Flags& flags) {
  if (!flags.token_file.empty()) return ReadTokenFile(flags.token_file);
  const auto path = UserTokenPath();
  if (!path) return Fail(path.error());
  return UserToken(*path);
}

// Nothing if no flag asks for other raylets.
Result<std::optional<ClusterOptions>> MakeClusterOptions(const Flags& flags) {
  if (flags.node_id.empty() && flags.node_ip.empty() && !flags.port && flags.token_file.empty() &&
      flags.peers.empty() && flags.control.empty() && !flags.head)
    return std::nullopt;
  ClusterOptions cluster;
  if (!flags.node_id.empty() &&
      (!FromHex(flags.node_id, cluster.node.mutable_data(), NodeId::size()) || cluster.node.IsNil())) {
    return Fail(ErrorCode::kInvalid, StrCat("--node-id wants ", 2 * NodeId::size(),
                                            " hexadecimal digits, not all 0, and has '", flags.node_id, "'"));
  }
  auto listen = ResolveTcpHost(flags.node_ip.empty() ? "127.0.0.1" : flags.node_ip,
                               static_cast<uint16_t>(flags.port.value_or(0)));
  if (!listen) return Fail(ErrorCode::kInvalid, StrCat("--node-ip: ", listen.error().message));
  RAYLET_RETURN_IF_ERROR(CheckOneMachine("--node-ip", *listen, /*another=*/false));
  cluster.listen = std::move(*listen);
  auto token = MakeToken(flags);
  if (!token) return Fail(token.error());
  cluster.token = std::move(*token);
  for (const std::string& each : flags.peers) {
    auto address = ResolveTcpAddress(each);
    if (!address) return Fail(ErrorCode::kInvalid, StrCat("--peers: ", address.error().message));
    if (address->port() == 0) {
      return Fail(ErrorCode::kInvalid, StrCat("--peers: ", each,
                                              " names no port, from 1 to 65535: say the one that the raylet there "
                                              "listens on, as its --port or its `raylet status` has it"));
    }
    RAYLET_RETURN_IF_ERROR(CheckOneMachine("--peers", *address, /*another=*/true));
    RAYLET_RETURN_IF_ERROR(CheckReachable(cluster, *address, "--peers"));
    cluster.peers.push_back(std::move(*address));
  }
  const auto seconds = [](double amount) {
    return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(amount));
  };
  cluster.limits.silent_after = seconds(flags.peer_silent_after);
  cluster.limits.dead_after = seconds(flags.peer_dead_after);
  cluster.limits.heartbeat_every = cluster.limits.silent_after / 6;
  return cluster;
}

// A node offers whole GPUs, so that each has a name.
Result<void> AddGpus(const Flags& flags, RayletOptions& options) {
  const int64_t named = options.resources.units(kGpu);
  if (flags.gpus && named > 0 && named != *flags.gpus * kUnitsPerWhole) {
    return Fail(ErrorCode::kInvalid, StrCat("--num-gpus says ", *flags.gpus, " and --resources says GPU ",
                                            FormatUnits(kGpu, named), ": give one of them"));
  }
  if (named == 0 && flags.gpus.value_or(0) > 0) RAYLET_RETURN_IF_ERROR(options.resources.AddWhole(kGpu, *flags.gpus));
  const int64_t units = options.resources.units(kGpu);
  if (units % kUnitsPerWhole != 0 || units > kGpusMax * kUnitsPerWhole) {
    return Fail(ErrorCode::kInvalid,
                StrCat("it is to offer GPU ", FormatUnits(kGpu, units), ", and a machine offers whole GPUs, ", kGpusMax,
                       " at most: tasks may ask for fractions of one"));
  }
  auto names = NamesOfGpus(flags.visible_devices, units / kUnitsPerWhole);
  if (!names) return Fail(names.error());
  options.gpus = *std::move(names);
  return {};
}

}  // namespace

Result<void> CheckFlags(const Flags& flags) {
  const bool control = !flags.control.empty();
  const double timeout = flags.control_timeout.value_or(kControlTimeout);
  const struct {
    bool wrong;
    const char* words;
  } usage[] = {
      {flags.socket.empty(), "--socket is empty: say the path of the Unix socket that it serves"},
      {flags.store_socket.empty(),
       "--store-socket is empty: say the path of the socket of this machine's plasma_store"},
      {flags.ready_fd.value_or(0) < 0, "--ready-fd wants an open descriptor's number, which is not negative"},
      {flags.lifeline_fd.value_or(0) < 0, "--lifeline-fd wants an open descriptor's number, which is not negative"},
      {control && flags.head, "--head starts a control store and --control says where one is: give one of them"},
      {flags.head_port && !flags.head,
       "--head-port is the port of the control store that --head starts: give --head, too, or the port in --control"},
      {!flags.control_password_file.empty() && !control && !flags.head,
       "--control-password-file has the password of a control store: give --control or --head, too"},
      {flags.control_timeout && !control && !flags.head,
       "--control-timeout is how long a control store may take to answer: give --control or --head, too"},
      {!(timeout > 0 && timeout <= 3600), "--control-timeout must be more than 0 s and an hour at most"},
      {!(flags.register_timeout >= 0.1 && flags.register_timeout <= 3600),
       "--register-timeout must be at least 0.1 s and an hour at most"},
      {!(flags.memory.value_or(0) >= 0 && flags.memory.value_or(0) <= static_cast<double>(kMemoryAmountMax)) ||
           flags.memory.value_or(0) != std::floor(flags.memory.value_or(0)),
       "--memory wants a whole number of bytes, 9007199254740992 at most"},
      {flags.gpus.value_or(0) < 0, "--num-gpus wants a whole number of GPUs that is not negative"},
      {flags.workers_max < 1 || flags.workers_max > kWorkersMax,
       "--max-workers must be at least 1 and 480 at most: each worker is one of the 1024 processes of a raylet"},
      {flags.tasks_max < kTasksMin || flags.tasks_max > kTasksMax,
       "--max-tasks must be at least 32, two for each depth of nested tasks, and 10000000 at most"},
      {!(flags.peer_silent_after >= 0.05) || !(flags.peer_dead_after > flags.peer_silent_after) ||
           !(flags.peer_dead_after <= 3600),
       "--peer-silent-after must be at least 0.05 s, and --peer-dead-after longer than that and an hour at most"},
  };
  for (const auto& each : usage)
    if (each.wrong) return Fail(ErrorCode::kInvalid, each.words);
  if (flags.lifeline_fd) return CheckWatchable("--lifeline-fd", *flags.lifeline_fd);
  return {};
}

Result<RayletOptions> MakeOptions(const Flags& flags) {
  RayletOptions options;
  options.socket = std::filesystem::absolute(flags.socket);
  options.store_socket = std::filesystem::absolute(flags.store_socket);
  if (options.socket.size() > kSocketPathBytesMax) {
    return Fail(ErrorCode::kInvalid,
                StrCat("socket path ", options.socket, " has ", options.socket.size(), " bytes and the kernel takes ",
                       kSocketPathBytesMax, ": choose a shorter one"));
  }
  auto resources = ParseResources(flags.resources);
  if (!resources) return Fail(resources.error());
  if (resources->units(kCpu) == 0 && flags.cpus != 0) RAYLET_RETURN_IF_ERROR(resources->AddWhole(kCpu, flags.cpus));
  options.resources = std::move(*resources);
  RAYLET_RETURN_IF_ERROR(AddGpus(flags, options));
  options.register_timeout = std::chrono::milliseconds(static_cast<int64_t>(flags.register_timeout * 1000));
  options.limits.workers_max = static_cast<size_t>(flags.workers_max);
  options.limits.tasks_per_job_max = static_cast<size_t>(flags.tasks_max);
  auto cluster = MakeClusterOptions(flags);
  if (!cluster) return Fail(cluster.error());
  options.cluster = std::move(*cluster);
  options.logs_folder =
      std::filesystem::absolute(flags.logs_folder.empty() ? StrCat(options.socket, ".logs") : flags.logs_folder);
  return options;
}

Result<void> AddNodeResources(const Flags& flags, uint64_t store_bytes, RayletOptions& options) {
  const std::string host = options.cluster ? options.cluster->listen.host() : "127.0.0.1";
  const std::pair<std::string, double> amounts[] = {
      {kMemory, flags.memory.value_or(static_cast<double>(AvailableMemoryBytes()))},
      {kStoreMemory, static_cast<double>(store_bytes)},
      {kNodePrefix + host, 1}};
  for (const auto& [name, amount] : amounts)
    if (amount > 0 && options.resources.units(name) == 0)
      RAYLET_RETURN_IF_ERROR(options.resources.AddWhole(name, amount));
  return {};
}

Result<std::optional<TcpAddress>> MakeMetricsAddress(const Flags& flags) {
  if (!flags.metrics_port) return std::nullopt;
  auto address = MakeTcpAddress(flags.metrics_address, static_cast<uint16_t>(*flags.metrics_port));
  if (!address) return Fail(ErrorCode::kInvalid, StrCat("--metrics-address: ", address.error().message));
  return *std::move(address);
}

Result<std::optional<ControlOptions>> MakeControlOptions(const Flags& flags, const RayletOptions& options) {
  if (flags.control.empty() && !flags.head) return std::nullopt;
  ControlOptions control;
  control.join_timeout =
      std::chrono::milliseconds(static_cast<int64_t>(flags.control_timeout.value_or(kControlTimeout) * 1000));
  std::string password;
  if (!flags.control_password_file.empty()) {
    auto read = ReadPasswordFile(flags.control_password_file);
    if (!read) return Fail(read.error());
    password = std::move(*read);
    if (flags.head && password.size() < kTokenBytesMin) {
      return Fail(ErrorCode::kInvalid, StrCat("the password in ", flags.control_password_file, " has ", password.size(),
                                              " bytes, and --head "
                                              "wants ",
                                              kTokenBytesMin, " at least: choose a longer one"));
    }
  }
  const std::string& token = options.cluster->token.bytes();
  if (flags.head) {
    ControlSupervisorOptions head;
    head.folder = options.socket + ".control";
    head.host = options.cluster->listen.host();
    head.port = static_cast<uint16_t>(flags.head_port.value_or(kRedisPort));
    head.password = !password.empty() ? password : ControlPassword(token);
    control.head = std::move(head);
    return control;
  }
  auto address = MakeControlAddress(flags.control, password, token);
  if (!address) return Fail(address.error());
  if (!address->host.empty()) {
    if (const auto redis = MakeTcpAddress(address->host, address->port)) {
      RAYLET_RETURN_IF_ERROR(CheckOneMachine("--control", *redis, /*another=*/true));
      RAYLET_RETURN_IF_ERROR(CheckReachable(*options.cluster, *redis, "--control"));
    }
  }
  control.address = std::move(*address);
  return control;
}

}  // namespace raylet
