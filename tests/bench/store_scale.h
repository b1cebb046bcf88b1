// The costs of the store's verbs beside idle clients and beside held objects. They are measured in the core alone, and
// over the socket of a plasma_store.
#pragma once

#include <vector>

#include "tests/bench/figures.h"

namespace raylet::bench {

// About ten seconds.
std::vector<Figure> ScaleFigures();

}  // namespace raylet::bench
