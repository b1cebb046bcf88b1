// TaskSubmitter: from a function's name and arguments to a TaskSpec at the raylet, for tasks and
// for creations of actors. Owned by ClusterParts; any thread. A task whose arguments are not ready
// is sent by whoever makes the last of them ready. What its caller gives up is undone.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include <ray/internal/runtime.h>

#include "client/ray/cluster/actor_table.h"
#include "client/ray/cluster/call_arguments.h"
#include "client/ray/cluster/pending_tasks.h"
#include "client/ray/cluster/reply_pump.h"
#include "client/ray/cluster/task_room.h"

namespace raylet::client {

class TaskSubmitter {
 public:
  // All outlive this.
  TaskSubmitter(const ObjectParts& parts, ReplyPump& pump, TaskRoom& room, PendingTasks& tasks, ActorTable& actors)
      : parts_(parts), pump_(pump), room_(room), tasks_(tasks), actors_(actors) {}

  // How many tasks the process's submissions are nested in from now on.
  void SetDepth(uint32_t depth) { depth_.store(depth, std::memory_order_relaxed); }

  // Waits while there is no room for another task; throws where the raylet is gone or this process stops.
  ClusterObjectPtr SubmitTask(const std::string& function, CallArguments arguments,
                              const ray::internal::CallOptions& options);

  // Creates an actor. Calls on the link wait until the creation is on its way. Throws when the raylet refuses the
  // creation, for example because the name is taken. If the creation waits for arguments, the calls hear of the refusal
  // instead.
  ActorLinkPtr CreateActor(const std::string& factory, CallArguments arguments,
                           const ray::internal::CallOptions& options);

  // ---- what the raylet says; io thread
  void OnReturned(std::span<const std::byte> spec);  // it has no room for this task
  void OnRoom();                                     // it has again, for some of those that it returned

 private:
  struct Submission;
  using SubmissionPtr = std::shared_ptr<Submission>;
  using CreationAnswer = std::function<void(Result<void>)>;

  SubmissionPtr NewSubmission(const std::string& function, CallArguments arguments,
                              const ray::internal::CallOptions& options);
  TaskRoom::Place WaitForRoom(size_t bytes);
  FailurePtr FillArguments(Submission& submission);
  void SendTask(Submission& submission);
  void FailUnsent(const TaskId& id, const std::string& name, const Error& why);
  void SendCreation(const SubmissionPtr& submission, CreationAnswer answer);

  Result<void> CreateNow(const SubmissionPtr& submission);
  void Kill(const ActorId& actor);

  const ObjectParts& parts_;
  ReplyPump& pump_;
  TaskRoom& room_;
  PendingTasks& tasks_;
  ActorTable& actors_;
  // Written by a worker's main thread (relaxed), read by every thread that submits (relaxed): a number alone.
  std::atomic<uint32_t> depth_{0};
};

}  // namespace raylet::client
