#include "client/ray/api/current_runtime.h"

#include <atomic>

#include <ray/api/exceptions.h>

#include "base/fork_generation.h"
#include "client/ray/api/runtime_gate.h"

namespace ray::internal {
namespace {

// The ForkGeneration of the runtime's process. It is stored before the gate is set, and so published with it.
std::atomic<uint64_t> owner_generation{0};
std::atomic<bool> detached_by_default{false};

}  // namespace

ArrayStorage::~ArrayStorage() = default;
Runtime::~Runtime() = default;

void SetCurrentRuntime(Runtime* runtime) {
  raylet::CountForks();
  owner_generation.store(raylet::ForkGeneration(), std::memory_order_relaxed);
  RuntimeGate::Instance().Set(runtime);
}

bool InChildOfRuntime() {
  return RuntimeGate::Instance().IsSet() &&
         owner_generation.load(std::memory_order_relaxed) != raylet::ForkGeneration();
}

void CheckNotInChild() {
  if (!InChildOfRuntime()) [[likely]]
    return;
  throw RayException(
      "this process was forked from the one that called ray::Init, and has no connection of its own: fork before "
      "ray::Init, or start a program");
}

void ThrowNotInitialised() { throw RayException("Ray is not initialised in this process: call ray::Init() first"); }

void SetDetachedByDefault(bool detached) { detached_by_default.store(detached, std::memory_order_relaxed); }

bool ActorsAreDetachedByDefault() { return detached_by_default.load(std::memory_order_relaxed); }

bool HasRuntime() { return RuntimeGate::Instance().IsSet() && !InChildOfRuntime(); }

Runtime& CurrentRuntime() {
  RuntimeGate& gate = RuntimeGate::Instance();
  CheckNotInChild();
  if (!gate.IsSet()) ThrowNotInitialised();
  return gate;
}

}  // namespace ray::internal
