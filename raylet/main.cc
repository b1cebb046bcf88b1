// raylet: the daemon of tasks and actors. Reads its flags, builds its parts, runs until it is told to stop. As `raylet
// status` it asks one that runs.
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <string_view>
#include <thread>

#include "base/log.h"
#include "base/process_start.h"
#include "base/strings.h"
#include "base/unix_socket.h"
#include "raylet/control_parts.h"
#include "raylet/exit_code.h"
#include "raylet/peer_token.h"
#include "raylet/raylet.h"
#include "raylet/status_command.h"

namespace {

using namespace raylet;

struct Flags {
  std::string socket;
  std::string store_socket;
  double cpus = 0;
  std::string resources = "{}";
  std::string logs_folder;
  std::string log_level = "warning";
  std::string node_id;
  std::string node_ip;
  int port = -1;  // not given
  std::string token_file;
  std::string control;
  std::string control_password_file;
  bool head = false;
  int head_port = kRedisPort;
  double control_timeout = 5;
  std::vector<std::string> peers;
  double peer_silent_after = 3;
  double peer_dead_after = 10;
  int ready_fd = -1;
  int lifeline_fd = -1;
};

constexpr const char* kAbout =
    "raylet runs the tasks and actors of one machine. Programs that call ray::Init() with its socket as their address "
    "submit "
    "work; the raylet starts their worker processes, queues tasks until their resources and objects are there, and "
    "says why "
    "something failed. It needs a plasma_store on the same machine.";
constexpr const char* kExample =
    "Example:\n"
    "  plasma_store -m 1G -s /tmp/run/store &\n"
    "  raylet --socket /tmp/run/raylet --store-socket /tmp/run/store --num-cpus 4 --resources '{\"gpu\": 2}' &\n"
    "  RAY_ADDRESS=/tmp/run/raylet ./my_program\n"
    "  raylet status --socket /tmp/run/raylet    what it does, what waits and why; raylet status --help\n"
    "Two machines, with one secret token in a file of each:\n"
    "  raylet … --node-ip 10.0.0.1 --port 7000 --token-file ~/.raylet_token &\n"
    "  raylet … --node-ip 10.0.0.2 --port 7000 --token-file ~/.raylet_token --peers 10.0.0.1:7000 &\n"
    "Or with a control store, which the first keeps and in which all find each other:\n"
    "  raylet … --node-ip 10.0.0.1 --port 7000 --token-file ~/.raylet_token --head &\n"
    "  raylet … --node-ip 10.0.0.2 --port 7000 --token-file ~/.raylet_token --control redis://raylet@10.0.0.1 &\n"
    "  RAY_ADDRESS=10.0.0.1:7000 ./my_program    on either; it attaches to the raylet of its own machine\n"
    "Exit codes: 0 stopped as asked, 1 failed, 2 usage, 3 no store or control store is running, 4 not allowed, 5 timed "
    "out.";

int Complain(const Error& error) {
  std::fprintf(stderr, "raylet: %s\n", error.message.c_str());
  return ExitCode(error.code);
}

Result<void> PrepareLogsFolder(const std::string& folder) {
  std::error_code failed;
  std::filesystem::create_directories(folder, failed);
  if (failed) {
    return Fail(failed == std::errc::permission_denied ? ErrorCode::kNotAllowed : ErrorCode::kIo,
                StrCat("cannot create the logs folder ", folder, ": ", failed.message(),
                       "; choose another with --logs-folder"));
  }
  if (::access(folder.c_str(), R_OK | W_OK | X_OK) != 0) {
    return Fail(ErrorCode::kNotAllowed, StrCat("the logs folder ", folder, " is not ours to read and write (",
                                               std::strerror(errno), "); choose another with --logs-folder"));
  }
  return {};
}

// Who names another machine must be reached from there, too.
Result<void> CheckReachable(const ClusterOptions& cluster, const TcpAddress& other, const char* flag) {
  if (!cluster.listen.loopback() || other.loopback()) return {};
  return Fail(ErrorCode::kInvalid,
              StrCat(flag, " names another machine, ", other.text(), ", and from there nobody reaches this raylet at ",
                     cluster.listen.host(), ": say --node-ip with an address of this machine"));
}

// Nothing where no flag says that there are other raylets.
Result<std::optional<ClusterOptions>> MakeClusterOptions(const Flags& flags) {
  if (flags.node_id.empty() && flags.node_ip.empty() && flags.port < 0 && flags.token_file.empty() &&
      flags.peers.empty() && flags.control.empty() && !flags.head)
    return std::nullopt;
  ClusterOptions cluster;
  if (!flags.node_id.empty() &&
      (!FromHex(flags.node_id, cluster.node.mutable_data(), NodeId::size()) || cluster.node.IsNil())) {
    return Fail(ErrorCode::kInvalid, StrCat("--node-id wants ", 2 * NodeId::size(),
                                            " hexadecimal digits, not all 0, and has '", flags.node_id, "'"));
  }
  auto listen = MakeTcpAddress(flags.node_ip.empty() ? "127.0.0.1" : flags.node_ip,
                               static_cast<uint16_t>(std::max(0, flags.port)));
  if (!listen) return Fail(ErrorCode::kInvalid, StrCat("--node-ip: ", listen.error().message));
  cluster.listen = std::move(*listen);
  if (!flags.token_file.empty()) {
    auto token = ReadTokenFile(flags.token_file);
    if (!token) return Fail(token.error());
    cluster.token = std::move(*token);
  }
  for (const std::string& each : flags.peers) {
    auto address = ResolveTcpAddress(each);
    if (!address) return Fail(ErrorCode::kInvalid, StrCat("--peers: ", address.error().message));
    // Without a token it is refused for that.
    if (!cluster.token.empty()) RAYLET_RETURN_IF_ERROR(CheckReachable(cluster, *address, "--peers"));
    cluster.peers.push_back(std::move(*address));
  }
  const auto seconds = [](double amount) {
    return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(amount));
  };
  if (!(flags.peer_silent_after >= 0.05) || !(flags.peer_dead_after > flags.peer_silent_after) ||
      !(flags.peer_dead_after <= 3600)) {
    return Fail(
        ErrorCode::kInvalid,
        "--peer-silent-after must be at least 0.05 s, and --peer-dead-after longer than that and an hour at most");
  }
  cluster.limits.silent_after = seconds(flags.peer_silent_after);
  cluster.limits.dead_after = seconds(flags.peer_dead_after);
  cluster.limits.heartbeat_every = cluster.limits.silent_after / 6;
  return cluster;
}

// Nothing without --control and --head.
Result<std::optional<ControlOptions>> MakeControlOptions(const Flags& flags, const RayletOptions& options) {
  if (flags.control.empty() && !flags.head) return std::nullopt;
  if (!flags.control.empty() && flags.head)
    return Fail(ErrorCode::kInvalid, "--head starts a control store and --control says where one is: give one of them");
  ControlOptions control;
  if (!(flags.control_timeout > 0 && flags.control_timeout <= 3600))
    return Fail(ErrorCode::kInvalid, "--control-timeout must be more than 0 s and an hour at most");
  control.join_timeout = std::chrono::milliseconds(static_cast<int64_t>(flags.control_timeout * 1000));
  std::string password;
  if (!flags.control_password_file.empty()) {
    auto read = ReadTokenFile(flags.control_password_file);
    if (!read) return Fail(read.error());
    password = std::move(*read);
  }
  const std::string& token = options.cluster->token;
  if (flags.head) {
    ControlSupervisorOptions head;
    head.folder = options.socket + ".control";
    head.host = options.cluster->listen.host();
    head.port = static_cast<uint16_t>(flags.head_port);
    head.password = !password.empty() || token.empty() ? password : ControlPassword(token);
    control.head = std::move(head);
    return control;
  }
  auto address = MakeControlAddress(flags.control, password, token);
  if (!address) return Fail(address.error());
  if (!address->host.empty())
    if (const auto redis = MakeTcpAddress(address->host, address->port))
      RAYLET_RETURN_IF_ERROR(CheckReachable(*options.cluster, *redis, "--control"));
  control.address = std::move(*address);
  return control;
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
  auto cluster = MakeClusterOptions(flags);
  if (!cluster) return Fail(cluster.error());
  options.cluster = std::move(*cluster);
  options.logs_folder =
      std::filesystem::absolute(flags.logs_folder.empty() ? StrCat(options.socket, ".logs") : flags.logs_folder);
  return options;
}

// Every process takes two descriptors here, and every channel passes two more.
void RaiseDescriptorLimit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

void SayReady(const Flags& flags, const RayletOptions& options, const std::string& address) {
  const std::string cpus = FormatUnits(options.resources.units(kCpu));
  std::printf("raylet: serving %s, %s CPUs%s%s\n", options.socket.c_str(), cpus.c_str(),
              options.cluster ? ", other raylets at " : "", address.c_str());
  std::fflush(stdout);
  if (flags.ready_fd < 0) return;
  if (::write(flags.ready_fd, "1", 1) != 1) std::fprintf(stderr, "raylet: nobody reads --ready-fd\n");
  ::close(flags.ready_fd);
}

int Run(const Flags& flags) {
  if (flags.lifeline_fd >= 0) {
    if (const auto lifeline = CheckWatchable("--lifeline-fd", flags.lifeline_fd); !lifeline)
      return Complain(lifeline.error());
  }
  auto options = MakeOptions(flags);
  if (!options) return Complain(options.error());
  auto control_options = MakeControlOptions(flags, *options);
  if (!control_options) return Complain(control_options.error());
  RaiseDescriptorLimit();
  std::signal(SIGPIPE, SIG_IGN);
  // Workers must not inherit what is ours alone.
  if (flags.ready_fd >= 0) ::fcntl(flags.ready_fd, F_SETFD, FD_CLOEXEC);
  if (flags.lifeline_fd >= 0) ::fcntl(flags.lifeline_fd, F_SETFD, FD_CLOEXEC);
  const auto logs = PrepareLogsFolder(options->logs_folder);
  if (!logs) return Complain(logs.error());

  Loop loop;
  const SteadyClock clock;
  auto store = ConnectStoreLink(loop, options->store_socket, /*in_cluster=*/options->cluster.has_value());
  if (!store) return Complain(store.error());
  Raylet daemon(loop, *options, **store);
  const auto reachable = daemon.JoinPeers();
  if (!reachable) return Complain(reachable.error());
  std::optional<ControlParts> control;
  if (*control_options) {
    control.emplace(loop, clock, std::move(**control_options));
    const auto started = control->Start();
    if (!started) return Complain(started.error());
    daemon.SetControl(*control);
  }

  int exit_code = 0;
  const auto end = [&](Raylet::Ending ending) {
    daemon.Stop(ending, [&] {
      if (!control) return loop.Stop();
      control->Stop([&loop] { loop.Stop(); });
    });
  };
  const auto stop = [&] { end(Raylet::Ending::kAsk); };
  daemon.SetOnStoreGone([&](const Error& reason) {
    std::fprintf(stderr, "raylet: the store at %s has gone, and nothing works without it: %s\n",
                 options->store_socket.c_str(), reason.message.c_str());
    exit_code = 1;
    stop();
  });
  SignalWatcher terminate(loop, SIGTERM, stop);
  SignalWatcher interrupt(loop, SIGINT, stop);
  FdWatcher lifeline;
  if (flags.lifeline_fd >= 0) {
    lifeline = FdWatcher(loop, flags.lifeline_fd, [&](FdWatcher::Events) {
      char ignored[64];
      if (::read(flags.lifeline_fd, ignored, sizeof ignored) > 0) return;
      lifeline.Cancel();
      end(Raylet::Ending::kKill);  // whoever started this raylet is dead, or has no use for it any more
    });
    lifeline.Watch({true, false});
  }
  const auto serve = [&] {
    const auto listening = daemon.Listen();
    if (listening) return SayReady(flags, *options, daemon.PeerAddress());
    exit_code = Complain(listening.error());
    stop();
  };
  if (!control) {
    serve();
  } else {
    control->Join(
        daemon.OwnRecord(), [&](const std::vector<NodeRecord>& nodes) { daemon.KnowNodes(nodes); },
        [&](const Result<void>& joined) {
          if (joined) return serve();
          exit_code = Complain(joined.error());
          stop();
        });
    daemon.ShareNames(*control->link());
    control->link()->SetOnTakenOver([&](const Error& why) {
      exit_code = Complain(
          {why.code,
           StrCat("its lease ran out while the control store was out of reach, and was taken over: this raylet ends; ",
                  why.message)});
      stop();
    });
  }
  loop.Run();
  return exit_code;
}

}  // namespace

int main(int argc, char** argv) {
  OpenStandardDescriptors();
  UnblockSignals();
  if (argc > 1 && std::string_view(argv[1]) == "status") return StatusCommand(argc - 1, argv + 1);
  Flags flags;
  flags.cpus = std::max(1u, std::thread::hardware_concurrency());
  CLI::App app(kAbout, "raylet");
  app.footer(kExample);
  app.set_version_flag("--version", std::string("raylet ") + kBuild);
  app.add_option("-s,--socket", flags.socket, "Unix socket to serve, at most 107 bytes; its folder must exist")
      ->required();
  app.add_option("--store-socket", flags.store_socket, "socket of the plasma_store of this machine")->required();
  app.add_option("--num-cpus", flags.cpus,
                 "CPUs to give to tasks, instead of those of the machine; 0: its tasks run on other machines");
  app.add_option("--resources", flags.resources, "further resources, as JSON: {\"gpu\": 2, \"license\": 0.5}");
  app.add_option("--logs-folder", flags.logs_folder,
                 "where workers' output goes, worker-<pid>.log; SOCKET.logs if not given");
  app.add_option("--log-level", flags.log_level, "debug, info, warning or error");
  app.add_option("--node-id", flags.node_id,
                 "who this raylet is to the others, as 40 hexadecimal digits; drawn anew at each start if not given");
  app.add_option("--node-ip", flags.node_ip, "address of this machine at which other raylets reach it; 127.0.0.1");
  app.add_option("--port", flags.port, "TCP port for other raylets; 0, or not given: any that is free")
      ->check(CLI::Range(0, 65535));
  app.add_option("--token-file", flags.token_file,
                 "secret that all raylets of the cluster share, in a file of mode 0600; without one: loopback only");
  app.add_option("--peers", flags.peers, "other raylets, host:port,host:port; one of the cluster is enough")
      ->delimiter(',');
  app.add_option(
      "--control", flags.control,
      "where the cluster's Redis is: redis://[user[:password]@]host[:port], or unix://… with a socket's path; "
      "a user without a password has the one of --control-password-file or --token-file");
  app.add_option("--control-password-file", flags.control_password_file,
                 "password of the control store, in a file of mode 0600");
  app.add_option("--control-timeout", flags.control_timeout,
                 "seconds after which a control store that does not answer is an error at the start; 5");
  app.add_flag("--head", flags.head,
               "start a redis-server for the cluster at --node-ip, in the folder SOCKET.control, and keep it running");
  app.add_option("--head-port", flags.head_port, "its port; 6379, and 0 for any that is free")
      ->check(CLI::Range(0, 65535));
  app.add_option("--peer-silent-after", flags.peer_silent_after,
                 "seconds without a word after which another raylet gets no new work; the same everywhere");
  app.add_option("--peer-dead-after", flags.peer_dead_after,
                 "seconds without a word after which what another raylet held comes back; the same everywhere");
  app.add_option("--ready-fd", flags.ready_fd, "descriptor that gets one byte when the raylet serves");
  app.add_option("--lifeline-fd", flags.lifeline_fd, "descriptor at whose end of file the raylet stops");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  const auto level = ParseLogLevel(flags.log_level);
  if (!level) return Complain({ErrorCode::kInvalid, level.error().message});
  SetLogLevel(*level);
  return Run(flags);
}
