// TaskSubmitter: from a function's name and arguments to a TaskSpec at the raylet, for tasks and
// for creations of actors. Owned by ClusterParts; any thread. A task whose arguments are not ready
// is sent by whoever makes the last of them ready.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>

#include <ray/internal/runtime.h>

#include "client/ray/cluster/actor_table.h"
#include "client/ray/cluster/call_arguments.h"
#include "client/ray/cluster/pending_tasks.h"

namespace raylet::client {

class TaskSubmitter {
 public:
  TaskSubmitter(const ObjectParts& parts, PendingTasks& tasks, ActorTable& actors)
      : parts_(parts), tasks_(tasks), actors_(actors) {}

  // How many tasks the process's submissions are nested in from now on.
  void SetDepth(uint32_t depth) { depth_.store(depth, std::memory_order_relaxed); }

  ClusterObjectPtr SubmitTask(const std::string& function, CallArguments arguments,
                              const ray::internal::CallOptions& options);

  // Creates an actor. Calls on the link wait until the creation is on its way. Throws when the raylet refuses the
  // creation, for example because the name is taken. If the creation waits for arguments, the calls hear of the refusal
  // instead.
  ActorLinkPtr CreateActor(const std::string& factory, CallArguments arguments,
                           const ray::internal::CallOptions& options);

 private:
  struct Submission;
  using SubmissionPtr = std::shared_ptr<Submission>;
  using CreationAnswer = std::function<void(Result<void>)>;

  SubmissionPtr NewSubmission(const std::string& function, CallArguments arguments,
                              const ray::internal::CallOptions& options);
  FailurePtr FillArguments(Submission& submission);
  void SendTask(Submission& submission);
  void SendCreation(const SubmissionPtr& submission, CreationAnswer answer);

  const ObjectParts& parts_;
  PendingTasks& tasks_;
  ActorTable& actors_;
  // Written by a worker's main thread (relaxed), read by every thread that submits (relaxed): a number alone.
  std::atomic<uint32_t> depth_{0};
};

}  // namespace raylet::client
