// The one Runtime of this process, between ray::Init and ray::Shutdown. Set by Init in a driver, by
// RunWorker in a worker. The public templates reach it through the RuntimeGate.
#pragma once

#include <ray/internal/runtime.h>

namespace ray {
class RayConfig;
}

namespace ray::internal {

// Does not own: whoever set it takes it back (nullptr), and destroys it once the RuntimeGate is
// Quiet. Any thread.
void SetCurrentRuntime(Runtime* runtime);

// Whether there is a runtime, and it is that of a process from which this one was forked. Its locks
// may be held by threads that do not exist here, so nothing of it may be called. No lock.
bool InChildOfRuntime();
void CheckNotInChild();                   // throws where it is so, with the remedy
[[noreturn]] void ThrowNotInitialised();  // there is no runtime

// What ActorsAreDetachedByDefault answers from now on.
void SetActorDefaults(const RayConfig& config);

}  // namespace ray::internal
