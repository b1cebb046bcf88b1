// The untyped part of the templates that run functions, make calls and hold references.
#include <ray/internal/invoke.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include <ray/api/actor_handle.h>
#include <ray/api/object_ref.h>
#include <ray/api/objects.h>

#include "base/counted.h"
#include "base/strings.h"
#include "client/ray/api/user_exception.h"

namespace ray::internal {

using raylet::StrCat;

void* ActorBox::FindBase(const std::type_info& type) const {
  const std::lock_guard lock(mutex_);
  for (const auto& [known, base] : bases_)
    if (*known == type) return base;
  return nullptr;
}

void ActorBox::AddBase(const std::type_info& type, void* base) {
  const std::lock_guard lock(mutex_);
  bases_.emplace_back(&type, base);
}

void ActorBox::ThrowWrongClass(const std::type_info& wanted) const {
  throw RayException(StrCat("the actor is a ", Demangle(type_->name()), ", which is no ", Demangle(wanted.name())));
}

void CheckArgumentCount(size_t given, size_t wanted) {
  if (given != wanted)
    throw RayException(StrCat("the function takes ", raylet::Counted(wanted, "argument"), ", not ", given));
}

void ThrowNullActor() { throw RayException("the actor's factory returned a null pointer"); }

const ObjectHandle& Require(const ObjectHandle& handle) {
  if (handle == nullptr) throw RayException("this ObjectRef refers to nothing: it was never given a value");
  return handle;
}

std::string IdOfHandle(const ObjectHandle& handle) {
  if (handle == nullptr) return {};
  Runtime& runtime = CurrentRuntime();
  runtime.Share(handle);
  return runtime.IdOf(handle);
}

bool SameObject(const ObjectHandle& a, const ObjectHandle& b) {
  if (a == b) return true;
  return a != nullptr && b != nullptr && CurrentRuntime().IdOf(a) == CurrentRuntime().IdOf(b);
}

const ActorHandleState& Require(const ActorHandleState& actor) {
  if (actor == nullptr) throw RayException("this ActorHandle refers to no actor");
  return actor;
}

std::string IdOfActor(const ActorHandleState& actor) {
  return actor == nullptr ? std::string() : CurrentRuntime().IdOf(actor);
}

std::string HandleBytes(std::string id, int max_task_retries) {
  if (max_task_retries == 0) return id;
  const auto retries = static_cast<int32_t>(max_task_retries);
  id.append(reinterpret_cast<const char*>(&retries), sizeof retries);
  return id;
}

std::string_view TakeRetries(std::string_view bytes, int& max_task_retries) {
  max_task_retries = 0;
  if (bytes.size() != kActorWithRetriesBytes) return bytes;
  int32_t retries = 0;
  std::memcpy(&retries, bytes.data() + kIdBytes, sizeof retries);
  if (retries < -1) throw RayException(StrCat("the bytes of an ActorHandle say ", retries, " retries"));
  max_task_retries = retries;
  return bytes.substr(0, kIdBytes);
}

namespace {

void RequireAll(std::span<const ObjectHandle> handles) {
  const auto null = std::find(handles.begin(), handles.end(), nullptr);
  if (null != handles.end()) Require(*null);
}

}  // namespace

Hold WantHandles(std::span<const ObjectHandle> handles) {
  RequireAll(handles);
  return handles.size() < 2 ? nullptr : CurrentRuntime().Want(handles);
}

Hold WantArraysOf(const std::vector<PackedView>& views) { return CurrentRuntime().WantArraysOf(views); }

std::vector<bool> WaitForHandles(std::span<const ObjectHandle> handles, int num_objects, int timeout_ms) {
  if (num_objects < 0 || static_cast<size_t>(num_objects) > handles.size())
    throw RayException(
        StrCat("ray::Wait cannot wait for ", num_objects, " of ", raylet::Counted(handles.size(), "object")));
  RequireAll(handles);
  return CurrentRuntime().Wait(handles, static_cast<size_t>(num_objects), timeout_ms);
}

}  // namespace ray::internal
