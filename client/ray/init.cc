// ray::Init and ray::Shutdown: choose the runtime, own it, let go of it. One mutex, so that two
// threads that begin or end at once see one whole beginning or end.
#include <ray/api.h>

#include <unistd.h>

#include <cstdlib>
#include <memory>
#include <utility>

#include "base/mutex.h"
#include "client/ray/api/current_runtime.h"
#include "client/ray/api_config.h"
#include "client/ray/cluster/cluster_runtime.h"
#include "client/ray/local/local_runtime.h"
#include "client/ray/worker/worker_loop.h"

namespace ray {
namespace {

struct Life {
  raylet::Mutex mutex;
  std::unique_ptr<internal::Runtime> runtime RAYLET_GUARDED_BY(mutex);
  pid_t pid = 0;  // of the process that began: a forked child must not end it
};

Life& TheLife() {
  static Life* const life = new Life();  // outlives static objects that still hold references
  return *life;
}

void ShutdownAtExit() {
  if (TheLife().pid == getpid()) Shutdown();
}

}  // namespace

void Init() { Init(RayConfig(), 0, nullptr); }
void Init(const RayConfig& config) { Init(config, 0, nullptr); }

void Init(const RayConfig& given, int argc, char** argv) {
  Life& life = TheLife();
  if (internal::HasRuntime()) return;  // in a worker, too, whose runtime is not ours
  raylet::MutexLock lock(life.mutex);
  if (internal::HasRuntime()) return;
  const RayConfig config = raylet::client::ResolveConfig(given, argc, argv);
  raylet::client::LoadCodeSearchPath(config.code_search_path);
  internal::SetActorDefaults(config);
  if (config.local_mode) {
    life.runtime = raylet::client::MakeLocalRuntime(config);
  } else {
    if (std::getenv("RAYLET_WORKER_TOKEN") != nullptr) {
      lock.Unlock();  // for as long as this process lives, and what it runs may call Shutdown
      raylet::client::RunWorker(config);
    }
    life.runtime = raylet::client::MakeClusterRuntime(config);
  }
  internal::SetCurrentRuntime(life.runtime.get());
  life.pid = getpid();
  static const int registered = std::atexit(&ShutdownAtExit);
  static_cast<void>(registered);
}

bool IsInitialized() { return internal::HasRuntime(); }

void Shutdown() {
  Life& life = TheLife();
  const raylet::MutexLock lock(life.mutex);
  if (life.runtime == nullptr) return;  // never begun, or a worker, whose runtime ends with its process
  // The runtime's threads may still ask for it until they have ended.
  const std::unique_ptr<internal::Runtime> ending = std::move(life.runtime);
  ending->Stop();
  internal::SetCurrentRuntime(nullptr);
}

void ExitActor() {
  internal::CurrentRuntime().ExitActor();
  __builtin_unreachable();  // the call above does not return, which the compiler does not see through
}
bool WasCurrentActorRestarted() { return internal::CurrentRuntime().WasCurrentActorRestarted(); }
std::string GetNamespace() { return internal::CurrentRuntime().ActorNamespace(); }

}  // namespace ray
