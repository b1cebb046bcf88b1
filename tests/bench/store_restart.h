// How long a store of a million objects is away when its server is killed (kill -9).
#pragma once

#include <vector>

#include "tests/bench/figures.h"

namespace raylet::bench {

// About twenty seconds.
std::vector<Figure> RestartFigures();

}  // namespace raylet::bench
