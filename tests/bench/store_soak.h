// The soak of the store's core: its costs after many millions of puts, and beside a million objects. The core and the
// index's reader run in this process, without a socket between them.
#pragma once

#include <vector>

#include "tests/bench/figures.h"

namespace raylet::bench {

// About twenty seconds.
std::vector<Figure> SoakFigures();

}  // namespace raylet::bench
