// ray::Actor(factory).SetName("…").Remote(arguments…): an actor in a process of its own.
#pragma once

#include <string>
#include <type_traits>
#include <unordered_map>
#include <utility>

#include <ray/api/actor_handle.h>
#include <ray/api/placement_group.h>
#include <ray/api/ray_remote.h>
#include <ray/api/runtime_env.h>
#include <ray/api/task_options.h>
#include <ray/internal/arguments.h>
#include <ray/internal/runtime.h>

namespace ray {

namespace internal {

template <class F>
class ActorCreator {
  static_assert(FunctionTraits<F>::kIsFunction && std::is_pointer_v<typename FunctionTraits<F>::Result>,
                "ray::Actor takes a function that returns a new T* and was given to RAY_REMOTE: give a lambda a name "
                "as such a function");

 public:
  using Object = std::remove_pointer_t<typename FunctionTraits<F>::Result>;

  explicit ActorCreator(const std::string& factory) : factory_(&factory) {
    options_.detached = ActorsAreDetachedByDefault();
    options_.max_retries = 0;
  }

  // The name by which GetActor finds it, in the program's namespace or another one.
  ActorCreator& SetName(std::string name) {
    options_.name = std::move(name);
    return *this;
  }
  ActorCreator& SetName(std::string name, std::string ray_namespace) {
    options_.name = std::move(name);
    options_.actor_namespace = std::move(ray_namespace);
    return *this;
  }
  ActorCreator& SetResources(const std::unordered_map<std::string, double>& resources) {
    for (const auto& [name, amount] : resources) options_.resources[name] = amount;
    return *this;
  }
  ActorCreator& SetResource(std::string name, double amount) {
    options_.resources[std::move(name)] = amount;
    return *this;
  }
  // The actor runs with what this bundle of the group has reserved, on the bundle's machine; -1: with what the group
  // has reserved on any machine.
  ActorCreator& SetPlacementGroup(const PlacementGroup& group, int bundle_index) {
    CheckBundle(group, bundle_index);
    options_.placement_group = group.GetID();
    options_.bundle = bundle_index;
    return *this;
  }
  // How often it starts again, with fresh state, when its process dies; -1: always.
  ActorCreator& SetMaxRestarts(int max_restarts) {
    options_.max_restarts = max_restarts;
    return *this;
  }
  // How many of its calls run at a time, each on a thread of its own. Above one, calls begin in the order in which one
  // caller makes them, and may overlap and end in any order.
  ActorCreator& SetMaxConcurrency(int max_concurrency) {
    options_.max_concurrency = max_concurrency;
    return *this;
  }

  // How often a call runs again when the actor dies during it and starts again; -1: always. Goes with every handle of
  // the actor, but one that was made of its ID.
  ActorCreator& SetMaxTaskRetries(int max_task_retries) {
    options_.max_retries = max_task_retries;
    return *this;
  }

  // The actor's process starts in this environment, over that of the job, and so do the workers of its tasks. Calls
  // throw RayActorException where it cannot be made.
  ActorCreator& SetRuntimeEnv(const RuntimeEnv& runtime_env) {
    options_.runtime_env = runtime_env.Serialize();
    return *this;
  }

  // Never waits. The first call reports an error of the factory.
  template <class... V>
  ActorHandle<Object> Remote(V&&... values) {
    CheckOptions(options_);
    return ActorHandle<Object>(
        CurrentRuntime().CreateActor(
            *factory_, MakeArguments(typename FunctionTraits<F>::Parameters(), std::forward<V>(values)...), options_),
        options_.max_retries);
  }

 private:
  const std::string* factory_;  // in the registry, for ever
  CallOptions options_;
};

}  // namespace internal

// Throws RayFunctionNotFound unless the factory, a function that returns a new T*, was given to RAY_REMOTE.
template <class F>
internal::ActorCreator<F> Actor(F factory) {
  return internal::ActorCreator<F>(internal::NameOf(factory));
}

}  // namespace ray
