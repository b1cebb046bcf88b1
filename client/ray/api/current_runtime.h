// The one Runtime of this process, between ray::Init and ray::Shutdown. Set by Init in a driver, by
// RunWorker in a worker. The public templates reach it through the RuntimeGate.
#pragma once

#include <ray/internal/runtime.h>

namespace ray::internal {

// Does not own it. The caller sets nullptr in the end, and destroys the runtime once the RuntimeGate is Quiet. Any
// thread.
void SetCurrentRuntime(Runtime* runtime);

// Whether the runtime belongs to a process from which this one was forked. Threads that do not exist here may hold its
// locks, so nothing of it may be called. Takes no lock.
bool InChildOfRuntime();
void CheckNotInChild();                   // throws if InChildOfRuntime, with the remedy
[[noreturn]] void ThrowNotInitialised();  // there is no runtime

// Sets the answer of ActorsAreDetachedByDefault.
void SetDetachedByDefault(bool detached);

}  // namespace ray::internal
