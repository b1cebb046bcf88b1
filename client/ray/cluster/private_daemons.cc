#include "client/ray/cluster/private_daemons.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string_view>
#include <thread>

#include <ray/api/exceptions.h>

#include "base/awake_clock.h"
#include "base/shm_segment.h"
#include "base/strings.h"
#include "client/ray/cluster/head_args.h"
#include "client/ray/cluster/private_folder.h"
#include "client/ray/cluster/terminal.h"

extern char** environ;

namespace raylet::client {
namespace {

using ray::internal::RayException;

constexpr Duration kReadyPatience = std::chrono::seconds(30);
constexpr Duration kStopPatience = std::chrono::seconds(5);
constexpr uint64_t kStoreBytesDefault = uint64_t{512} << 20;

std::string FolderOfProgram() {
  std::error_code error;
  const auto path = std::filesystem::read_symlink("/proc/self/exe", error);
  return error ? std::string() : path.parent_path().string();
}

// A folder may have a daemon's name.
bool IsProgram(const std::string& path) {
  std::error_code error;
  return std::filesystem::is_regular_file(path, error) && ::access(path.c_str(), X_OK) == 0;
}

std::string FolderOfLibrary() {
  static const int here = 0;
  Dl_info info{};
  if (::dladdr(&here, &info) == 0 || info.dli_fname == nullptr) return {};
  std::error_code error;
  const auto path = std::filesystem::canonical(info.dli_fname, error);
  return error ? std::string() : path.parent_path().string();
}

std::string LastLines(const std::string& path) {
  std::ifstream file(path);
  std::string text{std::istreambuf_iterator<char>(file), {}};
  if (text.size() > 2000) text.erase(0, text.size() - 2000);
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

void TellPassedOver(const std::vector<std::string>& flags) {
  if (flags.empty()) return;
  std::string names;
  for (const std::string& flag : flags) names += (names.empty() ? "" : ", ") + flag;
  TellTerminal(StrCat("head_args: passed over, since private daemons have nothing for it: ", names));
}

}  // namespace

std::string FindProgram(const std::string& name) {
  std::vector<std::string> folders;
  if (const char* bin = std::getenv("RAYLET_BIN_DIR"); bin != nullptr && *bin != '\0') folders.emplace_back(bin);
  if (std::string folder = FolderOfProgram(); !folder.empty()) folders.push_back(std::move(folder));
  if (const std::string library = FolderOfLibrary(); !library.empty())
    folders.push_back((std::filesystem::path(library) / ".." / "bin").lexically_normal().string());
  const char* path = std::getenv("PATH");
  const std::string all = path != nullptr ? path : "";
  for (size_t at = 0; at < all.size();) {
    const size_t end = std::min(all.find(':', at), all.size());
    if (end > at) folders.push_back(all.substr(at, end - at));
    at = end + 1;
  }
  std::string looked;
  for (const std::string& folder : folders) {
    const std::string candidate = folder + "/" + name;
    if (IsProgram(candidate)) return candidate;
    looked += (looked.empty() ? "" : ", ") + folder;
  }
  throw RayException(StrCat("the program ", name, " was looked for in ", looked.empty() ? "no folder" : looked,
                            " and is not there: set RAYLET_BIN_DIR to its folder, or give the address of a raylet that "
                            "runs already (RAY_ADDRESS, --ray_address)"));
}

std::unique_ptr<PrivateDaemons> PrivateDaemons::Start(const ray::RayConfig& config) {
  const std::string store_program = FindProgram("plasma_store");
  const std::string raylet_program = FindProgram("raylet");
  std::unique_ptr<PrivateDaemons> self(new PrivateDaemons());
  self->folder_ = MakePrivateFolder();
  self->logs_folder_ = config.logs_dir.empty() ? self->folder_ + "/logs" : config.logs_dir;
  std::error_code error;
  std::filesystem::create_directories(self->logs_folder_, error);
  if (error) throw RayException(StrCat("the logs folder ", self->logs_folder_, " cannot be made: ", error.message()));
  const std::string store_socket = self->folder_ + "/store.sock";
  self->raylet_socket_ = self->folder_ + "/raylet.sock";

  const HeadArgs head = ReadHeadArgs(config.head_args);
  const std::string store_memory =
      head.store_memory.value_or(StrCat(std::min<uint64_t>(kStoreBytesDefault, AvailableMemoryBytes() / 4)));
  std::vector<std::string> raylet_arguments = {"--socket",   self->raylet_socket_, "--store-socket",
                                               store_socket, "--logs-folder",      self->logs_folder_};
  raylet_arguments.insert(raylet_arguments.end(), head.raylet.begin(), head.raylet.end());
  self->store_ = self->Spawn(store_program, {"-m", store_memory, "-s", store_socket});
  self->raylet_ = self->Spawn(raylet_program, raylet_arguments);
  TellPassedOver(head.passed_over);
  return self;
}

PrivateDaemons::Daemon PrivateDaemons::Spawn(const std::string& program, std::vector<std::string> arguments) {
  const std::string name = std::filesystem::path(program).filename().string();
  const std::string log = StrCat(logs_folder_, "/", name, ".log");
  int lifeline[2];
  int ready[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, lifeline) < 0 || ::pipe2(ready, O_CLOEXEC) < 0)
    throw RayException(StrCat("no pipe to ", name, " could be made: ", strerror(errno)));
  UniqueFd lifeline_read(lifeline[0]), lifeline_write(lifeline[1]), ready_read(ready[0]), ready_write(ready[1]);
  UniqueFd output(::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  if (!output) throw RayException(StrCat("the log ", log, " cannot be written: ", strerror(errno)));

  for (const std::string& more : {std::string("--ready-fd"), StrCat(ready_write.get()), std::string("--lifeline-fd"),
                                  StrCat(lifeline_read.get())})
    arguments.push_back(more);
  std::vector<char*> argv = {const_cast<char*>(program.c_str())};
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  const pid_t pid = ::fork();
  if (pid < 0) throw RayException(StrCat(program, " cannot be started: ", strerror(errno)));
  if (pid == 0) {
    // Only system calls that are safe between fork and exec. A group of its own: Ctrl-C is for the
    // program.
    ::setpgid(0, 0);
    ::dup2(output.get(), 1);
    ::dup2(output.get(), 2);
    ::fcntl(ready_write.get(), F_SETFD, 0);
    ::fcntl(lifeline_read.get(), F_SETFD, 0);
    ::execv(program.c_str(), argv.data());
    constexpr std::string_view kRefused = "the kernel does not execute it\n";
    if (::write(2, kRefused.data(), kRefused.size()) < 0) ::_exit(126);
    ::_exit(127);
  }
  Daemon daemon;
  daemon.pid = pid;
  daemon.closed_in_children = ClosedInChildren(lifeline_write.get());
  daemon.lifeline = std::move(lifeline_write);
  ready_write.Reset();
  pollfd wait{ready_read.get(), POLLIN, 0};
  const AwakeDeadline deadline(kReadyPatience);
  int polled = 0;
  do {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline.Left(AwakeDeadline::kStepMax));
    polled = ::poll(&wait, 1, static_cast<int>(left.count()));
  } while ((polled < 0 && errno == EINTR) || (polled == 0 && !deadline.Passed()));
  char byte = 0;
  if (polled > 0 && ::read(ready_read.get(), &byte, 1) == 1) return daemon;
  const std::string said = LastLines(log);
  End(daemon);
  throw RayException(StrCat(program, polled > 0 ? " ended before it was ready" : " was not ready in time",
                            said.empty() ? std::string() : StrCat("; it said: ", said)));
}

void PrivateDaemons::End(Daemon& daemon) {
  if (daemon.pid < 0) return;
  daemon.closed_in_children = ClosedInChildren();
  // A byte says that this program lives, so that a raylet lets actors be destroyed. Without it they are killed.
  while (::send(daemon.lifeline.get(), "", 1, MSG_NOSIGNAL) < 0 && errno == EINTR) {}
  daemon.lifeline.Reset();
  const AwakeDeadline deadline(kStopPatience);
  int status = 0;
  while (::waitpid(daemon.pid, &status, WNOHANG) == 0) {
    if (deadline.Passed()) {
      ::kill(daemon.pid, SIGKILL);
      ::waitpid(daemon.pid, &status, 0);
      break;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  daemon.pid = -1;
}

PrivateDaemons::~PrivateDaemons() {
  if (fork_guard_.InChild()) return;
  End(raylet_);
  End(store_);
  std::error_code error;
  if (!folder_.empty()) std::filesystem::remove_all(folder_, error);
}

}  // namespace raylet::client
