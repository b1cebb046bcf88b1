// WorkerPool: the processes that the raylet starts: their start, their output, their exit notices, their end. Owned by
// the WorkerHouse; loop thread only. It knows processes and tokens, not tasks. It reaps every process that it started,
// and no other. Always holds: however many SIGCHLD come, one pass over the processes follows, in a turn of its own.
// OnExit, which may start processes, is called in a later turn.
#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/loop.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "raylet/actors/failure_text.h"
#include "raylet/node/worker_program.h"
#include "raylet/scheduling/task.h"

namespace raylet {

// The file that the process `driver` runs, if the same file lies at `executable` now.
std::shared_ptr<const UniqueFd> OpenProgramOf(pid_t driver, const std::string& executable);

struct WorkerPoolOptions {
  std::string socket;       // absolute: what workers connect to
  std::string logs_folder;  // exists
  std::chrono::milliseconds register_timeout{10'000};
};

constexpr size_t kExitsPerTurn = 32;
constexpr size_t kKillsPerTurn = 64;
constexpr size_t kReapsPerTurn = 64;

class WorkerPool {
 public:
  // Called once per started process, from the loop and never from inside Start. It is called at most kExitsPerTurn
  // times in a turn, so that the loop hears others too while a thousand processes end.
  using OnExit = std::function<void(WorkerId, const WorkerExit&)>;

  WorkerPool(Loop& loop, WorkerPoolOptions options, OnExit on_exit);
  ~WorkerPool();  // every process has ended, or is killed and no longer waited for

  // Reports a failure to start through OnExit too, like the end of a process that ends at once.
  void Start(WorkerId worker, const Result<WorkerProgram>& program);
  // The worker that was given this token and has not registered yet.
  Result<WorkerId> Registered(uint64_t token);
  void Signal(WorkerId worker, int signal);
  // Sends SIGKILL, to at most kKillsPerTurn workers in a turn, because the kernel takes time to wake each process.
  void KillSoon(WorkerId worker);
  void KillAfter(WorkerId worker, std::chrono::milliseconds grace);  // SIGKILL unless it has ended by then
  void KillNoMore(WorkerId worker);                                  // takes back KillAfter

  bool Empty() const { return processes_.empty(); }
  pid_t PidOf(WorkerId worker) const;  // 0 where it does not run
  std::string LogOf(WorkerId worker) const;
  std::vector<WorkerId> workers() const;

 private:
  struct Process;
  Result<void> Spawn(Process& process, const WorkerProgram& program);
  void ReapSoon();
  void Reap();
  void Ended(Process& process);
  void HandOver();
  void KillSome();

  Loop& loop_;
  const WorkerPoolOptions options_;
  const OnExit on_exit_;
  std::unordered_map<WorkerId, std::unique_ptr<Process>> processes_;
  std::unordered_map<uint64_t, WorkerId> tokens_;  // of workers that have not registered
  std::deque<WorkerId> to_kill_;                   // a worker that has ended meanwhile is passed over
  std::deque<WorkerId> ended_;                     // of processes_: OnExit is still to come
  SignalWatcher child_ended_;
  bool reap_due_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace raylet
