#include "raylet/node/inbound.h"

#include <algorithm>

#include "base/check.h"
#include "base/strings.h"
#include "fbs/text_bounds.h"
#include "raylet/scheduling/bundle_resources.h"

namespace raylet {
namespace {

template <class Enum>
bool InRange(Enum value, Enum max) {
  using Number = std::underlying_type_t<Enum>;
  return static_cast<Number>(value) <= static_cast<Number>(max);
}

// Adds what a request names, and one CPU where `one_cpu` and it names none.
Result<void> AddResources(const std::vector<std::unique_ptr<wire::ResourceT>>& named, bool one_cpu,
                          ResourceSet& resources) {
  bool names_cpu = false;
  for (const auto& resource : named) {
    if (resource->name == kCpu) names_cpu = true;
    if (resource->name == kCpu && resource->units == 0) continue;  // the program asks for no CPU
    RAYLET_RETURN_IF_ERROR(resources.Add(resource->name, resource->units));
  }
  return names_cpu || !one_cpu ? Result<void>() : resources.Add(kCpu, kUnitsPerWhole);
}

// `message` is a TaskSpec or a LeaseRequest. The resources become those within its placement group, if any.
template <class Message>
Result<PlacementGroupId> PutIntoGroup(const Message& message, ResourceSet& resources) {
  for (const auto& amount : resources.amounts()) RAYLET_RETURN_IF_ERROR(CheckBundleResource(amount.name));
  if (!message.placement_group) return PlacementGroupId();
  const auto group = FromWire<PlacementGroupId>(*message.placement_group);
  if (message.bundle < kAnyBundle)
    return Fail(ErrorCode::kInvalid, StrCat("it runs in bundle ", message.bundle, " of a placement group: give one ",
                                            "of them, from 0, or -1 for any"));
  resources = WithinGroup(resources, group, message.bundle);
  return group;
}

Result<void> CheckSoundness(const wire::TaskSpecT& spec, Task& task) {
  RAYLET_RETURN_IF_ERROR(AddResources(spec.resources, /*one_cpu=*/!spec.actor, task.resources));
  const auto group = PutIntoGroup(spec, task.resources);
  if (!group) return Fail(group.error());
  task.placement_group = *group;
  task.bundle = spec.bundle;
  if (spec.wait_for.size() > kWaitForMax) {
    return Fail(ErrorCode::kInvalid, StrCat("it waits for ", spec.wait_for.size(), " objects and the limit is ",
                                            kWaitForMax, ": pass a vector of references instead"));
  }
  if (spec.environment.size() > kEnvironmentBytesMax) {
    return Fail(ErrorCode::kInvalid, StrCat("its runtime environment has ", spec.environment.size(),
                                            " bytes and the limit is ", kEnvironmentBytesMax));
  }
  RAYLET_RETURN_IF_ERROR(CheckName("a task's name", spec.name));
  RAYLET_RETURN_IF_ERROR(CheckName("a function's name", spec.function));
  if (spec.actor) {
    RAYLET_RETURN_IF_ERROR(CheckName("an actor's name", spec.actor->name));
    RAYLET_RETURN_IF_ERROR(CheckName("a namespace", spec.actor->actor_namespace));
  }
  return {};
}

}  // namespace

Result<void> CheckFailure(const wire::FailureT* failure) {
  if (failure == nullptr) return Nonsense("a failed value says no failure");
  if (!InRange(failure->kind, wire::FailureKind::MAX))
    return Nonsense(StrCat("a failure is of unknown kind ", static_cast<int>(failure->kind)));
  if (const size_t bytes = TextBytes(*failure); bytes > kFailureBytesMax)
    return Nonsense(StrCat("a failure has ", bytes, " bytes of text and the limit is ", kFailureBytesMax));
  return {};
}

Result<void> CheckValue(const wire::ValueT* value) {
  if (value == nullptr) return Nonsense("a value is missing");
  switch (value->kind) {
    case wire::ValueKind::Inline: return {};
    case wire::ValueKind::Stored:
      if (!value->id || FromWire<ObjectId>(*value->id).IsNil()) return Nonsense("a stored value names no object");
      return {};
    case wire::ValueKind::Failed: return CheckFailure(value->failure.get());
  }
  return Nonsense(StrCat("a value is of unknown kind ", static_cast<int>(value->kind)));
}

Result<ActorId> CheckActorId(const wire::Id20* id) {
  if (id == nullptr || FromWire<ActorId>(*id).IsNil()) return Nonsense("a message about an actor names none");
  return FromWire<ActorId>(*id);
}

namespace {

// Parses everything but the owner.
Result<ParsedTask> ParseSpec(const wire::TaskSpecT& spec, const TaskSender& sender, bool creates_actor,
                             bool forwarded) {
  const TaskId id = FromWire<TaskId>(*spec.id);
  if (id.IsNil()) return Nonsense("a submitted task has no id");
  if (creates_actor != (spec.actor != nullptr))
    return Nonsense(creates_actor ? "a request to create an actor describes none"
                                  : "a submitted task describes an actor");
  for (const int32_t retries : {spec.max_retries, spec.exception_retries})
    if (retries < -1) return Nonsense(StrCat("a task has ", retries, " retries"));

  ParsedTask parsed;
  parsed.task = std::make_shared<Task>();
  parsed.actor = creates_actor;
  Task& task = *parsed.task;
  task.id = id;
  task.job = sender.job;
  task.owner = spec.owner;
  task.name = spec.name.empty() ? spec.function : spec.name;
  task.function = spec.function;
  task.environment = spec.environment;
  task.depth = std::min(spec.depth, kTaskDepthMax);
  task.max_retries = creates_actor ? 0 : spec.max_retries;
  task.begun_before = spec.begun_before;
  task.lent = spec.lend != 0;
  for (const auto& argument : spec.arguments) {
    RAYLET_RETURN_IF_ERROR(CheckValue(argument.get()));
    if (argument->kind == wire::ValueKind::Stored) task.stored_arguments.push_back(FromWire<ObjectId>(*argument->id));
  }
  task.wait_for.reserve(spec.wait_for.size());
  for (const auto& object : spec.wait_for) {
    task.wait_for.push_back(FromWire<ObjectId>(object));
    if (task.wait_for.back().IsNil()) return Nonsense("a task waits for an object without an id");
  }
  if (spec.actor) {
    ActorSettings settings;
    const auto actor = CheckActorId(spec.actor->id.get());
    if (!actor) return Fail(actor.error());
    settings.id = *actor;
    if (CreatorOf(*actor) != spec.owner) {
      return Nonsense(StrCat("the id of actor ", actor->hex(), " names process ", CreatorOf(*actor),
                             " as its creator, and process ", spec.owner, " creates it"));
    }
    settings.name = spec.actor->name;
    settings.actor_namespace = spec.actor->actor_namespace.empty() ? sender.job_namespace : spec.actor->actor_namespace;
    settings.max_restarts = spec.actor->max_restarts;
    settings.detached = spec.actor->detached;
    settings.max_concurrency = spec.actor->max_concurrency;
    settings.restarts = spec.actor->restarts;
    settings.max_task_retries = spec.actor->max_task_retries;
    if (spec.actor->restarts != 0 && !forwarded)
      return Nonsense("an actor that is to be created says that it has started again");
    if (spec.actor->lease != 0) return Nonsense("an actor that is to be created names a lease of this machine");
    if (settings.max_task_retries < -1)
      return Nonsense(StrCat("an actor's calls have ", settings.max_task_retries, " retries"));
    if (settings.max_restarts < -1) return Nonsense(StrCat("an actor has ", settings.max_restarts, " restarts"));
    task.actor = std::move(settings);
  }
  parsed.sound = CheckSoundness(spec, task);
  return parsed;
}

}  // namespace

Result<ParsedTask> ParseTask(const Frame& frame, const TaskSender& sender, bool creates_actor) {
  const auto spec = Parse<wire::TaskSpecT>(frame.body);
  if (!spec) return Fail(spec.error());
  if (spec->owner != sender.process) {
    return Nonsense(StrCat("task ", FromWire<TaskId>(*spec->id).hex(), " names process ", spec->owner,
                           " as its owner, and process ", sender.process, " sent it"));
  }
  auto parsed = ParseSpec(*spec, sender, creates_actor, /*forwarded=*/false);
  if (parsed) parsed->task->body = frame.body;
  return parsed;
}

Result<ParsedTask> ParseForwardedTask(std::span<const uint8_t> bytes, const ForwardingNode& from) {
  auto spec = Parse<wire::TaskSpecT>(std::as_bytes(bytes));
  if (!spec) return Fail(spec.error());
  if (MachineOf(spec->owner) != from.machine) {
    return Nonsense(StrCat("task ", FromWire<TaskId>(*spec->id).hex(), " names process ", spec->owner,
                           " as its owner, which is not of the machine that sent it"));
  }
  auto parsed =
      ParseSpec(*spec, {spec->owner, from.job, from.job_namespace}, spec->actor != nullptr, /*forwarded=*/true);
  if (!parsed) return parsed;
  Task& task = *parsed->task;
  task.from = from.node;
  task.wait_for = task.stored_arguments;
  spec->owner_store_client = from.store_client;
  task.body = Encode(*spec);
  return parsed;
}

Result<ResourceSet> ParseLeaseResources(const wire::LeaseRequestT& request) {
  ResourceSet resources;
  RAYLET_RETURN_IF_ERROR(AddResources(request.resources, /*one_cpu=*/true, resources));
  const auto group = PutIntoGroup(request, resources);
  return group ? Result<ResourceSet>(std::move(resources)) : Fail(group.error());
}

Bytes CreationOf(const Task& creation, uint32_t incarnation, LeaseNumber lease) {
  if (incarnation == creation.actor->restarts + 1 && lease == 0) return creation.body;
  auto spec = Parse<wire::TaskSpecT>(creation.body);
  RAYLET_CHECK(spec.has_value() && spec->actor != nullptr, "the creation of actor ", creation.actor->id.hex(),
               " was read once and cannot be read again");
  spec->actor->restarts = incarnation - 1;
  spec->actor->lease = lease;
  return Encode(*spec);
}

}  // namespace raylet
