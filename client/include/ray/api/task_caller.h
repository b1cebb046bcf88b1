// ray::Task(f).SetName("…").SetResource("CPU", 2).Remote(arguments…): a task in some worker.
#pragma once

#include <string>
#include <type_traits>
#include <unordered_map>
#include <utility>

#include <ray/api/object_ref.h>
#include <ray/api/placement_group.h>
#include <ray/api/ray_remote.h>
#include <ray/api/runtime_env.h>
#include <ray/api/task_options.h>
#include <ray/internal/arguments.h>
#include <ray/internal/runtime.h>

namespace ray {

namespace internal {

template <class F>
class TaskCaller {
  static_assert(FunctionTraits<F>::kIsFunction,
                "ray::Task takes a function that was given to RAY_REMOTE: give a lambda or a function object a name as "
                "a function; methods of actors: handle.Task(&C::m)");
  static_assert(!std::is_pointer_v<typename FunctionTraits<F>::Result>,
                "a function that returns a pointer creates an actor: ray::Actor(f)");

 public:
  using Result = ResultOf<F>;

  explicit TaskCaller(const std::string& function) : function_(&function) {}

  TaskCaller& SetName(std::string name) {
    options_.name = std::move(name);
    return *this;
  }
  TaskCaller& SetResources(const std::unordered_map<std::string, double>& resources) {
    for (const auto& [name, amount] : resources) options_.resources[name] = amount;
    return *this;
  }
  TaskCaller& SetResource(std::string name, double amount) {
    options_.resources[std::move(name)] = amount;
    return *this;
  }
  // The task runs with what this bundle of the group has reserved, on the bundle's machine; -1: with what the group has
  // reserved on any machine.
  TaskCaller& SetPlacementGroup(const PlacementGroup& group, int bundle_index) {
    CheckBundle(group, bundle_index);
    options_.placement_group = group.GetID();
    options_.bundle = bundle_index;
    return *this;
  }
  // How often the task runs again when its worker dies; 3 unless set, -1: for ever.
  TaskCaller& SetMaxRetries(int max_retries) {
    options_.max_retries = max_retries;
    return *this;
  }

  // Whether it runs again as often when it throws, at once and in the same worker. Another worker, after the death of
  // the first, counts anew.
  TaskCaller& SetRetryExceptions(bool retry_exceptions = true) {
    options_.retry_exceptions = retry_exceptions;
    return *this;
  }

  // The task's worker starts in this environment, over that of the job, and so do those of its own tasks. Get throws
  // RayRuntimeEnvException where it cannot be made.
  TaskCaller& SetRuntimeEnv(const RuntimeEnv& runtime_env) {
    options_.runtime_env = runtime_env.Serialize();
    return *this;
  }

  // Never waits, not even for references that are not ready. May be called again.
  template <class... V>
  ObjectRef<Result> Remote(V&&... values) {
    CheckOptions(options_);
    return ObjectRef<Result>(CurrentRuntime().SubmitTask(
        *function_, MakeArguments(typename FunctionTraits<F>::Parameters(), std::forward<V>(values)...), options_));
  }

 private:
  const std::string* function_;  // in the registry, for ever
  CallOptions options_;
};

}  // namespace internal

// Throws RayFunctionNotFound unless f was given to RAY_REMOTE.
template <class F>
internal::TaskCaller<F> Task(F f) {
  return internal::TaskCaller<F>(internal::NameOf(f));
}

}  // namespace ray
