// Training through <ray/parameter_server.h>: any policy and optimiser of the library, with a slow worker or the death
// of a shard on demand. The driver's thread calls it, between Init and Shutdown.
#pragma once

#include "fashion_mnist/flags.h"
#include "fashion_mnist/progress.h"

namespace fashion {

// Returns the program's exit code.
int TrainByPolicy(const Flags& flags, const Dataset& train, const Dataset& test, Progress& progress);

}  // namespace fashion
