// LeasedTasks: the workers that this process leases, and the tasks that it sends to them past the raylet. It keeps each
// task until its answer. When a lease ends it takes back the tasks that the worker has not begun. It repeats the begun
// task of a dead worker while the task has retries left. Owned by ClusterParts; any thread. TaskKind decides.
// Always holds: a task that came here is with one worker, waits here, or has gone by the raylet.
#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "client/ray/cluster/call_channel.h"
#include "client/ray/cluster/reply_pump.h"
#include "client/ray/cluster/task_kind.h"

namespace raylet::client {

class LeasedTasks {
 public:
  using SendByRaylet = std::function<void(const TaskSubmissionPtr&)>;

  // Both outlive this.
  LeasedTasks(const ObjectParts& parts, ReplyPump& pump) : parts_(parts), pump_(pump) {}
  void Wire(SendByRaylet send) { send_by_raylet_ = std::move(send); }  // before the first task
  // Joins the thread, and fails what waits here. After RayletLink::Stop, and before ReplyPump::Stop.
  void Stop(const FailurePtr& failure) RAYLET_EXCLUDES(mutex_);

  // Null where the process has too many kinds: the task goes by the raylet.
  TaskKind* KindOf(const TaskSubmission& task) RAYLET_EXCLUDES(mutex_);
  // The task's arguments are resolved and all inline, and lend nothing. False: it goes by the raylet.
  bool Take(const TaskSubmissionPtr& task) RAYLET_EXCLUDES(mutex_);
  void EndedByRaylet(TaskKind& kind) RAYLET_EXCLUDES(mutex_);
  // The result is failed already: a task that waits here goes, and one that its worker has not begun never begins.
  // Returns the lease of the worker that has begun it; 0: none has. `last`: that worker begins no other call.
  uint64_t Cancel(const ClusterObject& result, bool last) RAYLET_EXCLUDES(mutex_);

  // ---- what the raylet says; io thread
  void OnShut(uint64_t lease) RAYLET_EXCLUDES(mutex_);
  void OnLost(uint64_t lease, const Failure& failure) RAYLET_EXCLUDES(mutex_);

 private:
  class Lease;
  using LeasePtr = std::shared_ptr<Lease>;
  // The work that follows once mutex_ is released.
  struct Todo {
    std::deque<TaskSubmissionPtr> by_raylet;
    std::vector<TaskKind*> ask;
    std::vector<std::pair<TaskSubmissionPtr, FailurePtr>> failed;
    std::vector<TaskSubmissionPtr> cancelled;
    std::vector<LeasePtr> gone;
  };

  void Fill(TaskKind& kind, TimePoint now, Todo& todo) RAYLET_REQUIRES(mutex_);
  void End(Lease& lease, TimePoint now, Todo& todo) RAYLET_REQUIRES(mutex_);
  void Forget(const LeasePtr& lease, Todo& todo) RAYLET_REQUIRES(mutex_);
  void Carry(Todo todo) RAYLET_EXCLUDES(mutex_);
  void Ask(TaskKind& kind);
  void OnReply(TaskKind& kind, Result<Frame> frame, std::vector<UniqueFd>& fds) RAYLET_EXCLUDES(mutex_);
  Result<LeasePtr> Open(TaskKind& kind, const wire::LeaseReplyT& reply, std::vector<UniqueFd>& fds);
  void AfterReplies(Lease& lease) RAYLET_EXCLUDES(mutex_);
  // The worker is gone, or its words mean nothing. Under the drain lock.
  void Lose(const LeasePtr& lease, const Failure& failure) RAYLET_EXCLUDES(mutex_);
  void FeedSoon();
  void Feed() RAYLET_EXCLUDES(mutex_, feeder_mutex_);
  bool FeedOnce() RAYLET_EXCLUDES(mutex_);  // whether tasks wait

  const ObjectParts& parts_;
  ReplyPump& pump_;
  SendByRaylet send_by_raylet_;

  Mutex mutex_;  // no hold is dropped under it
  // Depth, environment, resources, placement group, bundle.
  using KindKey = std::tuple<uint32_t, std::string, std::map<std::string, double>, std::string, int>;
  struct Kind : TaskKind {
    KindKey key;
  };
  std::map<KindKey, std::unique_ptr<Kind>> kinds_ RAYLET_GUARDED_BY(mutex_);  // never erased
  TaskKind* last_kind_ RAYLET_GUARDED_BY(mutex_) = nullptr;
  std::unordered_map<uint64_t, LeasePtr> leases_ RAYLET_GUARDED_BY(mutex_);
  CallRecord record_ RAYLET_GUARDED_BY(mutex_);  // its memory is used again
  bool stopped_ RAYLET_GUARDED_BY(mutex_) = false;

  // The feeder: while tasks wait here, it looks for answers that no other thread takes. It sleeps otherwise.
  std::atomic<bool> feeding_{false};
  Mutex feeder_mutex_;
  ConditionVariable feeder_changed_;
  std::thread feeder_ RAYLET_GUARDED_BY(feeder_mutex_);
  bool feeder_stops_ RAYLET_GUARDED_BY(feeder_mutex_) = false;
};

}  // namespace raylet::client
