// The figures of gradients that travel to another machine, compressed and not.
#pragma once

#include <vector>

#include "tests/bench/figures.h"

namespace raylet::bench {

// On two machines of its own, over loopback. This process belongs to no cluster before and after.
void AddCompressed(std::vector<Figure>& figures, bool brief);

}  // namespace raylet::bench
