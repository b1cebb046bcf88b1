#include "client/ray/cluster/cluster_runtime.h"

#include <cstdlib>
#include <filesystem>

#include <ray/api/exceptions.h>
#include <ray/api/nodes.h>
#include <ray/api/placement_group.h>
#include <ray/api/serializer.h>

#include "base/process_start.h"
#include "base/strings.h"
#include "client/finder/raylet_finder.h"
#include "client/ray/api/current_runtime.h"
#include "client/ray/cluster/borrowed_lend.h"
#include "client/ray/cluster/call_arguments.h"
#include "client/ray/cluster/environment.h"
#include "client/ray/cluster/failure.h"
#include "client/ray/cluster/lent_hold.h"
#include "client/ray/cluster/references.h"
#include "client/ray/cluster/store_array.h"
#include "client/ray/cluster/task_submitter.h"
#include "client/ray/cluster/wait_set.h"
#include "fbs/stored_value.h"
#include "fbs/text_bounds.h"

namespace raylet::client {
namespace {

using ray::internal::ActorHandleState;
using ray::internal::Argument;
using ray::internal::ArrayStorage;
using ray::internal::CallOptions;
using ray::internal::Hold;
using ray::internal::ObjectHandle;
using ray::internal::Packed;
using ray::internal::PackedView;
using ray::internal::PackScope;
using ray::internal::RayException;
using ray::internal::UnpackScope;

FailurePtr Lost(const ObjectId& id, const char* why) {
  return MakeFailure(wire::FailureKind::ObjectLost, StrCat("object ", id.hex(), " is lost: ", why));
}

// Whether the claims for objects of this one's owner have arrived.
Bytes QuestionAbout(const ObjectId& id) {
  wire::ClaimNoticeT question;
  question.owner = OwnerOf(id);
  return Encode(question);
}

// A stored object's value. Throws if the object holds a failure.
PackedView ViewOf(PinnedObject view, const Hold& lend, Deadline deadline) {
  const std::string_view metadata = AsText(view.metadata());
  if (IsFailure(metadata)) Throw(*DecodeFailure(AsText(view.data())));
  if (!IsValue(metadata))
    throw RayException(StrCat("object ", view.id().hex(), " was not made by ray::Put or a task: it holds no value"));
  auto shared = std::make_shared<const PinnedObject>(std::move(view));
  const std::string_view bytes = AsText(shared->data());
  return PackedView{bytes, std::move(shared), lend, deadline.at()};
}

}  // namespace

ClusterRuntime::~ClusterRuntime() {
  Stop();
  parts_.Leave();
}

void ClusterRuntime::Stop() {
  parts_.Stop();
  daemons_.reset();
}

ObjectHandle ClusterRuntime::Put(Packed value) {
  parts_.link.CheckUsable();
  return PutObject(parts_.objects, std::move(value));
}

ObjectHandle ClusterRuntime::SubmitTask(const std::string& function, std::vector<Argument> arguments,
                                        const CallOptions& options) {
  parts_.link.CheckUsable();
  return parts_.submitter.SubmitTask(function, CallArguments(parts_.objects, std::move(arguments)), options);
}

ActorHandleState ClusterRuntime::CreateActor(const std::string& factory, std::vector<Argument> arguments,
                                             const CallOptions& options) {
  parts_.link.CheckUsable();
  return std::make_shared<ClusterActor>(
      parts_.submitter.CreateActor(factory, CallArguments(parts_.objects, std::move(arguments)), options), nullptr);
}

ObjectHandle ClusterRuntime::SubmitActorCall(const ActorHandleState& actor, const std::string& method,
                                             std::vector<Argument> arguments, const CallOptions& options) {
  parts_.link.CheckUsable();
  if (const auto sound = CheckName("the name of a method", method); !sound) Throw(sound.error());
  parts_.pump.Drain();
  if (const auto sound = CheckName("the name of a call", options.name); !sound) Throw(sound.error());
  return LinkOf(parts_.objects, actor).Submit(method, CallArguments(parts_.objects, std::move(arguments)), options);
}

void ClusterRuntime::KillActor(const ActorHandleState& actor, bool no_restart) {
  parts_.link.CheckUsable();
  wire::KillActorRequestT request;
  request.actor = std::make_unique<wire::Id20>(ToWire(LinkOf(parts_.objects, actor).id()));
  request.no_restart = no_restart;
  LinkOf(parts_.objects, actor).Killed();
  if (const auto sent = parts_.link.Send(wire::RayletMessage::KillActor, request); !sent) Throw(sent.error());
}

ray::internal::FoundActor ClusterRuntime::FindActor(const std::string& name, const std::string& actor_namespace) {
  parts_.link.CheckUsable();
  wire::FindActorRequestT request;
  request.name = name;
  request.actor_namespace = actor_namespace.empty() ? parts_.link.actor_namespace() : actor_namespace;
  const auto frame = parts_.link.Call(wire::RayletMessage::FindActor, Encode(request));
  if (!frame) Throw(frame.error());
  const auto reply = Parse<wire::FindActorReplyT>(frame->body);
  if (!reply) Throw(reply.error());
  if (const auto status = FromStatus(*reply->status); !status) {
    if (status.error().code == ErrorCode::kNotFound) return {};
    Throw(status.error());
  }
  if (reply->actor == nullptr) return {};
  return {HandleOf(FromWire<ActorId>(*reply->actor), nullptr), reply->max_task_retries};
}

ActorHandleState ClusterRuntime::HandleOf(const ActorId& id, Hold lend) {
  return std::make_shared<ClusterActor>(parts_.actors.FindOrMake(id), std::move(lend));
}

void ClusterRuntime::Cancel(const ObjectHandle& handle, bool force) {
  parts_.link.CheckUsable();
  ClusterObject& object = AsObject(parts_.objects, handle);
  if (!object.owned())
    throw RayException(StrCat("object ", object.id().hex(),
                              " is of another process: only the process that called Remote can cancel the task"));
  if (!object.of_task() && !object.of_call())
    throw RayException(StrCat("object ", object.id().hex(), " is of ray::Put, and cannot be cancelled"));
  if (object.of_call() && force)
    throw RayException("a call of an actor is not cancelled by force: kill the actor, or cancel without force");
  parts_.pump.Drain();
  if (object.of_call())
    parts_.submitter.CancelCall(object);
  else
    parts_.submitter.Cancel(object, force);
}

std::vector<ray::NodeInfo> ClusterRuntime::Nodes() {
  parts_.link.CheckUsable();
  const auto frame = parts_.link.Call(wire::RayletMessage::ListNodes, Encode(wire::EmptyNoticeT()));
  if (!frame) Throw(frame.error());
  const auto reply = Parse<wire::ListNodesReplyT>(frame->body);
  if (!reply) Throw(reply.error());
  std::vector<ray::NodeInfo> nodes;
  for (const auto& entry : reply->nodes) {
    ray::NodeInfo& node = nodes.emplace_back();
    node.id = FromWire<NodeId>(*entry->node).hex();
    node.address = entry->address;
    node.alive = entry->alive;
    node.is_this_node = nodes.size() == 1;
    for (const auto& resource : entry->resources) {
      node.resources[resource->name] = resource->total;
      node.available[resource->name] = entry->alive ? resource->available : 0;
    }
  }
  return nodes;
}

std::string ClusterRuntime::CreatePlacementGroup(const ray::PlacementGroupCreationOptions& options) {
  parts_.link.CheckUsable();
  return groups_.Create(options);
}

void ClusterRuntime::RemovePlacementGroup(const std::string& id) {
  parts_.link.CheckUsable();
  groups_.Remove(id);
}

bool ClusterRuntime::AwaitPlacementGroup(const std::string& id, int timeout_seconds) {
  parts_.link.CheckUsable();
  return groups_.Await(id, timeout_seconds);
}

std::vector<ray::PlacementGroup> ClusterRuntime::FindPlacementGroups(const std::string& id, const std::string& name) {
  parts_.link.CheckUsable();
  return groups_.Find(id, name);
}

// ---- values

PackedView ClusterRuntime::Get(const ObjectHandle& handle, int64_t timeout_ms) {
  ClusterObject& object = AsObject(parts_.objects, handle);
  const Deadline deadline = Deadline::AfterMs(timeout_ms);
  if (!object.ready()) {
    parts_.link.CheckUsable();
    if (!object.owned()) {
      WaitForBorrowed(object, deadline);
    } else if (!parts_.pump.WaitUntil(deadline, [&object] { return object.ready(); })) {
      throw ray::internal::RayTimeoutException(
          StrCat("object ", object.id().hex(), " was not ready within ", timeout_ms, " ms"));
    }
  }
  switch (object.status()) {
    case ObjectStatus::kFailed: Throw(*object.failure());
    case ObjectStatus::kInline: return PackedView{object.bytes(), handle, object.lend(), deadline.at()};
    default: break;
  }
  parts_.link.CheckUsable();
  auto view = parts_.store.Fetch(object.id(), deadline, /*may_be_sealed=*/false);
  if (view) return ViewOf(*std::move(view), object.lend(), deadline);
  if (view.error().code == ErrorCode::kNotFound)
    Throw(*MakeFailure(wire::FailureKind::ObjectLost, view.error().message));
  if (view.error().code == ErrorCode::kTimedOut)
    throw ray::internal::RayTimeoutException(StrCat("object ", object.id().hex(), " was not here in time"));
  Throw(view.error());
}

// The views of values that lie in this process hold nothing: the caller keeps their objects.
size_t ClusterRuntime::GetMany(std::span<const ObjectHandle> objects, int64_t timeout_ms, std::span<PackedView> views) {
  views[0] = Get(objects[0], timeout_ms);
  const size_t count_max = std::min(objects.size(), views.size());
  size_t count = 1;
  for (; count < count_max && objects[count]->session() == &parts_.objects; ++count) {
    const auto& object = static_cast<const ClusterObject&>(*objects[count]);
    if (object.status() != ObjectStatus::kInline) break;
    views[count] = PackedView{object.bytes(), nullptr, object.lend(), views[0].deadline};
  }
  return count;
}

void ClusterRuntime::WaitForBorrowed(ClusterObject& object, Deadline deadline) {
  const ObjectId& id = object.id();
  const auto view = parts_.store.Fetch(id, deadline, /*may_be_sealed=*/true);
  if (view) return object.FulfilStored(nullptr);
  if (view.error().code == ErrorCode::kTimedOut)
    throw ray::internal::RayTimeoutException(StrCat("object ", id.hex(), " was not ready in time"));
  if (view.error().code != ErrorCode::kNotFound) Throw(view.error());
  object.FulfilFailed(MakeFailure(wire::FailureKind::ObjectLost, view.error().message));
}

Hold ClusterRuntime::Want(std::span<const ObjectHandle> objects) {
  if (!parts_.link.clustered()) return nullptr;
  parts_.link.CheckUsable();
  std::vector<ObjectId> wanted;
  for (const ObjectHandle& handle : objects) {
    const ClusterObject& object = AsObject(parts_.objects, handle);
    const bool stored = object.ready() ? object.status() == ObjectStatus::kStored : !object.owned();
    if (stored && !parts_.store.Contains(object.id()).value_or(true)) wanted.push_back(object.id());
  }
  if (wanted.empty()) return nullptr;
  return std::make_shared<WantedObjects::Scope>(parts_.wanted, std::move(wanted), /*in_wait=*/false);
}

Hold ClusterRuntime::WantArraysOf(std::span<const PackedView> values) {
  if (!parts_.link.clustered()) return nullptr;
  std::vector<ObjectId> wanted;
  for (const PackedView& value : values)
    for (const ObjectId& id : ReferencesInValue(value.bytes, ReferenceKind::kArrays))
      if (!parts_.store.Contains(id).value_or(true)) wanted.push_back(id);
  if (wanted.empty()) return nullptr;
  return std::make_shared<WantedObjects::Scope>(parts_.wanted, std::move(wanted), /*in_wait=*/false);
}

std::vector<bool> ClusterRuntime::Wait(std::span<const ObjectHandle> objects, size_t count, int64_t timeout_ms) {
  parts_.link.CheckUsable();
  const Deadline deadline = Deadline::AfterMs(timeout_ms);
  WaitSet waits(parts_.objects, parts_.wanted, objects, count);
  if (!waits.Enough() && !parts_.pump.WaitUntil(deadline, [&] { return waits.LookForEnough(); })) waits.Look();
  return waits.ready();
}

void ClusterRuntime::WhenReady(const ObjectHandle& object, std::function<void()> callback) {
  parts_.link.CheckUsable();
  parts_.async_gets.Add(object, std::move(callback));
}

// ---- references in values

void ClusterRuntime::PackReference(const ObjectHandle& handle, char* id) {
  parts_.link.CheckUsable();
  const ClusterObjectPtr object = ObjectOf(parts_.objects, handle);
  std::memcpy(id, object->id().data(), ObjectId::kSize);
  parts_.ownership.Add(object);
  if (const auto promoted = object->Promote(); !promoted) Throw(promoted.error());
  PackScope::Add(LentHold::OfObject(object));
}

ClusterRuntime::Named ClusterRuntime::ObjectNamed(std::string_view bytes) {
  const ObjectId id = ObjectId::FromBinary(bytes);
  if (id.IsNil() && bytes.size() == ray::internal::kIdBytes) throw RayException("this id is nil, and of no object");
  if (id.IsNil())
    throw RayException(StrCat("the id of an object has ", ray::internal::kIdBytes, " bytes, not ", bytes.size()));
  if (ClusterObjectPtr known = parts_.ownership.FindObject(id); known != nullptr) return {std::move(known), true};
  const auto made = std::make_shared<ClusterObject>(parts_.objects, id, /*owned=*/false);
  if (OwnerOf(id) == parts_.link.process()) made->FulfilFailed(Lost(id, "its last reference was dropped"));
  ClusterObjectPtr object = parts_.ownership.FindOrAdd(made);
  const bool known = object != made;  // another thread was first
  return {std::move(object), known};
}

ObjectHandle ClusterRuntime::UnpackReference(std::string_view bytes) {
  const Named named = ObjectNamed(bytes);
  TakeLend(*named.object, named.known);
  return named.object;
}

// The lend of the value under way also lends this object.
void ClusterRuntime::TakeLend(ClusterObject& object, bool known) {
  if (OwnerOf(object.id()) == parts_.link.process()) return;
  const Hold lend = UnpackScope::Lend();
  if (lend == nullptr) {
    if (object.WantsClaim()) {
      object.AddClaim(ClaimOf(object.id()));
      AwaitClaim(object.shared_from_this());
    }
    return;
  }
  const Borrowings::Origin origin = parts_.borrowings.OriginOf(lend);
  if (known && origin.lender == 0) return;  // such a lend may hold the object itself
  const bool of_owner = origin.directly && origin.lender == OwnerOf(object.id());
  if (object.WantsLend(of_owner)) object.AddLend(parts_.borrowings.Cover(lend, object.id()), of_owner);
}

Hold ClusterRuntime::ClaimOf(const ObjectId& id) {
  return ClaimUnlent(parts_.link, parts_.ownership, parts_.borrowings, {&id, 1});
}

void ClusterRuntime::AwaitClaim(const ClusterObjectPtr& object) {
  parts_.link.Request(wire::RayletMessage::ClaimObjects, QuestionAbout(object->id()),
                      [claimed = std::weak_ptr(object)](Result<Frame> reply, std::vector<UniqueFd>&) {
                        const ClusterObjectPtr still = claimed.lock();
                        if (still != nullptr && ParseStatusReply(reply)) still->MarkClaimArrived();
                      });
}

Hold ClusterRuntime::LendOf(const ObjectId& id) {
  const Hold lend = UnpackScope::Lend();
  return lend == nullptr ? nullptr : parts_.borrowings.Cover(lend, id);
}

std::string ClusterRuntime::IdOf(const ObjectHandle& handle) const {
  return AsObject(parts_.objects, handle).id().binary();
}

void ClusterRuntime::Share(const ObjectHandle& handle) {
  const ClusterObjectPtr object = ObjectOf(parts_.objects, handle);
  if (!parts_.link.Usable()) return;
  parts_.ownership.Add(object);
  object->PromoteSoon();
}

// The owner holds the object by the time that this returns, or the object is known to be lost.
ObjectHandle ClusterRuntime::FindObject(const std::string& bytes) {
  parts_.link.CheckUsable();
  ClusterObjectPtr object = ObjectNamed(bytes).object;
  const ObjectId& id = object->id();
  if (OwnerOf(id) == parts_.link.process()) return object;
  if (object->WantsClaim()) object->AddClaim(ClaimOf(id));
  if (!object->claim_under_way()) return object;
  const auto arrived = ParseStatusReply(parts_.link.Call(wire::RayletMessage::ClaimObjects, QuestionAbout(id)));
  if (arrived) {
    object->MarkClaimArrived();
    return object;
  }
  parts_.link.CheckUsable();
  if (arrived.error().code != ErrorCode::kTimedOut) Throw(arrived.error());
  const auto waited = std::chrono::duration_cast<std::chrono::seconds>(parts_.link.patience()).count();
  throw ray::internal::RayTimeoutException(StrCat("object ", id.hex(),
                                                  ": its owner, or the machine of its owner, has not answered within ",
                                                  waited, " s. Make the ObjectRef again once the owner goes on"));
}

void ClusterRuntime::PackActor(const ActorHandleState& actor, std::string& bytes) {
  parts_.link.CheckUsable();
  bytes = LinkOf(parts_.objects, actor).id().binary();
  PackScope::Add(LentHold::Of(actor, ObjectId::FromBinary(bytes)));
}

ActorHandleState ClusterRuntime::UnpackActor(std::string_view bytes) {
  const ActorId id = ActorId::FromBinary(bytes);
  if (id.IsNil())
    throw RayException(StrCat("the id of an actor has ", ray::internal::kIdBytes, " bytes, not ", bytes.size()));
  return HandleOf(id, LendOf(ObjectId::FromBinary(bytes)));
}

std::string ClusterRuntime::IdOf(const ActorHandleState& actor) const {
  return LinkOf(parts_.objects, actor).id().binary();
}

std::shared_ptr<ArrayStorage> ClusterRuntime::AllocateArray(size_t bytes) {
  parts_.link.CheckUsable();
  auto writer = parts_.store.CreateArray(parts_.link.NewId(), bytes);
  if (!writer) Throw(writer.error());
  return std::make_shared<StoreArray>(parts_.objects, *std::move(writer));
}

void ClusterRuntime::PackArray(const std::shared_ptr<ArrayStorage>& storage, char* id) {
  parts_.link.CheckUsable();
  ray::internal::CheckSession(*storage, &parts_.objects);
  const auto array = std::static_pointer_cast<StoreArray>(storage);
  if (!array->sealed()) throw RayException("an array must be sealed before it leaves this process");
  std::memcpy(id, array->id().data(), ObjectId::kSize);
  parts_.ownership.Add(array);
  PackScope::Add(LentHold::Of(storage, array->id()));
}

std::shared_ptr<ArrayStorage> ClusterRuntime::UnpackArray(std::string_view bytes) {
  parts_.link.CheckUsable();
  const ObjectId id = ObjectId::FromBinary(bytes);
  if (auto known = parts_.ownership.FindArray(id); known != nullptr) return known;
  auto view = parts_.store.Fetch(id, Deadline::At(UnpackScope::Deadline()), /*may_be_sealed=*/false);
  if (!view) {
    if (view.error().code == ErrorCode::kTimedOut)
      throw ray::internal::RayTimeoutException(StrCat("array ", id.hex(), " was not here in time"));
    if (view.error().code != ErrorCode::kNotFound) Throw(view.error());
    Throw(*MakeFailure(wire::FailureKind::ObjectLost, view.error().message));
  }
  Hold lend = LendOf(id);
  if (lend == nullptr && OwnerOf(id) != parts_.link.process()) lend = ClaimOf(id);
  auto array = std::make_shared<StoreArray>(parts_.objects, *std::move(view), std::move(lend));
  parts_.ownership.Add(array);
  return array;
}

void ClusterRuntime::ExitActor() { throw ActorExit(); }

std::unique_ptr<ray::internal::Runtime> MakeClusterRuntime(const ray::RayConfig& config) {
  OpenStandardDescriptors();
  std::unique_ptr<PrivateDaemons> daemons;
  ClusterParts::Options options;
  options.raylet.actor_namespace = config.ray_namespace;
  options.raylet.detached_actors = config.default_actor_lifetime == ray::ActorLifetime::DETACHED;
  for (const std::string& path : config.code_search_path)
    options.raylet.code_search_path.push_back(std::filesystem::absolute(path).string());
  if (config.runtime_env) options.raylet.environment = MergeEnvironments("", config.runtime_env->Serialize());
  if (config.address.empty()) {
    daemons = PrivateDaemons::Start(config);
    options.raylet.socket = daemons->raylet_socket();
  } else {
    auto socket = FindRaylet(config.address);
    if (!socket) Throw(socket.error());
    options.raylet.socket = *std::move(socket);
  }
  return std::make_unique<ClusterRuntime>(ClusterParts::Connect(std::move(options)), std::move(daemons));
}

}  // namespace raylet::client
