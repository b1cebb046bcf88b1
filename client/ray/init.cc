// ray::Init and ray::Shutdown: they choose the runtime, own it and end it. One mutex makes each Init and each Shutdown
// whole for other threads. A runtime that was stopped stays while threads are inside its calls, which end with an
// exception.
#include <ray/api.h>

#include <atomic>
#include <cstdlib>
#include <memory>
#include <utility>
#include <vector>

#include "base/fork_generation.h"
#include "base/mutex.h"
#include "client/ray/api/current_runtime.h"
#include "client/ray/api/runtime_gate.h"
#include "client/ray/api_config.h"
#include "client/ray/cluster/cluster_runtime.h"
#include "client/ray/local/local_runtime.h"
#include "client/ray/worker/worker_loop.h"

namespace ray {
namespace {

struct Life {
  const uint64_t generation = raylet::ForkGeneration();
  raylet::Mutex mutex;
  std::unique_ptr<internal::Runtime> runtime RAYLET_GUARDED_BY(mutex);
  std::vector<std::unique_ptr<internal::Runtime>> stopped RAYLET_GUARDED_BY(mutex);  // threads may be inside of them

  void DestroyStopped() RAYLET_REQUIRES(mutex) {
    if (internal::RuntimeGate::Instance().Quiet()) stopped.clear();
  }
};

// Never destroyed: it outlives static objects that still hold references, and threads that go on while the program
// exits. A forked child has its own, since a thread that does not exist there may have held its parent's mutex.
Life& TheLife() {
  static std::atomic<Life*> current{nullptr};
  raylet::CountForks();
  for (;;) {
    Life* life = current.load(std::memory_order_acquire);
    if (life != nullptr && life->generation == raylet::ForkGeneration()) return *life;
    auto made = std::make_unique<Life>();
    if (current.compare_exchange_strong(life, made.get(), std::memory_order_acq_rel)) return *made.release();
  }
}

}  // namespace

void Init() { Init(RayConfig(), 0, nullptr); }
void Init(const RayConfig& config) { Init(config, 0, nullptr); }

void Init(const RayConfig& given, int argc, char** argv) {
  internal::CheckNotInChild();
  Life& life = TheLife();
  if (internal::HasRuntime()) return;  // in a worker, too, whose runtime is not ours
  raylet::MutexLock lock(life.mutex);
  if (internal::HasRuntime()) return;
  life.DestroyStopped();
  if (std::getenv("RAYLET_WORKER_TOKEN") != nullptr) {
    lock.Unlock();  // a worker runs until its process ends, and its tasks may call Shutdown
    raylet::client::RunWorker(raylet::client::LoadCodeSearchPath);
  }
  const RayConfig config = raylet::client::ResolveConfig(given, argc, argv);
  raylet::client::LoadCodeSearchPath(config.code_search_path);
  internal::SetDetachedByDefault(config.default_actor_lifetime == ActorLifetime::DETACHED);
  if (config.local_mode)
    life.runtime = raylet::client::MakeLocalRuntime(config);
  else
    life.runtime = raylet::client::MakeClusterRuntime(config);
  internal::SetCurrentRuntime(life.runtime.get());
  static const int registered = std::atexit(&Shutdown);
  static_cast<void>(registered);
}

bool IsInitialized() { return internal::HasRuntime(); }

void Shutdown() {
  if (raylet::client::OnThreadOfLocalMode()) return;  // as in a worker; it takes no lock that another Shutdown holds
  Life& life = TheLife();
  const raylet::MutexLock lock(life.mutex);
  if (life.runtime == nullptr) return;  // never begun, a forked child, or a worker, whose runtime ends with its process
  // The runtime's threads may still ask for it until they have ended.
  life.runtime->Stop();
  internal::SetCurrentRuntime(nullptr);
  life.stopped.push_back(std::move(life.runtime));
  life.DestroyStopped();
}

void ExitActor() {
  internal::CurrentRuntime().ExitActor();
  __builtin_unreachable();  // the call above does not return, which the compiler does not see through
}
bool IsCancelled() { return internal::CurrentRuntime().IsCancelled(); }
bool WasCurrentActorRestarted() { return internal::CurrentRuntime().WasCurrentActorRestarted(); }
std::string GetNamespace() { return internal::CurrentRuntime().ActorNamespace(); }

}  // namespace ray
