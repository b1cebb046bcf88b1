#include "raylet/node/inbound.h"

#include <algorithm>

#include "base/check.h"
#include "base/strings.h"
#include "fbs/id_lists.h"
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
Result<void> AddResources(const flatbuffers::Vector<flatbuffers::Offset<wire::Resource>>& named, bool one_cpu,
                          ResourceSet& resources) {
  resources.Reserve(std::min<size_t>(named.size() + 1, kResourceNamesMax));
  bool names_cpu = false;
  for (const wire::Resource* const resource : named) {
    const std::string_view name = resource->name()->string_view();
    if (name == kCpu) names_cpu = true;
    if (name == kCpu && resource->units() == 0) continue;  // the program asks for no CPU
    RAYLET_RETURN_IF_ERROR(resources.Add(name, resource->units()));
  }
  return names_cpu || !one_cpu ? Result<void>() : resources.Add(kCpu, kUnitsPerWhole);
}

// `message` is a TaskSpec or a LeaseRequest. The resources become those within its placement group, if any.
template <class Message>
Result<PlacementGroupId> PutIntoGroup(const Message& message, ResourceSet& resources) {
  for (const auto& amount : resources.amounts()) RAYLET_RETURN_IF_ERROR(CheckBundleResource(amount.name));
  if (message.placement_group() == nullptr) return PlacementGroupId();
  const auto group = FromWire<PlacementGroupId>(*message.placement_group());
  if (message.bundle() < kAnyBundle)
    return Fail(ErrorCode::kInvalid, StrCat("it runs in bundle ", message.bundle(), " of a placement group: give one ",
                                            "of them, from 0, or -1 for any"));
  resources = WithinGroup(resources, group, message.bundle());
  return group;
}

Result<void> CheckSoundness(const wire::TaskSpec& spec, Task& task) {
  RAYLET_RETURN_IF_ERROR(AddResources(*spec.resources(), /*one_cpu=*/spec.actor() == nullptr, task.resources));
  const auto group = PutIntoGroup(spec, task.resources);
  if (!group) return Fail(group.error());
  task.placement_group = *group;
  task.bundle = spec.bundle();
  if (task.wait_for.size() > kWaitForMax) {
    return Fail(ErrorCode::kInvalid, StrCat("it waits for ", task.wait_for.size(), " objects and the limit is ",
                                            kWaitForMax, ": pass a vector of references instead"));
  }
  if (task.environment.size() > kEnvironmentBytesMax) {
    return Fail(ErrorCode::kInvalid, StrCat("its runtime environment has ", task.environment.size(),
                                            " bytes and the limit is ", kEnvironmentBytesMax));
  }
  RAYLET_RETURN_IF_ERROR(CheckName("a task's name", spec.name()->string_view()));
  RAYLET_RETURN_IF_ERROR(CheckName("a function's name", task.function));
  if (task.actor) {
    RAYLET_RETURN_IF_ERROR(CheckName("an actor's name", task.actor->name));
    RAYLET_RETURN_IF_ERROR(CheckName("a namespace", task.actor->actor_namespace));
  }
  return {};
}

Result<void> CheckFailure(wire::FailureKind kind, size_t text_bytes) {
  if (!InRange(kind, wire::FailureKind::MAX))
    return Nonsense(StrCat("a failure is of unknown kind ", static_cast<int>(kind)));
  if (text_bytes > kFailureBytesMax)
    return Nonsense(StrCat("a failure has ", text_bytes, " bytes of text and the limit is ", kFailureBytesMax));
  return {};
}

constexpr const char* kNoFailure = "a failed value says no failure";

}  // namespace

Result<void> CheckFailure(const wire::FailureT* failure) {
  return failure == nullptr ? Nonsense(kNoFailure) : CheckFailure(failure->kind, TextBytes(*failure));
}

Result<void> CheckValue(const wire::Value& value) {
  switch (value.kind()) {
    case wire::ValueKind::Inline: return {};
    case wire::ValueKind::Stored:
      if (value.id() == nullptr || FromWire<ObjectId>(*value.id()).IsNil())
        return Nonsense("a stored value names no object");
      return {};
    case wire::ValueKind::Failed:
      if (value.failure() == nullptr) return Nonsense(kNoFailure);
      return CheckFailure(value.failure()->kind(), TextBytes(*value.failure()));
  }
  return Nonsense(StrCat("a value is of unknown kind ", static_cast<int>(value.kind())));
}

wire::FailureT FailureIn(const wire::Value& value) {
  wire::FailureT failure;
  value.failure()->UnPackTo(&failure);
  return failure;
}

Result<ActorId> CheckActorId(const wire::Id20* id) {
  if (id == nullptr || FromWire<ActorId>(*id).IsNil()) return Nonsense("a message about an actor names none");
  return FromWire<ActorId>(*id);
}

namespace {

Result<ActorSettings> ParseActor(const wire::ActorSpec& spec, ProcessId owner, const TaskSender& sender,
                                 bool forwarded) {
  ActorSettings settings;
  const auto actor = CheckActorId(spec.id());
  if (!actor) return Fail(actor.error());
  settings.id = *actor;
  if (CreatorOf(*actor) != owner) {
    return Nonsense(StrCat("the id of actor ", actor->hex(), " names process ", CreatorOf(*actor),
                           " as its creator, and process ", owner, " creates it"));
  }
  settings.name = spec.name()->string_view();
  settings.actor_namespace =
      spec.actor_namespace()->size() == 0 ? sender.job_namespace : spec.actor_namespace()->string_view();
  settings.max_restarts = spec.max_restarts();
  settings.detached = spec.detached();
  settings.max_concurrency = spec.max_concurrency();
  settings.restarts = spec.restarts();
  settings.max_task_retries = spec.max_task_retries();
  if (settings.restarts != 0 && !forwarded)
    return Nonsense("an actor that is to be created says that it has started again");
  if (spec.lease() != 0) return Nonsense("an actor that is to be created names a lease of this machine");
  if (settings.max_task_retries < -1)
    return Nonsense(StrCat("an actor's calls have ", settings.max_task_retries, " retries"));
  if (settings.max_restarts < -1) return Nonsense(StrCat("an actor has ", settings.max_restarts, " restarts"));
  return settings;
}

// Parses everything but the owner.
Result<ParsedTask> ParseSpec(const wire::TaskSpec& spec, const TaskSender& sender, bool creates_actor, bool forwarded) {
  const TaskId id = FromWire<TaskId>(*spec.id());
  if (id.IsNil()) return Nonsense("a submitted task has no id");
  if (creates_actor != (spec.actor() != nullptr))
    return Nonsense(creates_actor ? "a request to create an actor describes none"
                                  : "a submitted task describes an actor");
  for (const int32_t retries : {spec.max_retries(), spec.exception_retries()})
    if (retries < -1) return Nonsense(StrCat("a task has ", retries, " retries"));

  ParsedTask parsed;
  parsed.task = std::make_shared<Task>();
  parsed.actor = creates_actor;
  Task& task = *parsed.task;
  task.id = id;
  task.job = sender.job;
  task.owner = spec.owner();
  task.function = spec.function()->string_view();
  task.name = spec.name()->size() == 0 ? task.function : spec.name()->string_view();
  task.environment = TextOf(spec.environment());
  task.depth = std::min(spec.depth(), kTaskDepthMax);
  task.max_retries = creates_actor ? 0 : spec.max_retries();
  task.begun_before = spec.begun_before();
  task.lent = spec.lend() != 0;
  for (const wire::Value* const argument : *spec.arguments()) {
    RAYLET_RETURN_IF_ERROR(CheckValue(*argument));
    if (argument->kind() == wire::ValueKind::Stored)
      task.stored_arguments.push_back(FromWire<ObjectId>(*argument->id()));
  }
  task.wait_for = FromWire(spec.wait_for());
  if (std::any_of(task.wait_for.begin(), task.wait_for.end(), [](const ObjectId& object) { return object.IsNil(); }))
    return Nonsense("a task waits for an object without an id");
  if (spec.actor() != nullptr) {
    auto actor = ParseActor(*spec.actor(), spec.owner(), sender, forwarded);
    if (!actor) return Fail(actor.error());
    task.actor = *std::move(actor);
  }
  parsed.sound = CheckSoundness(spec, task);
  return parsed;
}

// All that is read of a TaskSpec before its field `owner_store_client` is overwritten.
struct StoreClientField : private flatbuffers::Table {
  static constexpr auto kField = wire::TaskSpec::VT_OWNER_STORE_CLIENT;
  bool Verify(flatbuffers::Verifier& verifier) const {
    return VerifyTableStart(verifier) && VerifyField<uint32_t>(verifier, kField, alignof(uint32_t)) &&
           verifier.EndTable();
  }
  bool Set(uint32_t client) { return SetField(kField, client); }
};

// False where the spec lacks the field, or is malformed. The field may overlap others in a message from outside, so the
// spec is verified and read afterwards.
bool OverwriteStoreClient(Bytes& spec, uint32_t client) {
  flatbuffers::Verifier verifier(reinterpret_cast<const uint8_t*>(spec.data()), spec.size());
  return verifier.VerifyBuffer<StoreClientField>(nullptr) &&
         flatbuffers::GetMutableRoot<StoreClientField>(spec.data())->Set(client);
}

}  // namespace

Result<ParsedTask> ParseTask(const Frame& frame, const TaskSender& sender, bool creates_actor) {
  const MessageView<wire::TaskSpec> spec(frame.body);
  if (!spec) return Fail(spec.error());
  if (spec->owner() != sender.process) {
    return Nonsense(StrCat("task ", FromWire<TaskId>(*spec->id()).hex(), " names process ", spec->owner(),
                           " as its owner, and process ", sender.process, " sent it"));
  }
  auto parsed = ParseSpec(*spec, sender, creates_actor, /*forwarded=*/false);
  if (parsed) parsed->task->body = frame.body;
  return parsed;
}

Result<ParsedTask> ParseForwardedTask(std::span<const std::byte> bytes, const ForwardingNode& from) {
  Bytes body(bytes.begin(), bytes.end());
  if (!OverwriteStoreClient(body, from.store_client)) {
    auto whole = Parse<wire::TaskSpecT>(body);
    if (!whole) return Fail(whole.error());
    whole->owner_store_client = from.store_client;
    body = Encode(*whole);
  }
  const MessageView<wire::TaskSpec> spec(body);
  if (!spec) return Fail(spec.error());
  if (MachineOf(spec->owner()) != from.machine) {
    return Nonsense(StrCat("task ", FromWire<TaskId>(*spec->id()).hex(), " names process ", spec->owner(),
                           " as its owner, which is not of the machine that sent it"));
  }
  auto parsed = ParseSpec(*spec, {spec->owner(), from.job, from.job_namespace}, spec->actor() != nullptr,
                          /*forwarded=*/true);
  if (!parsed) return parsed;
  Task& task = *parsed->task;
  task.from = from.node;
  task.wait_for = task.stored_arguments;
  task.body = std::move(body);
  return parsed;
}

Result<ResourceSet> ParseLeaseResources(const wire::LeaseRequest& request) {
  ResourceSet resources;
  RAYLET_RETURN_IF_ERROR(AddResources(*request.resources(), /*one_cpu=*/true, resources));
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
