// ActorHandle<T>: one actor whose object is a T. Handles count: when the last one is gone the actor ends, unless it
// has a name or is detached. They are arguments, results and parts of values like any other. Thread-safe as a
// std::shared_ptr is.
#pragma once

#include <string>
#include <string_view>
#include <type_traits>
#include <unordered_map>
#include <utility>

#include <ray/api/msgpack.h>

#include <ray/api/object_ref.h>
#include <ray/api/ray_remote.h>
#include <ray/api/task_options.h>
#include <ray/internal/arguments.h>
#include <ray/internal/runtime.h>

namespace ray {

namespace internal {

RAYLET_API const ActorHandleState& Require(const ActorHandleState& actor);
RAYLET_API std::string IdOfActor(const ActorHandleState& actor);  // empty for null
// The bytes of a handle: the id of the actor, and the retries of its calls behind it, where it has any.
RAYLET_API std::string HandleBytes(std::string id, int max_task_retries);
RAYLET_API std::string_view TakeRetries(std::string_view bytes, int& max_task_retries);  // the id that is left

// handle.Task(&C::m).Remote(arguments…): a call; the calls of one caller run in their order.
template <class F>
class ActorTaskCaller {
 public:
  using Result = ResultOf<F>;

  ActorTaskCaller(ActorHandleState actor, const std::string& method, int max_retries = 0)
      : actor_(std::move(actor)), method_(&method) {
    options_.max_retries = max_retries;
  }

  // For people: the exception has it where the actor dies during the call.
  ActorTaskCaller& SetName(std::string name) {
    options_.name = std::move(name);
    return *this;
  }
  // Checked, and otherwise without effect: a call runs with the resources of its actor.
  ActorTaskCaller& SetResources(const std::unordered_map<std::string, double>& resources) {
    for (const auto& [name, amount] : resources) options_.resources[name] = amount;
    return *this;
  }
  ActorTaskCaller& SetResource(std::string name, double amount) {
    options_.resources[std::move(name)] = amount;
    return *this;
  }

  // How often the call runs again when the actor dies during it and starts again (see SetMaxRestarts); -1: always. The
  // actor's SetMaxTaskRetries unless set.
  ActorTaskCaller& SetMaxRetries(int max_retries) {
    options_.max_retries = max_retries;
    return *this;
  }
  // Whether it runs again as often when it throws, at once and in the same process.
  ActorTaskCaller& SetRetryExceptions(bool retry_exceptions = true) {
    options_.retry_exceptions = retry_exceptions;
    return *this;
  }

  template <class... V>
  ObjectRef<Result> Remote(V&&... values) {
    CheckOptions(options_);
    return ObjectRef<Result>(CurrentRuntime().SubmitActorCall(
        actor_, *method_, MakeArguments(typename FunctionTraits<F>::Parameters(), std::forward<V>(values)...),
        options_));
  }

 private:
  ActorHandleState actor_;
  const std::string* method_;  // in the registry, for ever
  CallOptions options_;
};

}  // namespace internal

// kIsXlang: of an actor whose class is not known here, as the GetActor that names no class returns it. It has an ID,
// and can be killed.
template <class T, bool kIsXlang = false>
class ActorHandle {
 public:
  ActorHandle() = default;  // of no actor
  // Of the actor with this ID(), in the process that has a handle of it or in one that was given the ID. Such a handle
  // does not keep the actor: it ends with the handles of the process that created it.
  ActorHandle(const std::string& id)  // NOLINT(google-explicit-constructor)
      : actor_(id.empty() ? nullptr : internal::CurrentRuntime().UnpackActor(id)) {}
  explicit ActorHandle(internal::ActorHandleState actor, int max_task_retries = 0)
      : actor_(std::move(actor)), max_task_retries_(max_task_retries) {}
  // Of the actor whose handle had these ToBytes. It does not keep the actor either.
  static ActorHandle FromBytes(const std::string& bytes) {
    ActorHandle handle;
    handle.UnpackExtension(bytes);
    return handle;
  }
  std::string ToBytes() const {
    return actor_ == nullptr ? std::string() : internal::HandleBytes(ID(), max_task_retries_);
  }

  // A method of T or of a public base class of it.
  template <class F>
  internal::ActorTaskCaller<F> Task(F method) const {
    using Traits = internal::FunctionTraits<F>;
    static_assert(!kIsXlang, "the class of this actor is not known: ray::GetActor<T>(name) returns a handle with it");
    static_assert(Traits::kIsMember, "handle.Task takes a method: handle.Task(&C::m)");
    if constexpr (Traits::kIsMember && !kIsXlang)
      static_assert(std::is_base_of_v<typename Traits::Class, T>, "this method is not of the actor's class");
    return internal::ActorTaskCaller<F>(internal::Require(actor_), internal::NameOf(method), max_task_retries_);
  }

  static bool IsActorHandle() { return true; }

  std::string ID() const { return internal::IdOfActor(actor_); }

  void Kill() const { Kill(true); }
  // false: the actor starts again with fresh state where max_restarts allows it.
  void Kill(bool no_restart) const { internal::CurrentRuntime().KillActor(internal::Require(actor_), no_restart); }

  friend bool operator==(const ActorHandle& a, const ActorHandle& b) { return a.ID() == b.ID(); }

  template <class Packer>
  void msgpack_pack(Packer& packer) const {
    if (actor_ == nullptr) {
      packer.pack_nil();
      return;
    }
    std::string bytes;
    internal::CurrentRuntime().PackActor(actor_, bytes);
    internal::PackExtension(packer, internal::kExtActor, internal::HandleBytes(std::move(bytes), max_task_retries_));
  }
  void msgpack_unpack(const msgpack::object& object) {
    if (object.is_nil())
      actor_ = nullptr;
    else
      UnpackExtension(internal::ExtensionBody(object, kExtension, typeid(ActorHandle)));
  }
  static constexpr int8_t kExtension = internal::kExtActor;
  void UnpackExtension(std::string_view bytes) {
    const std::string_view id = internal::TakeRetries(bytes, max_task_retries_);
    actor_ = id.empty() ? nullptr : internal::CurrentRuntime().UnpackActor(id);
  }

 private:
  internal::ActorHandleState actor_;
  int max_task_retries_ = 0;  // of its calls
};

using ActorHandleXlang = ActorHandle<void, true>;

}  // namespace ray
