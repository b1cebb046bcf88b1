// WorkerLoop: a worker's main thread: takes work that the raylet sends (tasks one at a time, or one actor for life) and
// calls that come over channels, until the raylet says Exit. Owned by RunWorker. Deliver is called on the io thread,
// everything else on the main thread.
#pragma once

#include <atomic>
#include <deque>
#include <memory>
#include <mutex>
#include <variant>

#include <ray/api/ray_config.h>

#include "client/ray/worker/actor_host.h"
#include "client/ray/worker/call_executor.h"

namespace raylet::client {

class WorkerLoop {
 public:
  void Deliver(const Frame& frame, std::vector<UniqueFd>& fds);
  void Run(ClusterCore& core);

 private:
  struct ChannelClosed {
    uint64_t number = 0;
  };
  struct Exit {};
  using Event = std::variant<std::unique_ptr<wire::TaskSpecT>, std::unique_ptr<HostedChannel>, ChannelClosed, Exit>;
  void Add(Event event);
  bool TakeEvent(Event& event);
  void GiveBack(const wire::TasksNoticeT& wanted);
  void RunTask(ClusterCore& core, CallExecutor& executor, ActorHost& host, const wire::TaskSpecT& spec);

  std::mutex mutex_;
  std::deque<Event> events_;  // guarded by mutex_
  std::atomic<size_t> event_count_{0};
  std::atomic<ClusterCore*> core_{nullptr};  // set by Run (release) before it takes work; acquired by GiveBack
  ActorId actor_;                            // nil: none lives here
};

// A worker's whole life, in a process with RAYLET_WORKER_TOKEN in its environment.
[[noreturn]] void RunWorker(const ray::RayConfig& config);

}  // namespace raylet::client
