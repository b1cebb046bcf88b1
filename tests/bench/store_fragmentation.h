// Memory that is parted: random sizes in a store that is nearly full, and pins that are spread out.
#pragma once

#include <vector>

#include "tests/bench/figures.h"

namespace raylet::bench {

// About ten seconds.
std::vector<Figure> FragmentationFigures();

}  // namespace raylet::bench
