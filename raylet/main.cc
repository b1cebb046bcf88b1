// raylet: the daemon of tasks and actors. main reads the flags (flags.h), builds the parts, and runs until a signal
// comes. `raylet status` asks a running raylet instead.
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string_view>
#include <thread>

#include "base/exit_code.h"
#include "base/http_server.h"
#include "base/log.h"
#include "base/process_start.h"
#include "base/stop_signals.h"
#include "base/strings.h"
#include "raylet/control/control_parts.h"
#include "raylet/flags.h"
#include "raylet/node/raylet.h"
#include "raylet/status/status_command.h"

namespace {

using namespace raylet;

constexpr const char* kAbout =
    "raylet runs the tasks and actors of one machine. Programs that call ray::Init() with its socket as their address "
    "submit "
    "work; the raylet starts their worker processes, queues tasks until their resources and objects are there, and "
    "says why "
    "something failed. It needs a plasma_store on the same machine.";
constexpr const char* kExample =
    "Example:\n"
    "  mkdir -m 0700 /tmp/run\n"
    "  plasma_store -m 1G -s /tmp/run/store &\n"
    "  raylet --socket /tmp/run/raylet --store-socket /tmp/run/store --num-cpus 4 --num-gpus 2 &\n"
    "  RAY_ADDRESS=/tmp/run/raylet ./my_program\n"
    "  raylet status --socket /tmp/run/raylet    what it does, what waits and why; raylet status --help\n"
    "Raylets of one user on one machine need no token file: they share ~/.config/raylet/token, which the first one "
    "makes.\n"
    "Two machines, with a copy of one token file on each:\n"
    "  raylet … --node-ip 10.0.0.1 --port 7000 --token-file ~/raylet/token &\n"
    "  raylet … --node-ip 10.0.0.2 --port 7000 --token-file ~/raylet/token --peers 10.0.0.1:7000 &\n"
    "Or with a control store, which the first keeps and in which all find each other:\n"
    "  raylet … --node-ip 10.0.0.1 --port 7000 --token-file ~/raylet/token --head &\n"
    "  raylet … --node-ip 10.0.0.2 --port 7000 --token-file ~/raylet/token --control redis://raylet@10.0.0.1 &\n"
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

// Every process takes two descriptors here, and every channel passes two more.
void RaiseDescriptorLimit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

void SayReady(const Flags& flags, const RayletOptions& options, const std::string& address) {
  const std::string cpus = FormatUnits(kCpu, options.resources.units(kCpu));
  std::printf("raylet: serving %s, %s CPUs%s%s\n", options.socket.c_str(), cpus.c_str(),
              options.cluster ? ", other raylets at " : "", address.c_str());
  std::fflush(stdout);
  if (!flags.ready_fd) return;
  if (::write(*flags.ready_fd, "1", 1) != 1) std::fprintf(stderr, "raylet: nobody reads --ready-fd\n");
  ::close(*flags.ready_fd);
}

int Run(const Flags& flags) {
  if (const auto usage = CheckFlags(flags); !usage) return Complain(usage.error());
  auto options = MakeOptions(flags);
  if (!options) return Complain(options.error());
  auto control_options = MakeControlOptions(flags, *options);
  if (!control_options) return Complain(control_options.error());
  const auto metrics_address = MakeMetricsAddress(flags);
  if (!metrics_address) return Complain(metrics_address.error());
  RaiseDescriptorLimit();
  std::signal(SIGPIPE, SIG_IGN);
  // Workers must not inherit what is ours alone.
  if (flags.ready_fd) ::fcntl(*flags.ready_fd, F_SETFD, FD_CLOEXEC);
  if (flags.lifeline_fd) ::fcntl(*flags.lifeline_fd, F_SETFD, FD_CLOEXEC);
  const auto logs = PrepareLogsFolder(options->logs_folder);
  if (!logs) return Complain(logs.error());

  Loop loop;
  const SteadyClock clock;
  auto store = ConnectStoreLink(loop, options->store_socket);
  if (!store) return Complain(store.error());
  const auto added = AddNodeResources(flags, (*store)->room().capacity_bytes, *options);
  if (!added) return Complain(added.error());
  StopSignals signals(loop);
  Raylet daemon(loop, *options, **store);
  std::unique_ptr<HttpServer> metrics;
  if (*metrics_address) {
    auto started = HttpServer::Start(**metrics_address, [&daemon](std::string_view path) -> HttpServer::Page {
      if (path == "/metrics") return {200, daemon.metrics().Text(), kPrometheusText};
      return {404, "there is /metrics\n"};
    });
    if (!started) return Complain({started.error().code, StrCat("--metrics-port: ", started.error().message)});
    metrics = *std::move(started);
    std::fprintf(stderr, "raylet: metrics at http://%s/metrics\n", metrics->address().c_str());
  }
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
  signals.OnStop(stop);
  FdWatcher lifeline;
  if (flags.lifeline_fd) {
    // The program that started this raylet writes a byte before it closes the pipe in peace.
    lifeline = FdWatcher(loop, *flags.lifeline_fd, [&, in_peace = false](FdWatcher::Events) mutable {
      char bytes[64];
      if (::read(*flags.lifeline_fd, bytes, sizeof bytes) > 0) {
        in_peace = true;
        return;
      }
      lifeline.Cancel();
      end(in_peace ? Raylet::Ending::kWithDriver : Raylet::Ending::kKill);
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
  if (const char* const visible = std::getenv(kVisibleDevices)) flags.visible_devices = visible;
  CLI::App app(kAbout, "raylet");
  app.footer(kExample);
  app.set_version_flag("--version", std::string("raylet ") + kBuild);
  app.add_option(
         "-s,--socket", flags.socket,
         "Unix socket to serve, at most 107 bytes; its folder is made with that of the logs in it, and must exist "
         "where --logs-folder is elsewhere")
      ->required();
  app.add_option("--store-socket", flags.store_socket, "socket of the plasma_store of this machine")->required();
  app.add_option("--num-cpus", flags.cpus,
                 "CPUs to give to tasks, instead of those of the machine; 0: its tasks run on other machines")
      ->capture_default_str();
  app.add_option("--num-gpus", flags.gpus,
                 "GPUs to give to tasks, as the resource 'GPU' of --resources. Workers find theirs in "
                 "CUDA_VISIBLE_DEVICES: numbers from 0, or the names in this raylet's own variable where it is set")
      ->default_str("0");
  app.add_option("--resources", flags.resources, "further resources, as JSON: {\"disk\": 2, \"license\": 0.5}")
      ->capture_default_str();
  app.add_option("--memory", flags.memory,
                 "bytes of memory to give to tasks that ask for the resource 'memory'. They are counted and not "
                 "enforced")
      ->default_str("what is free at the start");
  app.add_option("--logs-folder", flags.logs_folder, "where workers' output goes, worker-<pid>.log")
      ->default_str("SOCKET.logs");
  app.add_option("--register-timeout", flags.register_timeout,
                 "seconds that a worker may take from its start until it registers, or else it is killed")
      ->capture_default_str();
  app.add_option("--max-workers", flags.workers_max,
                 "worker processes of all programs together, actors' included, 480 at most")
      ->capture_default_str();
  app.add_option("--max-tasks", flags.tasks_max,
                 "tasks of one program that may be under way, from 32 to 10000000. A process waits in Remote with half "
                 "of them")
      ->capture_default_str();
  app.add_option("--log-level", flags.log_level, "debug, info, warning or error")->capture_default_str();
  app.add_option("--node-id", flags.node_id, "who this raylet is to the others, as 40 hexadecimal digits")
      ->default_str("drawn anew at each start");
  app.add_option("--node-ip", flags.node_ip, "address or name of this machine by which other raylets reach it")
      ->default_str("127.0.0.1");
  app.add_option("--port", flags.port, "TCP port for other raylets; 0: any that is free")
      ->check(CLI::Range(0, 65535))
      ->default_str("0");
  app.add_option("--token-file", flags.token_file,
                 "secret that all raylets of the cluster share, in a file of mode 0600; the first raylet of a user "
                 "makes the default one")
      ->default_str("~/.config/raylet/token");
  app.add_option("--peers", flags.peers, "other raylets, host:port,host:port; one of the cluster is enough")
      ->delimiter(',');
  app.add_option(
      "--control", flags.control,
      "where the cluster's Redis is: redis://[user[:password]@]host[:port], or unix://… with a socket's path; "
      "a user without a password has the one of --control-password-file, or one that is made from the token");
  app.add_option("--control-password-file", flags.control_password_file,
                 "password of the control store, in a file of mode 0600");
  app.add_option("--control-timeout", flags.control_timeout,
                 "seconds after which a control store that does not answer is an error at the start")
      ->default_str("5");
  app.add_flag("--head", flags.head,
               "start a redis-server for the cluster at --node-ip, in the folder SOCKET.control, and keep it running");
  app.add_option("--head-port", flags.head_port, "its port; 0: any that is free")
      ->check(CLI::Range(0, 65535))
      ->default_str("6379");
  app.add_option("--peer-silent-after", flags.peer_silent_after,
                 "seconds without a word after which another raylet gets no new work; the same everywhere")
      ->capture_default_str();
  app.add_option("--peer-dead-after", flags.peer_dead_after,
                 "seconds without a word after which what another raylet held comes back; the same everywhere")
      ->capture_default_str();
  app.add_option(
         "--metrics-port", flags.metrics_port,
         "serve what programs record with <ray/api/metric.h> at /metrics over HTTP, at this port; 0: at any that "
         "is free")
      ->check(CLI::Range(0, 65535));
  app.add_option("--metrics-address", flags.metrics_address,
                 "the address for that; other machines may read the metrics where it is not a loopback one")
      ->capture_default_str();
  app.add_option("--ready-fd", flags.ready_fd, "descriptor that gets one byte when the raylet serves");
  app.add_option("--lifeline-fd", flags.lifeline_fd, "descriptor at whose end of file the raylet stops");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    // An unknown word is the usual reason why a required flag is missing.
    const std::vector<std::string> unknown = app.remaining();
    if (error.get_exit_code() != 0 && !unknown.empty()) {
      return Complain({ErrorCode::kInvalid, StrCat("it knows no ", unknown.front(),
                                                   ": raylet --help shows its flags, and its one command is status, "
                                                   "which comes first")});
    }
    return app.exit(error) == 0 ? 0 : 2;
  }
  const auto level = ParseLogLevel(flags.log_level);
  if (!level) return Complain({ErrorCode::kInvalid, level.error().message});
  SetLogLevel(*level);
  return Run(flags);
}
