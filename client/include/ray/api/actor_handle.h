// ActorHandle<T>: one actor whose object is a T. Handles count: when the last one is gone the actor ends, unless it is
// detached. They are arguments, results and parts of values like any other. Thread-safe as a std::shared_ptr is.
#pragma once

#include <string>
#include <string_view>
#include <type_traits>
#include <unordered_map>
#include <utility>

#include <msgpack.hpp>

#include <ray/api/object_ref.h>
#include <ray/api/ray_remote.h>
#include <ray/api/task_options.h>
#include <ray/internal/arguments.h>
#include <ray/internal/runtime.h>

namespace ray {

namespace internal {

RAYLET_API const ActorHandleState& Require(const ActorHandleState& actor);
RAYLET_API std::string IdOfActor(const ActorHandleState& actor);  // empty for null

// handle.Task(&C::m).Remote(arguments…): a call; the calls of one caller run in their order.
template <class F>
class ActorTaskCaller {
 public:
  using Result = ResultOf<F>;

  ActorTaskCaller(ActorHandleState actor, const std::string& method) : actor_(std::move(actor)), method_(&method) {}

  ActorTaskCaller& SetName(std::string name) {
    options_.name = std::move(name);
    return *this;
  }
  ActorTaskCaller& SetResources(const std::unordered_map<std::string, double>& resources) {
    for (const auto& [name, amount] : resources) options_.resources[name] = amount;
    return *this;
  }
  ActorTaskCaller& SetResource(std::string name, double amount) {
    options_.resources[std::move(name)] = amount;
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

template <class T>
class ActorHandle {
 public:
  ActorHandle() = default;  // of no actor
  explicit ActorHandle(internal::ActorHandleState actor) : actor_(std::move(actor)) {}

  // A method of T or of a public base class of it.
  template <class F>
  internal::ActorTaskCaller<F> Task(F method) const {
    using Traits = internal::FunctionTraits<F>;
    static_assert(Traits::kIsMember, "handle.Task takes a method: handle.Task(&C::m)");
    if constexpr (Traits::kIsMember)
      static_assert(std::is_base_of_v<typename Traits::Class, T>, "this method is not of the actor's class");
    return internal::ActorTaskCaller<F>(internal::Require(actor_), internal::NameOf(method));
  }

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
    internal::PackExtension(packer, internal::kExtActor, bytes);
  }
  void msgpack_unpack(const msgpack::object& object) {
    if (object.is_nil())
      actor_ = nullptr;
    else
      actor_ = internal::CurrentRuntime().UnpackActor(
          internal::ExtensionBody(object, internal::kExtActor, typeid(ActorHandle<T>)));
  }

 private:
  internal::ActorHandleState actor_;
};

}  // namespace ray
