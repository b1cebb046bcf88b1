// What the store's core costs after many millions of puts, and what a million objects cost. In this process: the core
// and the index's reader, without a socket between them.
#pragma once

#include <vector>

#include "tests/bench/figures.h"

namespace raylet::bench {

// About twenty seconds.
std::vector<Figure> SoakFigures();

}  // namespace raylet::bench
