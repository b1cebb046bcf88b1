// WorkerLoop: a worker's main thread. Until the raylet says Exit, it runs the raylet's tasks one at a time, or one
// actor for life. It also serves the calls that come in channels, an actor's and those of the process that leases this
// worker. Owned by RunWorker. Deliver is called on the io thread, everything else on the main thread.
#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "base/mutex.h"
#include "client/ray/cluster/cluster_runtime.h"
#include "client/ray/worker/actor_host.h"
#include "client/ray/worker/call_executor.h"
#include "client/ray/worker/leased_calls.h"

namespace raylet::client {

class WorkerLoop {
 public:
  void Deliver(RayletLink& link, const Frame& frame, std::vector<UniqueFd>& fds);
  // `runtime` is this process's runtime, made of `parts`.
  void Run(ClusterParts& parts, ClusterRuntime& runtime);

 private:
  struct ChannelClosed {
    uint64_t number = 0;
  };
  struct Exit {
    bool job_ended = false;
  };
  struct Devices {
    std::string visible;  // as CUDA_VISIBLE_DEVICES has them
  };
  using Event = std::variant<std::unique_ptr<wire::TaskSpecT>, std::unique_ptr<HostedChannel>, ChannelClosed,
                             std::unique_ptr<WorkerLease>, Devices, Exit>;
  struct Running;  // the objects that live as long as Run
  void Add(Event event) RAYLET_EXCLUDES(mutex_);
  // A task that it takes is current from then on.
  bool TakeEvent(CurrentTask& current, Event& event) RAYLET_EXCLUDES(mutex_);
  void Cancel(const wire::CancelNoticeT& notice) RAYLET_EXCLUDES(mutex_);
  void GiveBack(RayletLink& link, const wire::TasksNoticeT& wanted) RAYLET_EXCLUDES(mutex_);
  void RunTask(Running& running, const wire::TaskSpecT& spec);
  void BeginLease(Running& running, std::unique_ptr<WorkerLease> lease);
  void ServeLease(Running& running);

  Mutex mutex_;
  std::deque<Event> events_ RAYLET_GUARDED_BY(mutex_);
  std::atomic<size_t> event_count_{0};                    // size of events_, for the main thread's look while it waits
  std::set<TaskId> cancelled_ RAYLET_GUARDED_BY(mutex_);  // tasks of events_: they are answered, and not run
  ActorId actor_;                                         // nil: none lives here
  std::atomic<ClusterParts*> parts_{nullptr};             // stored by Run (release), read on the io thread (acquire)
};

// Loads the shared libraries of a job, given its code_search_path.
using LoadCode = std::function<void(const std::vector<std::string>&)>;

// A worker's whole life, in a process with RAYLET_WORKER_TOKEN in its environment.
[[noreturn]] void RunWorker(const LoadCode& load_code);

}  // namespace raylet::client
