#include "raylet/node/worker_pool.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>

#include "base/id.h"
#include "base/log.h"
#include "base/strings.h"
#include "base/unique_fd.h"

namespace raylet {
namespace {

constexpr const char* kTokenVariable = "RAYLET_WORKER_TOKEN=";
constexpr const char* kSocketVariable = "RAYLET_SOCKET=";

std::vector<char*> Pointers(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  pointers.reserve(texts.size() + 1);
  for (std::string& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

// A worker ignores and blocks no signal, whatever the raylet does with it. It leads a process group of its own, which
// ends with it.
class SpawnAttributes {
 public:
  SpawnAttributes() {
    sigset_t signals;
    ::posix_spawnattr_init(&attributes_);
    ::sigfillset(&signals);
    ::posix_spawnattr_setsigdefault(&attributes_, &signals);
    ::sigemptyset(&signals);
    ::posix_spawnattr_setsigmask(&attributes_, &signals);
    ::posix_spawnattr_setflags(&attributes_, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
    ::posix_spawnattr_setpgroup(&attributes_, 0);
  }
  ~SpawnAttributes() { ::posix_spawnattr_destroy(&attributes_); }
  SpawnAttributes(const SpawnAttributes&) = delete;
  SpawnAttributes& operator=(const SpawnAttributes&) = delete;
  const posix_spawnattr_t* get() const { return &attributes_; }

 private:
  posix_spawnattr_t attributes_{};
};

// The worker's input is empty, its output goes to its log, and it runs in the given folder, if there is one.
class SpawnActions {
 public:
  SpawnActions(int log, const std::string& folder) {
    ::posix_spawn_file_actions_init(&actions_);
    ::posix_spawn_file_actions_addopen(&actions_, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    ::posix_spawn_file_actions_adddup2(&actions_, log, STDOUT_FILENO);
    ::posix_spawn_file_actions_adddup2(&actions_, log, STDERR_FILENO);
    if (!folder.empty()) ::posix_spawn_file_actions_addchdir_np(&actions_, folder.c_str());
  }
  ~SpawnActions() { ::posix_spawn_file_actions_destroy(&actions_); }
  SpawnActions(const SpawnActions&) = delete;
  SpawnActions& operator=(const SpawnActions&) = delete;
  const posix_spawn_file_actions_t* get() const { return &actions_; }

 private:
  posix_spawn_file_actions_t actions_{};
};

// False while the worker runs. Kills what is left of its process group once it has ended, and before it is waited for:
// until then no other process can have its number.
bool EndGroupOfEnded(pid_t worker) {
  siginfo_t info{};
  if (::waitid(P_PID, static_cast<id_t>(worker), &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid != worker)
    return false;
  ::kill(-worker, SIGKILL);
  return true;
}

uint64_t NewToken() {
  uint64_t token = 0;
  while (token == 0) FillRandom(reinterpret_cast<uint8_t*>(&token), sizeof token);
  return token;
}

}  // namespace

bool IsAt(const UniqueFd& file, const std::string& path) {
  struct stat at_path {};
  struct stat of_file {};
  return ::fstat(file.get(), &of_file) == 0 && ::stat(path.c_str(), &at_path) == 0 &&
         at_path.st_dev == of_file.st_dev && at_path.st_ino == of_file.st_ino;
}

// The file to execute. It is the path as long as the same file lies there, because ps shows that name.
std::string FileToRun(const WorkerProgram& program) {
  if (program.file == nullptr || IsAt(*program.file, program.executable)) return program.executable;
  return StrCat("/proc/self/fd/", program.file->get());
}

constexpr size_t kLastOutputBytesMax = 1000;

// The end of a log, from the start of a line where one is that near.
std::string EndOf(const std::string& path) {
  const UniqueFd log(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  const off_t size = log ? ::lseek(log.get(), 0, SEEK_END) : 0;
  if (size <= 0) return {};
  const off_t from = std::max<off_t>(0, size - static_cast<off_t>(kLastOutputBytesMax));
  std::string text(static_cast<size_t>(size - from), '\0');
  const ssize_t got = ::pread(log.get(), text.data(), text.size(), from);
  text.resize(got > 0 ? static_cast<size_t>(got) : 0);
  if (const size_t line = text.find('\n'); from > 0 && line != std::string::npos && line + 1 < text.size())
    text.erase(0, line + 1);
  std::replace(text.begin(), text.end(), '\0', ' ');  // readers may take the text for a C string
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

struct WorkerPool::Process {
  WorkerId worker = 0;
  uint64_t token = 0;
  pid_t pid = 0;  // while it runs
  std::string log_file;
  std::string start_error;
  WorkerExit exit;  // once it has ended
  Timer register_timer;
  Timer kill_timer;
};

WorkerPool::WorkerPool(Loop& loop, WorkerPoolOptions options, OnExit on_exit)
    : loop_(loop),
      options_(std::move(options)),
      on_exit_(std::move(on_exit)),
      child_ended_(loop, SIGCHLD, [this] { ReapSoon(); }) {}

WorkerPool::~WorkerPool() {
  *alive_ = false;
  for (const auto& [id, process] : processes_)
    if (process->pid != 0) ::kill(-process->pid, SIGKILL);
}

std::shared_ptr<const UniqueFd> OpenProgramOf(pid_t driver, const std::string& executable) {
  UniqueFd file(::open(StrCat("/proc/", driver, "/exe").c_str(), O_RDONLY | O_CLOEXEC));
  return file && IsAt(file, executable) ? std::make_shared<const UniqueFd>(std::move(file)) : nullptr;
}

void WorkerPool::Start(WorkerId worker, const Result<WorkerProgram>& program) {
  auto& process = processes_[worker];
  process = std::make_unique<Process>();
  process->worker = worker;
  process->token = NewToken();
  const auto spawned = program ? Spawn(*process, *program) : Fail(program.error());
  if (!spawned) {
    process->start_error = spawned.error().message;
    RAYLET_LOG(kWarning, "worker ", worker, ": ", process->start_error);
    Ended(*process);
    return;
  }
  tokens_[process->token] = worker;
  process->register_timer = Timer(loop_, options_.register_timeout, {}, [this, worker] {
    const auto found = processes_.find(worker);
    if (found == processes_.end()) return;
    Process& late = *found->second;
    late.start_error = StrCat("worker ", late.pid, " did not register within ", options_.register_timeout.count(),
                              " ms and was killed: see its log, or let it have "
                              "longer with the raylet's --register-timeout");
    tokens_.erase(late.token);
    Signal(worker, SIGKILL);
  });
  RAYLET_LOG(kInfo, "worker ", worker, ": started ", program->executable, " as process ", process->pid);
}

Result<void> WorkerPool::Spawn(Process& process, const WorkerProgram& program) {
  // The log's name holds the pid, which is known only after the start.
  const std::string early_log = StrCat(options_.logs_folder, "/worker-starting-", process.worker, ".log");
  const UniqueFd log(::open(early_log.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600));
  if (!log) return FailErrno(StrCat("cannot create a worker's log ", early_log), errno);

  std::vector<std::string> arguments = program.arguments;
  if (arguments.empty()) arguments.push_back(program.executable);
  std::vector<std::string> environment;
  for (const std::string& entry : program.environment)
    if (!entry.starts_with(kTokenVariable) && !entry.starts_with(kSocketVariable)) environment.push_back(entry);
  environment.push_back(StrCat(kTokenVariable, process.token));
  environment.push_back(StrCat(kSocketVariable, options_.socket));
  auto argument_pointers = Pointers(arguments);
  auto environment_pointers = Pointers(environment);

  const SpawnAttributes attributes;
  const SpawnActions actions(log.get(), program.working_directory);
  const std::string file = FileToRun(program);
  const int status = ::posix_spawnp(&process.pid, file.c_str(), actions.get(), attributes.get(),
                                    argument_pointers.data(), environment_pointers.data());
  if (status != 0) {
    process.pid = 0;
    ::unlink(early_log.c_str());
    return Fail(ErrorCode::kIo, StrCat("the program ", program.executable, " could not be started in ",
                                       program.working_directory, ": ", std::strerror(status)));
  }
  process.exit.pid = process.pid;
  process.log_file = StrCat(options_.logs_folder, "/worker-", process.pid, ".log");
  if (::rename(early_log.c_str(), process.log_file.c_str()) < 0) process.log_file = early_log;
  return {};
}

void WorkerPool::ReapSoon() {
  if (std::exchange(reap_due_, true)) return;
  loop_.Post([this, alive = alive_] {
    if (*alive) Reap();
  });
}

void WorkerPool::Reap() {
  reap_due_ = false;
  size_t reaped = 0;
  for (const auto& [id, process] : processes_) {
    if (process->pid == 0 || !EndGroupOfEnded(process->pid)) continue;
    int status = 0;
    if (::waitpid(process->pid, &status, WNOHANG) != process->pid) continue;
    process->exit.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
    process->exit.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    Ended(*process);
    if (++reaped == kReapsPerTurn) return ReapSoon();
  }
}

void WorkerPool::Ended(Process& process) {
  tokens_.erase(process.token);
  process.pid = 0;
  process.register_timer.Cancel();
  process.kill_timer.Cancel();
  ended_.push_back(process.worker);
  if (ended_.size() > 1) return;
  loop_.Post([this, alive = alive_] {
    if (*alive) HandOver();
  });
}

void WorkerPool::HandOver() {
  for (size_t i = 0; i < kExitsPerTurn && !ended_.empty(); ++i) {
    const auto node = processes_.extract(ended_.front());
    ended_.pop_front();
    Process& process = *node.mapped();
    WorkerExit& exit = process.exit;
    exit.start_error = process.start_error;
    if (exit.pid != 0) {
      exit.log_file = process.log_file;
      exit.last_output = EndOf(exit.log_file);
      // Removes empty logs: thousands of workers come and go, and few write anything.
      struct stat log {};
      if (::stat(exit.log_file.c_str(), &log) == 0 && log.st_size == 0) {
        ::unlink(exit.log_file.c_str());
        exit.log_file.clear();
      }
      RAYLET_LOG(kInfo, "worker ", process.worker, ": ", DescribeExit(exit));
    }
    on_exit_(process.worker, exit);
  }
  if (ended_.empty()) return;
  loop_.Post([this, alive = alive_] {
    if (*alive) HandOver();
  });
}

Result<WorkerId> WorkerPool::Registered(uint64_t token) {
  const auto found = tokens_.find(token);
  if (found == tokens_.end()) {
    return Fail(ErrorCode::kNotAllowed,
                "a worker came with a token that this raylet gave to nobody: only the raylet starts "
                "workers; unset RAYLET_WORKER_TOKEN to start a driver");
  }
  const WorkerId worker = found->second;
  tokens_.erase(found);
  processes_.at(worker)->register_timer.Cancel();
  return worker;
}

void WorkerPool::Signal(WorkerId worker, int signal) {
  const auto found = processes_.find(worker);
  if (found != processes_.end() && found->second->pid != 0) ::kill(found->second->pid, signal);
}

void WorkerPool::KillSoon(WorkerId worker) {
  to_kill_.push_back(worker);
  if (to_kill_.size() > 1) return;
  loop_.Post([this, alive = alive_] {
    if (*alive) KillSome();
  });
}

void WorkerPool::KillSome() {
  for (size_t i = 0; i < kKillsPerTurn && !to_kill_.empty(); ++i) {
    Signal(to_kill_.front(), SIGKILL);
    to_kill_.pop_front();
  }
  if (to_kill_.empty()) return;
  loop_.Post([this, alive = alive_] {
    if (*alive) KillSome();
  });
}

void WorkerPool::KillAfter(WorkerId worker, std::chrono::milliseconds grace) {
  const auto found = processes_.find(worker);
  if (found == processes_.end()) return;
  found->second->kill_timer = Timer(loop_, grace, {}, [this, worker] { Signal(worker, SIGKILL); });
}

void WorkerPool::KillNoMore(WorkerId worker) {
  const auto found = processes_.find(worker);
  if (found != processes_.end()) found->second->kill_timer.Cancel();
}

pid_t WorkerPool::PidOf(WorkerId worker) const {
  const auto found = processes_.find(worker);
  return found == processes_.end() ? 0 : found->second->pid;
}

std::string WorkerPool::LogOf(WorkerId worker) const {
  const auto found = processes_.find(worker);
  return found == processes_.end() ? "" : found->second->log_file;
}

std::vector<WorkerId> WorkerPool::workers() const {
  std::vector<WorkerId> ids;
  ids.reserve(processes_.size());
  for (const auto& process : processes_) ids.push_back(process.first);
  return ids;
}

}  // namespace raylet
