// TaskSubmitter: from a function's name and arguments to a call of a leased worker or a TaskSpec at the raylet, for
// tasks and for creations of actors. Owned by ClusterParts; any thread. A task whose arguments are not ready
// is sent by whoever makes the last of them ready. What its caller gives up is undone.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include <ray/internal/runtime.h>

#include "base/mutex.h"
#include "client/ray/cluster/actor_table.h"
#include "client/ray/cluster/call_arguments.h"
#include "client/ray/cluster/current_task.h"
#include "client/ray/cluster/leased_tasks.h"
#include "client/ray/cluster/pending_tasks.h"
#include "client/ray/cluster/reply_pump.h"
#include "client/ray/cluster/task_room.h"
#include "client/ray/cluster/task_submission.h"

namespace raylet::client {

class TaskSubmitter {
 public:
  // All outlive this.
  TaskSubmitter(const ObjectParts& parts, ReplyPump& pump, TaskRoom& room, PendingTasks& tasks, LeasedTasks& leased,
                ActorTable& actors, CurrentTask& current)
      : parts_(parts), pump_(pump), room_(room), tasks_(tasks), leased_(leased), actors_(actors), current_(current) {
    leased_.Wire([this](const TaskSubmissionPtr& task) { SendByRaylet(task); });
  }

  // How many tasks the process's submissions are nested in from now on.
  void SetDepth(uint32_t depth) { depth_.store(depth, std::memory_order_relaxed); }

  // Waits while there is no room for another task; throws where the raylet is gone or this process stops.
  ClusterObjectPtr SubmitTask(const std::string& function, CallArguments arguments,
                              const ray::internal::CallOptions& options);

  // Fails the result, and stops the task wherever it is. `force`: the worker that runs it ends. Does nothing where the
  // result is ready.
  void Cancel(ClusterObject& result, bool force) RAYLET_EXCLUDES(send_mutex_);
  // The same for a call of an actor, without force.
  void CancelCall(ClusterObject& result);
  // The raylet says that the owner of a task has cancelled it. Where this worker runs it, the tasks that it submitted
  // are cancelled, too. False: this worker does not run it. Io thread.
  bool CancelCurrent(const TaskId& id, bool force);

  // Creates an actor. Calls on the link wait until the creation is on its way. Throws when the raylet refuses the
  // creation, for example because the name is taken. If the creation waits for arguments, the calls hear of the refusal
  // instead.
  ActorLinkPtr CreateActor(const std::string& factory, CallArguments arguments,
                           const ray::internal::CallOptions& options);

  // ---- what the raylet says; io thread
  void OnReturned(std::span<const std::byte> spec);  // it has no room for this task
  void OnRoom();                                     // it has again, for some of those that it returned

 private:
  struct Creation;
  using CreationPtr = std::shared_ptr<Creation>;
  using CreationAnswer = std::function<void(Result<void>)>;

  wire::TaskSpecT SpecOf(const TaskId& id, const std::string& function, const std::string& name);
  void FillArguments(wire::TaskSpecT& spec, std::span<const ValueView> views, Holds holds);
  TaskRoom::Place WaitForRoom(size_t bytes);
  void Route(const TaskSubmissionPtr& task);
  void SendByRaylet(const TaskSubmissionPtr& task) RAYLET_EXCLUDES(send_mutex_);
  void SendUnlessCancelled(const TaskId& id, const std::string& name, std::span<const std::byte> spec)
      RAYLET_EXCLUDES(send_mutex_);
  void TellOfCancel(const TaskId& id, uint64_t lease, bool force);
  void FailCancelled(ClusterObject& result, const char* why);
  void FailUnsent(const TaskId& id, const std::string& name, const Error& why);
  void SendCreation(const CreationPtr& creation, CreationAnswer answer);

  Result<void> CreateNow(const CreationPtr& creation);
  void Kill(const ActorId& actor);

  const ObjectParts& parts_;
  ReplyPump& pump_;
  TaskRoom& room_;
  PendingTasks& tasks_;
  LeasedTasks& leased_;
  ActorTable& actors_;
  CurrentTask& current_;
  Mutex send_mutex_;  // held while a task goes to the raylet, so that its cancel comes behind it
  // Written by a worker's main thread (relaxed), read by every thread that submits (relaxed): a number alone.
  std::atomic<uint32_t> depth_{0};
};

}  // namespace raylet::client
