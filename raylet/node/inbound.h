// Inbound: checks the meaning of messages that are well-formed FlatBuffers. FlatBuffers checks neither ranges of enums
// nor meaning. Nonsense is a kProtocolError, which closes the sender's connection. Pure.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"
#include "fbs/lease_page.h"
#include "fbs/messages.h"
#include "raylet/scheduling/task.h"

namespace raylet {

// No client or raylet of ours sends such a message.
inline tl::unexpected<Error> Nonsense(std::string message) {
  return Fail(ErrorCode::kProtocolError, std::move(message));
}

struct TaskSender {
  ProcessId process = 0;
  JobId job = 0;
  std::string_view job_namespace;  // where a request names none; outlives the call
};

// A submission. kProtocolError: no client of ours sends such a message. kInvalid, with `task` still named: we refuse
// what a user may have asked for (resources, sizes).
struct ParsedTask {
  std::shared_ptr<Task> task;  // never null
  Result<void> sound;          // kInvalid: refuse it with this sentence
  bool actor = false;
};
Result<ParsedTask> ParseTask(const Frame& frame, const TaskSender& sender, bool creates_actor);

// The raylet that sends a task, or the creation of an actor, here to run. The task's owner is a process of that
// machine. The stored arguments are wanted here before the task runs. `store_client` owns the objects that the worker
// makes for the owner.
struct ForwardingNode {
  NodeId node;
  MachineNumber machine{};
  JobId job = 0;                   // ours
  std::string_view job_namespace;  // outlives the call
  uint32_t store_client = 0;
};
Result<ParsedTask> ParseForwardedTask(std::span<const std::byte> spec, const ForwardingNode& from);

// The resources of a lease. kInvalid as above.
// Where the request names a placement group, those within it.
Result<ResourceSet> ParseLeaseResources(const wire::LeaseRequest& request);

// The TaskSpec for the worker, or the machine, in which that incarnation of the actor begins.
Bytes CreationOf(const Task& creation, uint32_t incarnation, LeaseNumber lease);

Result<void> CheckValue(const wire::Value& value);
Result<void> CheckFailure(const wire::FailureT* failure);
wire::FailureT FailureIn(const wire::Value& value);  // CheckValue has taken it, as a failed one
Result<ActorId> CheckActorId(const wire::Id20* id);

// A message that is about one actor.
template <class Message>
struct AboutActor {
  Message message;
  ActorId actor;
};
template <class Message>
Result<AboutActor<Message>> ParseAboutActor(std::span<const std::byte> body) {
  auto message = Parse<Message>(body);
  if (!message) return Fail(message.error());
  const auto actor = CheckActorId(message->actor.get());
  if (!actor) return Fail(actor.error());
  return AboutActor<Message>{*std::move(message), *actor};
}

}  // namespace raylet
