#include "client/ray/api/current_runtime.h"

#include <atomic>

#include <ray/api/exceptions.h>
#include <ray/api/ray_config.h>

namespace ray::internal {
namespace {

// Published by SetCurrentRuntime (release), read by every call of the public surface (acquire).
std::atomic<Runtime*> current{nullptr};
std::atomic<bool> detached_by_default{false};

}  // namespace

ArrayStorage::~ArrayStorage() = default;
Runtime::~Runtime() = default;

void SetCurrentRuntime(Runtime* runtime) { current.store(runtime, std::memory_order_release); }

void SetActorDefaults(const RayConfig& config) {
  detached_by_default.store(config.default_actor_lifetime == ActorLifetime::DETACHED, std::memory_order_relaxed);
}

bool ActorsAreDetachedByDefault() { return detached_by_default.load(std::memory_order_relaxed); }

bool HasRuntime() { return current.load(std::memory_order_acquire) != nullptr; }

Runtime& CurrentRuntime() {
  Runtime* runtime = current.load(std::memory_order_acquire);
  if (runtime == nullptr) throw RayException("Ray is not initialised in this process: call ray::Init() first");
  return *runtime;
}

}  // namespace ray::internal
