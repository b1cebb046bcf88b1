// WorkerHouse: the workers of this raylet, with the purpose and the end of each. The end has two halves, the exit
// notice of its process and the end of its socket, in either order. A service; it owns the WorkerPool. Owned by the
// Raylet; loop thread only. Always holds: a worker is reported gone once, when both halves are there, so that nothing
// that it said is lost. The house forces a half that does not come. Of many workers that have gone, it reports
// kEndsPerTurn in a turn.
#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/loop.h"
#include "raylet/node/process_door.h"
#include "raylet/node/worker_pool.h"

namespace raylet {

constexpr size_t kEndsPerTurn = 32;

struct WorkerRecord {
  JobId job = 0;
  std::string environment;    // of its group
  ProcessId process = 0;      // 0: has not registered
  uint32_t store_client = 0;  // its number at the store, as the worker reports it
  bool connected = false;
  std::optional<WorkerExit> exit;
  std::optional<ActorId> actor;
  uint32_t incarnation = 0;  // of the actor
  bool constructed = false;
  bool ends_with_job = false;  // it ends, and is not heard any more, because its job has ended
  Timer patience;              // for the half of its end that has not come yet
};

struct GoneWorker {
  WorkerId worker = 0;
  WorkerRecord record;  // with its exit
};

class WorkerHouse {
 public:
  // From the loop, in a turn of its own. Not empty.
  using OnGone = std::function<void(const std::vector<GoneWorker>&)>;

  // `door` outlives it.
  WorkerHouse(Loop& loop, WorkerPoolOptions options, std::chrono::milliseconds exit_grace, const ProcessDoor& door,
              OnGone on_gone);
  ~WorkerHouse() { *alive_ = false; }

  // ---- starts
  void Start(WorkerId worker, const WorkerGroup& group, const WorkerProgram& program);
  // The worker that was given this token; kNotRunning where it ends with its job.
  Result<WorkerId> Registered(uint64_t token);
  void Connected(WorkerId worker, ProcessId process);
  void Ready(WorkerId worker, uint32_t store_client) { records_.at(worker).store_client = store_client; }
  void Hosts(WorkerId worker, const ActorId& actor, uint32_t incarnation) {
    records_.at(worker).actor = actor;
    records_.at(worker).incarnation = incarnation;
  }
  void Constructed(WorkerId worker) { records_.at(worker).constructed = true; }

  // ---- ends
  void AskToExit(WorkerId worker);  // kills the worker after the grace time, unless LetStay
  void LetStay(WorkerId worker) { pool_.KillNoMore(worker); }
  void Kill(WorkerId worker);  // unless it ends with its job already
  // Its job has ended. A worker with an actor has kJobEndGrace to destroy it and to end in peace.
  void EndWithJob(WorkerId worker);
  void EndAllWithJobs();
  // The worker's socket has ended. False: that was the second half.
  bool SocketGone(WorkerId worker);
  // Reports no worker as gone any more. Asks all to end within `grace`. Calls `empty` once, when all have ended.
  void Stop(std::chrono::milliseconds grace, bool ask, std::function<void()> empty);
  void KillAll();

  // ---- queries
  const WorkerRecord& Get(WorkerId worker) const { return records_.at(worker); }
  size_t size() const { return records_.size(); }  // that have not gone
  const WorkerRecord* Find(WorkerId worker) const;
  ProcessSession* SessionOf(WorkerId worker) const;  // null: has not registered, or has gone
  bool EndsWithItsJob(WorkerId worker) const;
  const WorkerPool& pool() const { return pool_; }

 private:
  void OnExit(WorkerId worker, const WorkerExit& exit);
  void TellGoneSoon(WorkerId worker);
  void PostGone();
  void TellGone();

  Loop& loop_;
  const ProcessDoor& door_;
  const std::chrono::milliseconds exit_grace_;
  const OnGone on_gone_;
  WorkerPool pool_;
  std::unordered_map<WorkerId, WorkerRecord> records_;
  std::deque<WorkerId> gone_;  // of records_: not reported yet
  bool stopping_ = false;
  std::function<void()> empty_;
  const std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace raylet
