#include "tests/harness/daemon_process.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/check.h"
#include "base/strings.h"
#include "base/unix_socket.h"
#include "tests/harness/run_folder.h"
#include "tests/harness/stop_process.h"

namespace raylet::test {
namespace {

// Past the numbers that the child moves descriptors to.
constexpr int kFirstOwnFd = 20;
constexpr int kReadyFd = 3;
constexpr int kLifelineFd = 4;
constexpr int kExecFailed = 127;

// A process that is sent SIGSTOP stands still on return.
void Send(pid_t pid, int signal) {
  if (signal == SIGSTOP) {
    static_cast<void>(StopProcess(pid));
  } else {
    ::kill(pid, signal);
  }
}

UniqueFd OutOfTheWay(int fd) {
  UniqueFd old(fd);
  UniqueFd moved(::fcntl(fd, F_DUPFD_CLOEXEC, kFirstOwnFd));
  RAYLET_CHECK(moved, "no descriptor left");
  return moved;
}

struct Pipe {
  UniqueFd read_end, write_end;
};
Pipe MakePipe() {
  int ends[2];
  RAYLET_CHECK(::pipe2(ends, O_CLOEXEC) == 0, "cannot make a pipe");
  Pipe pipe;
  pipe.read_end = OutOfTheWay(ends[0]);
  pipe.write_end = OutOfTheWay(ends[1]);
  return pipe;
}

std::vector<char*> Pointers(std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  for (std::string& text : strings) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

// Holds the user's files for the programs of this test, such as the token of raylets without a
// --token-file.
const std::string& PrivateConfigFolder() {
  static const RunFolder folder;
  return folder.path();
}

std::vector<std::string> Environment(const ProcessOptions& options) {
  auto changes = options.environment;
  const auto has = [&](const char* name) {
    return std::any_of(changes.begin(), changes.end(), [&](const auto& each) { return each.first == name; });
  };
  if (!has("XDG_CONFIG_HOME")) changes.emplace_back("XDG_CONFIG_HOME", PrivateConfigFolder());
  std::vector<std::string> all;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string text = *entry;
    bool replaced = false;
    for (const auto& [name, value] : changes) replaced |= text.rfind(name + "=", 0) == 0;
    if (!replaced) all.push_back(text);
  }
  for (const auto& [name, value] : changes) all.push_back(StrCat(name, "=", value));
  return all;
}

ProcessEnd EndOf(int status) {
  ProcessEnd end;
  if (WIFEXITED(status)) end.exit_code = WEXITSTATUS(status);
  if (WIFSIGNALED(status)) end.signal = WTERMSIG(status);
  return end;
}

std::string ProcFile(pid_t pid, const char* name) { return StrCat("/proc/", pid, "/", name); }

}  // namespace

std::string ProgramPath(const std::string& name) {
  const char* const folder = std::getenv("RAYLET_BIN_DIR");
  if (folder != nullptr && *folder != '\0') return StrCat(folder, "/", name);
  const std::filesystem::path here = std::filesystem::read_symlink("/proc/self/exe").parent_path();
  return here.parent_path() / "bin" / name;
}

Result<DaemonProcess> DaemonProcess::StartPlain(const std::string& program, std::vector<std::string> arguments,
                                                ProcessOptions options) {
  options.ready_fd = false;
  options.lifeline_fd = false;
  return Start(program, std::move(arguments), options);
}

Result<DaemonProcess> DaemonProcess::Start(const std::string& program, std::vector<std::string> arguments,
                                           const ProcessOptions& options) {
  std::string path = program.find('/') == std::string::npos ? ProgramPath(program) : program;
  DaemonProcess process;
  process.output_ = OutOfTheWay(::memfd_create("output", MFD_CLOEXEC));
  Pipe ready, lifeline;
  if (options.ready_fd) {
    ready = MakePipe();
    arguments.insert(arguments.end(), {"--ready-fd", std::to_string(kReadyFd)});
  }
  if (options.lifeline_fd) {
    lifeline = MakePipe();
    arguments.insert(arguments.end(), {"--lifeline-fd", std::to_string(kLifelineFd)});
  }
  arguments.insert(arguments.begin(), path);
  std::vector<std::string> environment = Environment(options);
  const std::vector<char*> argv = Pointers(arguments);
  const std::vector<char*> envp = Pointers(environment);

  const pid_t pid = ::fork();
  if (pid < 0) return FailErrno("cannot fork", errno);
  if (pid == 0) {
    // Only async-signal-safe calls from here to exec.
    ::dup2(process.output_.get(), 1);
    ::dup2(process.output_.get(), 2);
    if (options.ready_fd) ::dup2(ready.write_end.get(), kReadyFd);
    if (options.lifeline_fd) ::dup2(lifeline.read_end.get(), kLifelineFd);
    if (options.network >= 0 && ::setns(options.network, CLONE_NEWNET) != 0) ::_exit(kExecFailed);
    if (!options.folder.empty() && ::chdir(options.folder.c_str()) != 0) ::_exit(kExecFailed);
    if (options.descriptors_max != 0) {
      const rlimit limit{options.descriptors_max, options.descriptors_max};
      ::setrlimit(RLIMIT_NOFILE, &limit);
    }
    if (options.bound_by_permissions) {
      // Fails without root, and then permissions bind the program anyway.
      ::prctl(PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, 0, 0, 0);
      ::prctl(PR_CAPBSET_DROP, CAP_DAC_READ_SEARCH, 0, 0, 0);
    }
    ::execve(path.c_str(), argv.data(), envp.data());
    ::_exit(kExecFailed);
  }
  process.pid_ = pid;
  process.is_store_ = std::filesystem::path(path).filename() == "plasma_store";
  process.lifeline_ = std::move(lifeline.write_end);
  lifeline.read_end.Reset();
  if (!options.ready_fd) return process;

  ready.write_end.Reset();
  const auto readable = WaitReadable(ready.read_end.get(), Deadline::After(options.ready_timeout));
  char byte = 0;
  if (!readable || !*readable) {
    return Fail(ErrorCode::kTimedOut, StrCat(path, " was not ready in time; it wrote: ", process.Output()));
  }
  if (::read(ready.read_end.get(), &byte, 1) != 1) {
    process.Wait(Deadline::AfterMs(1000));
    return Fail(ErrorCode::kNotRunning, StrCat(path, " ended before it was ready; it wrote: ", process.Output()));
  }
  return process;
}

DaemonProcess::DaemonProcess(DaemonProcess&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)),
      is_store_(other.is_store_),
      end_(other.end_),
      output_(std::move(other.output_)),
      lifeline_(std::move(other.lifeline_)) {}

DaemonProcess& DaemonProcess::operator=(DaemonProcess&& other) noexcept {
  if (this != &other) {
    Kill();
    pid_ = std::exchange(other.pid_, -1);
    is_store_ = other.is_store_;
    end_ = other.end_;
    output_ = std::move(other.output_);
    lifeline_ = std::move(other.lifeline_);
  }
  return *this;
}

DaemonProcess::~DaemonProcess() { Kill(); }

bool DaemonProcess::Running() { return pid_ > 0 && !Wait(Deadline::AfterMs(0)); }

pid_t DaemonProcess::server_pid() const {
  pid_t server = 0;
  if (is_store_ && pid_ > 0 && !end_) std::ifstream(StrCat("/proc/", pid_, "/task/", pid_, "/children")) >> server;
  return server > 0 ? server : pid_;
}

void DaemonProcess::Signal(int signal) const {
  if (pid_ <= 0 || end_) return;
  const bool for_both = signal == SIGSTOP || signal == SIGCONT || signal == SIGKILL;
  if (is_store_ && for_both) {
    if (signal == SIGKILL) static_cast<void>(StopProcess(pid_));  // so that it starts no other server
    if (const pid_t server = server_pid(); server != pid_) Send(server, signal);
  }
  Send(pid_, signal);
}

std::optional<ProcessEnd> DaemonProcess::Wait(Deadline deadline) {
  if (pid_ <= 0 || end_) return end_;
  Eventually(deadline.Left(std::chrono::hours(1)), [&] {
    int status = 0;
    const pid_t reaped = ::waitpid(pid_, &status, WNOHANG);
    if (reaped == pid_) end_ = EndOf(status);
    return reaped != 0;
  });
  return end_;
}

void DaemonProcess::Kill() {
  const pid_t server = server_pid();
  const UniqueFd gone(server > 0 && server != pid_ ? static_cast<int>(::syscall(SYS_pidfd_open, server, 0)) : -1);
  Signal(SIGKILL);
  Wait(Deadline::Never());
  if (gone) static_cast<void>(WaitReadable(gone.get(), Deadline::AfterMs(30'000)));
}

Result<ProcessEnd> DaemonProcess::Terminate(Duration timeout) {
  Signal(SIGTERM);
  const auto end = Wait(Deadline::After(timeout));
  if (!end) return Fail(ErrorCode::kTimedOut, StrCat("process ", pid_, " goes on after SIGTERM; it wrote: ", Output()));
  return *end;
}

std::string DaemonProcess::Output() const {
  std::string text;
  char buffer[4096];
  for (;;) {
    const ssize_t got = ::pread(output_.get(), buffer, sizeof buffer, static_cast<off_t>(text.size()));
    if (got <= 0) return text;
    text.append(buffer, static_cast<size_t>(got));
  }
}

Duration DaemonProcess::CpuTime() const {
  std::ifstream file(ProcFile(server_pid(), "stat"));
  std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  // The second field, in parentheses, may hold blanks; utime and stime are fields 14 and 15.
  std::istringstream fields(text.substr(std::min(text.rfind(')') + 1, text.size())));
  std::string skipped;
  for (int field = 3; field < 14; ++field) fields >> skipped;
  int64_t user_ticks = 0, system_ticks = 0;
  fields >> user_ticks >> system_ticks;
  return std::chrono::nanoseconds((user_ticks + system_ticks) * (1'000'000'000 / ::sysconf(_SC_CLK_TCK)));
}

namespace {

struct ResidentPages {
  uint64_t all = 0, shared = 0;
};

ResidentPages ResidentPagesOf(pid_t process) {
  std::ifstream file(ProcFile(process, "statm"));
  uint64_t size = 0;
  ResidentPages pages;
  file >> size >> pages.all >> pages.shared;
  return pages;
}

uint64_t BytesOfPages(uint64_t pages) { return pages * static_cast<uint64_t>(::sysconf(_SC_PAGESIZE)); }

}  // namespace

uint64_t DaemonProcess::ResidentBytes() const { return BytesOfPages(ResidentPagesOf(server_pid()).all); }

uint64_t DaemonProcess::PrivateBytes() const {
  const ResidentPages pages = ResidentPagesOf(server_pid());
  return BytesOfPages(pages.all - pages.shared);
}

int DaemonProcess::OpenDescriptors() const {
  std::error_code error;
  int count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(ProcFile(server_pid(), "fd"), error)) {
    static_cast<void>(entry);
    ++count;
  }
  return count;
}

std::vector<pid_t> ProcessesWith(const std::string& text) {
  std::vector<pid_t> found;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/proc", error)) {
    const std::string pid = entry.path().filename();
    if (pid.find_first_not_of("0123456789") != std::string::npos) continue;
    std::ifstream file(entry.path() / "environ", std::ios::binary);
    const std::string environment{std::istreambuf_iterator<char>(file), {}};
    if (environment.find(text) != std::string::npos) found.push_back(std::stoi(pid));
  }
  return found;
}

}  // namespace raylet::test
