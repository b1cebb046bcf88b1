#include "raylet/control/control_supervisor.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <thread>
#include <utility>

#include "base/check.h"
#include "base/log.h"
#include "base/strings.h"
#include "base/tcp_socket.h"
#include "raylet/control/redis_conf.h"  // made from redis.conf

namespace raylet {
namespace {

constexpr std::chrono::seconds kLivedLong{10};
constexpr std::chrono::milliseconds kPortPause{20};
constexpr size_t kLastWordsLines = 3;
constexpr size_t kLastWordsBytes = 1000;

void Replace(std::string& text, const std::string& what, const std::string& with) {
  for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + with.size()))
    text.replace(at, what.size(), with);
}

// Writes a file that only this user can read. The file appears whole or not at all.
Result<void> WriteOwnFile(const std::string& path, const std::string& text) {
  const std::string part = path + ".part";
  const UniqueFd fd(::open(part.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!fd) return FailErrno(StrCat("cannot create ", part), errno);
  if (::fchmod(fd.get(), 0600) != 0) return FailErrno(StrCat("cannot set the mode of ", part), errno);
  for (size_t at = 0; at < text.size();) {
    const ssize_t wrote = ::write(fd.get(), text.data() + at, text.size() - at);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote <= 0) return FailErrno(StrCat("cannot write ", part), errno);
    at += static_cast<size_t>(wrote);
  }
  if (::rename(part.c_str(), path.c_str()) != 0) return FailErrno(StrCat("cannot name ", path), errno);
  return {};
}

// A port that was free a moment ago.
Result<uint16_t> FreePort() {
  const UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in any{};
  any.sin_family = AF_INET;
  any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t bytes = sizeof any;
  auto* const address = reinterpret_cast<sockaddr*>(&any);
  if (!fd || ::bind(fd.get(), address, sizeof any) != 0 || ::getsockname(fd.get(), address, &bytes) != 0)
    return FailErrno("cannot find a free port", errno);
  return ntohs(any.sin_port);
}

std::string FindInPath(const std::string& program) {
  if (program.find('/') != std::string::npos) return ::access(program.c_str(), X_OK) == 0 ? program : "";
  const char* const path = std::getenv("PATH");
  std::string folders = path != nullptr ? path : "";
  folders += ":/usr/bin:/usr/local/bin";
  for (size_t at = 0; at < folders.size();) {
    const size_t end = std::min(folders.find(':', at), folders.size());
    const std::string candidate = folders.substr(at, end - at) + "/" + program;
    if (end > at && ::access(candidate.c_str(), X_OK) == 0) return candidate;
    at = end + 1;
  }
  return "";
}

}  // namespace

ControlSupervisor::ControlSupervisor(Loop& loop, ControlSupervisorOptions options)
    : loop_(loop),
      options_(std::move(options)),
      config_path_(options_.folder + "/redis.conf"),
      log_path_(options_.folder + "/redis.log"),
      restart_wait_(options_.restart_first) {}

ControlSupervisor::~ControlSupervisor() {
  if (pid_ == 0) return;
  ::kill(pid_, SIGKILL);
  while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {}
}

// Other characters would not be one word of redis.conf.
Result<void> ControlSupervisor::CheckPassword() const {
  const std::string& password = options_.password;
  RAYLET_CHECK(!password.empty(), "a control store that lets everybody in");
  if (std::all_of(password.begin(), password.end(), [](char c) { return c > ' ' && c < 127 && c != '"' && c != '\''; }))
    return {};
  return Fail(ErrorCode::kInvalid,
              "the password for --head holds spaces, quotes or non-ASCII characters: choose one without them");
}

// Checks the port first. Redis would report it only in its log, and another server on that port
// might even let us in.
Result<void> ControlSupervisor::CheckPort(const std::string& host) const {
  const auto address = MakeTcpAddress(host, options_.port);
  if (!address) return Fail(address.error());
  const Deadline free = is_new_ ? Deadline::AfterMs(0) : Deadline::After(options_.port_patience);
  for (;;) {
    const auto fd = ListenTcp(*address, 1);
    if (fd) return {};
    if (fd.error().code == ErrorCode::kAlreadyExists && !free.Passed()) {
      std::this_thread::sleep_for(kPortPause);
      continue;
    }
    if (fd.error().code == ErrorCode::kAlreadyExists) {
      return Fail(ErrorCode::kAlreadyExists,
                  StrCat("the control store of --head cannot have port ", options_.port, ": somebody listens on ",
                         address->text(), " already; choose another with --head-port, or, where a control store is ",
                         "served there, join it with --control redis://", kControlUser, "@", address->text(),
                         " instead of --head"));
    }
    if (fd.error().code == ErrorCode::kNotAllowed) {
      return Fail(ErrorCode::kNotAllowed, StrCat("the control store of --head cannot have port ", options_.port,
                                                 ", which is the system's: choose one above 1023 with --head-port"));
    }
    return Fail(fd.error());
  }
}

Result<void> ControlSupervisor::Prepare() {
  const std::string& folder = options_.folder;
  if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST)
    return FailErrno(StrCat("cannot create the control store's folder ", folder), errno);
  struct stat status {};
  if (::stat(folder.c_str(), &status) != 0) return FailErrno(StrCat("cannot look at ", folder), errno);
  if (!S_ISDIR(status.st_mode) || status.st_uid != ::geteuid() || (status.st_mode & 077) != 0) {
    return Fail(ErrorCode::kNotAllowed,
                StrCat("the control store's folder ", folder, " is not ours alone: run chmod 700 ", folder));
  }
  if (folder.find_first_of("\"\\\n") != std::string::npos)
    return Fail(ErrorCode::kInvalid,
                StrCat("the folder ", folder, " has a quote or backslash in its name: choose another"));
  is_new_ = !std::filesystem::exists(folder + "/appendonlydir");
  if (options_.port == 0) {
    const auto port = FreePort();
    if (!port) return Fail(port.error());
    options_.port = *port;
  }
  const bool everywhere = options_.host == "0.0.0.0" || options_.host == "::";
  const bool loopback = options_.host == "::1" || options_.host.starts_with("127.");
  RAYLET_RETURN_IF_ERROR(CheckPort(options_.host));
  if (!loopback && !everywhere) RAYLET_RETURN_IF_ERROR(CheckPort("127.0.0.1"));
  RAYLET_RETURN_IF_ERROR(CheckPassword());
  address_.host = everywhere ? (options_.host == "::" ? "::1" : "127.0.0.1") : options_.host;
  address_.port = options_.port;
  address_.user = kControlUser;
  address_.password = options_.password;

  std::string config = kRedisConf;
  Replace(config, "%BIND%", loopback || everywhere ? options_.host : StrCat(options_.host, " 127.0.0.1"));
  Replace(config, "%PORT%", std::to_string(options_.port));
  Replace(config, "%FOLDER%", folder);
  Replace(config, "%PASSWORD%", options_.password);
  RAYLET_RETURN_IF_ERROR(WriteOwnFile(config_path_, config));
  return WriteOwnFile(folder + "/address", address_.Shown() + "\n");
}

Result<void> ControlSupervisor::Start() {
  const std::string found = FindInPath(options_.program);
  if (found.empty()) {
    return Fail(ErrorCode::kNotRunning, StrCat("there is no ", options_.program,
                                               " to start: install it (Debian: apt-get install redis-server), or "
                                               "say with --control where a Redis runs"));
  }
  options_.program = found;
  RAYLET_RETURN_IF_ERROR(Prepare());
  return Launch();
}

Result<void> ControlSupervisor::Launch() {
  const UniqueFd log(::open(log_path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  if (!log) return FailErrno(StrCat("cannot write the log ", log_path_), errno);
  const UniqueFd null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid < 0) return FailErrno(StrCat("cannot start ", options_.program), errno);
  if (pid == 0) {
    // Only async-signal-safe calls from here to exec. The child gets a process group of its own:
    // Ctrl-C reaches the raylet, which stops the redis-server.
    ::setpgid(0, 0);
    ::prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (::getppid() != parent) ::_exit(1);
    ::dup2(null.get(), 0);
    ::dup2(log.get(), 1);
    ::dup2(log.get(), 2);
    ::execl(options_.program.c_str(), options_.program.c_str(), config_path_.c_str(), nullptr);
    ::_exit(127);
  }
  pid_ = pid;
  started_ = std::chrono::steady_clock::now();
  pid_fd_.Reset(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!pid_fd_) return FailErrno("cannot watch redis-server", errno);
  ended_ = FdWatcher(loop_, pid_fd_.get(), [this](FdWatcher::Events) { Ended(); });
  ended_.Watch({true, false});
  RAYLET_LOG(kInfo, "control store: started ", options_.program, " as process ", pid, " at ", address_.Shown());
  return {};
}

void ControlSupervisor::Ended() {
  int status = 0;
  if (::waitpid(pid_, &status, WNOHANG) == 0) return;
  ended_.Cancel();
  pid_fd_.Reset();
  const pid_t pid = std::exchange(pid_, 0);
  if (stopping_) {
    kill_.Cancel();
    if (const auto stopped = std::exchange(stopped_, nullptr)) stopped();
    return;
  }
  const std::string how = StrCat("(process ", pid, ") has ended with ", WIFSIGNALED(status) ? "signal " : "code ",
                                 WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
  if (on_ended_) {
    return std::exchange(on_ended_, nullptr)(
        {ErrorCode::kIo, StrCat(options_.program, " ", how, " before it served at ", address_.Shown(), ". Its log ",
                                log_path_, " ends with:\n", LastWords())});
  }
  if (std::chrono::steady_clock::now() - started_ > kLivedLong) restart_wait_ = options_.restart_first;
  RAYLET_LOG(kWarning, "control store: redis-server ", how, "; starting it again. Its log is ", log_path_);
  restart_ = Timer(loop_, restart_wait_, {}, [this] {
    restart_.Cancel();
    ++restarts_;
    const auto launched = Launch();
    if (!launched) RAYLET_LOG(kError, "control store: ", launched.error().message);
  });
  restart_wait_ = std::min(restart_wait_ * 2, options_.restart_max);
}

void ControlSupervisor::Stop(std::function<void()> stopped) {
  stopping_ = true;
  restart_.Cancel();
  if (pid_ == 0) return loop_.Post(std::move(stopped));
  stopped_ = std::move(stopped);
  ::kill(pid_, SIGTERM);
  kill_ = Timer(loop_, options_.stop_grace, {}, [this] { ::kill(pid_, SIGKILL); });
}

std::string ControlSupervisor::LastWords() const {
  std::ifstream file(log_path_);
  std::string text{std::istreambuf_iterator<char>(file), {}};
  while (!text.empty() && text.back() == '\n') text.pop_back();
  if (!address_.password.empty()) Replace(text, address_.password, "***");  // Redis shows the lines that it refuses
  size_t at = text.size();
  for (size_t line = 0; line < kLastWordsLines && at != std::string::npos && at > 0; ++line)
    at = text.rfind('\n', at - 1);
  if (at != std::string::npos && at < text.size() && text[at] == '\n') text.erase(0, at + 1);
  return text.size() <= kLastWordsBytes ? text : text.substr(text.size() - kLastWordsBytes);
}

}  // namespace raylet
