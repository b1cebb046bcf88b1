// The one Runtime of this process, between ray::Init and ray::Shutdown. Set by Init in a driver, by
// RunWorker in a worker.
#pragma once

#include <ray/internal/runtime.h>

namespace ray {
class RayConfig;
}

namespace ray::internal {

// Does not own: whoever set it takes it back (nullptr) before it dies. Any thread; nobody may be
// inside the old one.
void SetCurrentRuntime(Runtime* runtime);

// What ActorsAreDetachedByDefault answers from now on.
void SetActorDefaults(const RayConfig& config);

}  // namespace ray::internal
