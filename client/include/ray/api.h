// Tasks, actors and objects. #include <ray/api.h>, write functions and classes, name them in RAY_REMOTE, and:
//
//   ray::Init();
//   auto sum = ray::Task(Add).Remote(1, 2);                   // a task, in a worker
//   auto counter = ray::Actor(Counter::Create).Remote(sum);   // an actor, in a process of its own
//   int value = *counter.Task(&Counter::Add).Remote(3).Get();
//   ray::Shutdown();
//
// Workers are this same program, started again. ray::Init never returns in a worker, so call it first in main.
#pragma once

#include <ray/internal/abi.h>

#include <algorithm>
#include <any>
#include <array>
#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <unordered_map>
#include <vector>

#include <boost/optional.hpp>

#include <ray/api/actor_creator.h>
#include <ray/api/actor_handle.h>
#include <ray/api/array.h>
#include <ray/api/exceptions.h>
#include <ray/api/function_manager.h>
#include <ray/api/get_async.h>
#include <ray/api/logging.h>
#include <ray/api/nodes.h>
#include <ray/api/object_ref.h>
#include <ray/api/objects.h>
#include <ray/api/placement_group.h>
#include <ray/api/ray_config.h>
#include <ray/api/ray_remote.h>
#include <ray/api/runtime_env.h>
#include <ray/api/serializer.h>
#include <ray/api/task_caller.h>
#include <ray/api/task_options.h>
#include <ray/api/wait_result.h>

namespace ray {

// Connects, or starts private daemons; does nothing when that has happened already. Throws RayException with the
// remedy. Flags win over the config and the config over the environment: --ray_address, --ray_head_args,
// --ray_code_search_path, --ray_default_actor_lifetime, --ray_namespace, --ray_runtime_env, --ray_logs_dir;
// RAY_ADDRESS.
RAYLET_API void Init();
RAYLET_API void Init(const RayConfig& config);
RAYLET_API void Init(const RayConfig& config, int argc, char** argv);

RAYLET_API bool IsInitialized();

// Ends what Init began: actors that are not detached, workers, private daemons. Called at exit unless called before.
// Calls of other threads that are under way throw RayException, as do all later ones. Remaining references refer to
// nothing from then on, after the next Init too; arrays can still be read. Within a task or a method of an actor, and
// in a forked child, it does nothing.
RAYLET_API void Shutdown();

// The actor of this name, if there is one.
template <class T>
boost::optional<ActorHandle<T>> GetActor(const std::string& name, const std::string& ray_namespace = std::string()) {
  if (name.empty()) return boost::none;
  internal::FoundActor found = internal::CurrentRuntime().FindActor(name, ray_namespace);
  if (found.actor == nullptr) return boost::none;
  return ActorHandle<T>(std::move(found.actor), found.max_task_retries);
}

// The same without its class: enough to kill it, or to ask for its ID.
inline boost::optional<ActorHandleXlang> GetActor(const std::string& name,
                                                  const std::string& ray_namespace = std::string()) {
  if (name.empty()) return boost::none;
  internal::FoundActor found = internal::CurrentRuntime().FindActor(name, ray_namespace);
  if (found.actor == nullptr) return boost::none;
  return ActorHandleXlang(std::move(found.actor), found.max_task_retries);
}

// Fails the result of a task, or of a call of an actor, with RayTaskCancelledException, at once. A task that has not
// begun never begins. One that runs goes on, and hears of it by IsCancelled; with `force` its worker ends. Tasks that
// it has submitted are cancelled with it, in the same way. So is a call of an actor, but for its tasks, and never with
// `force`, which throws RayException. Does nothing where the result is ready. Only the process that called Remote may
// cancel. In local mode `force` changes nothing.
template <class T>
void Cancel(const ObjectRef<T>& object, bool force = false) {
  internal::CurrentRuntime().Cancel(internal::Require(object.handle()), force);
}
// Within a task, or on the thread of an actor's call: whether it was cancelled. A long one asks now and then, and
// returns. False elsewhere.
RAYLET_API bool IsCancelled();

// Within a method of an actor: ends the actor, with no restart. Never returns.
[[noreturn]] RAYLET_API void ExitActor();
// Within a method or the factory of an actor: whether an earlier process of this actor died.
RAYLET_API bool WasCurrentActorRestarted();
RAYLET_API std::string GetNamespace();

}  // namespace ray
