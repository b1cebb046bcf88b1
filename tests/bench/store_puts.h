// Small puts through the public plasma:: interface, and the wake-up of a get that waits for one.
#pragma once

#include <string>
#include <vector>

#include "tests/bench/figures.h"

namespace raylet::bench {

// At the store that serves `socket`. Forks, so this process has no connection yet. `spin_us`: two processes that hand a
// word to and fro while they spin. `brief`: a tenth of the puts into a full store.
std::vector<Figure> PutFigures(const std::string& socket, double spin_us, bool brief);

}  // namespace raylet::bench
