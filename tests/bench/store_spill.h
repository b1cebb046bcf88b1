// Spilling and restoring, beside what the disk does by itself.
#pragma once

#include <vector>

#include "tests/bench/figures.h"

namespace raylet::bench {

// With a store of its own, whose spill files lie in the current folder.
std::vector<Figure> SpillFigures();

}  // namespace raylet::bench
