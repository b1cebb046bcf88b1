#include "client/ray/api/runtime_gate.h"

#include <utility>

#include <ray/api/exceptions.h>
#include <ray/api/nodes.h>
#include <ray/api/placement_group.h>

#include "client/ray/api/current_runtime.h"

namespace ray::internal {

RuntimeGate& RuntimeGate::Instance() {
  static RuntimeGate* const gate = new RuntimeGate();
  return *gate;
}

void RuntimeGate::Set(Runtime* runtime) { runtime_.store(runtime, std::memory_order_seq_cst); }

RuntimeGate::Call::Call(const RuntimeGate& gate) : gate_(gate) {
  CheckNotInChild();
  gate_.inside_.fetch_add(1, std::memory_order_seq_cst);
  runtime_ = gate_.runtime_.load(std::memory_order_seq_cst);
  if (runtime_ != nullptr) [[likely]]
    return;
  gate_.inside_.fetch_sub(1, std::memory_order_release);
  ThrowNotInitialised();
}

ObjectHandle RuntimeGate::Put(Packed value) { return Call(*this)->Put(std::move(value)); }

ObjectHandle RuntimeGate::SubmitTask(const std::string& function, std::vector<Argument> arguments,
                                     const CallOptions& options) {
  return Call(*this)->SubmitTask(function, std::move(arguments), options);
}

ActorHandleState RuntimeGate::CreateActor(const std::string& factory, std::vector<Argument> arguments,
                                          const CallOptions& options) {
  return Call(*this)->CreateActor(factory, std::move(arguments), options);
}

ObjectHandle RuntimeGate::SubmitActorCall(const ActorHandleState& actor, const std::string& method,
                                          std::vector<Argument> arguments, const CallOptions& options) {
  return Call(*this)->SubmitActorCall(actor, method, std::move(arguments), options);
}

void RuntimeGate::KillActor(const ActorHandleState& actor, bool no_restart) {
  Call(*this)->KillActor(actor, no_restart);
}

FoundActor RuntimeGate::FindActor(const std::string& name, const std::string& actor_namespace) {
  return Call(*this)->FindActor(name, actor_namespace);
}

void RuntimeGate::Cancel(const ObjectHandle& object, bool force) { Call(*this)->Cancel(object, force); }

bool RuntimeGate::IsCancelled() const { return Call(*this)->IsCancelled(); }

PackedView RuntimeGate::Get(const ObjectHandle& object, int64_t timeout_ms) {
  return Call(*this)->Get(object, timeout_ms);
}

size_t RuntimeGate::GetMany(std::span<const ObjectHandle> objects, int64_t timeout_ms, std::span<PackedView> views) {
  return Call(*this)->GetMany(objects, timeout_ms, views);
}

Hold RuntimeGate::Want(std::span<const ObjectHandle> objects) { return Call(*this)->Want(objects); }

Hold RuntimeGate::WantArraysOf(std::span<const PackedView> values) { return Call(*this)->WantArraysOf(values); }

std::vector<bool> RuntimeGate::Wait(std::span<const ObjectHandle> objects, size_t count, int64_t timeout_ms) {
  return Call(*this)->Wait(objects, count, timeout_ms);
}

void RuntimeGate::WhenReady(const ObjectHandle& object, std::function<void()> callback) {
  Call(*this)->WhenReady(object, std::move(callback));
}

void RuntimeGate::PackReference(const ObjectHandle& object, char* id) { Call(*this)->PackReference(object, id); }

ObjectHandle RuntimeGate::UnpackReference(std::string_view id) { return Call(*this)->UnpackReference(id); }

std::string RuntimeGate::IdOf(const ObjectHandle& object) const { return Call(*this)->IdOf(object); }

void RuntimeGate::Share(const ObjectHandle& object) { Call(*this)->Share(object); }

ObjectHandle RuntimeGate::FindObject(const std::string& id) { return Call(*this)->FindObject(id); }

void RuntimeGate::PackActor(const ActorHandleState& actor, std::string& bytes) { Call(*this)->PackActor(actor, bytes); }

ActorHandleState RuntimeGate::UnpackActor(std::string_view bytes) { return Call(*this)->UnpackActor(bytes); }

std::string RuntimeGate::IdOf(const ActorHandleState& actor) const { return Call(*this)->IdOf(actor); }

std::shared_ptr<ArrayStorage> RuntimeGate::AllocateArray(size_t bytes) { return Call(*this)->AllocateArray(bytes); }

void RuntimeGate::PackArray(const std::shared_ptr<ArrayStorage>& array, char* id) { Call(*this)->PackArray(array, id); }

std::shared_ptr<ArrayStorage> RuntimeGate::UnpackArray(std::string_view id) { return Call(*this)->UnpackArray(id); }

std::vector<NodeInfo> RuntimeGate::Nodes() { return Call(*this)->Nodes(); }

std::string RuntimeGate::ActorNamespace() const { return Call(*this)->ActorNamespace(); }

bool RuntimeGate::WasCurrentActorRestarted() const { return Call(*this)->WasCurrentActorRestarted(); }

std::string RuntimeGate::CreatePlacementGroup(const PlacementGroupCreationOptions& options) {
  return Call(*this)->CreatePlacementGroup(options);
}

void RuntimeGate::RemovePlacementGroup(const std::string& id) { Call(*this)->RemovePlacementGroup(id); }

bool RuntimeGate::AwaitPlacementGroup(const std::string& id, int timeout_seconds) {
  return Call(*this)->AwaitPlacementGroup(id, timeout_seconds);
}

std::vector<PlacementGroup> RuntimeGate::FindPlacementGroups(const std::string& id, const std::string& name) {
  return Call(*this)->FindPlacementGroups(id, name);
}

void RuntimeGate::ExitActor() {
  Call(*this)->ExitActor();
  __builtin_unreachable();  // the call above does not return, which the compiler does not see through
}

}  // namespace ray::internal
