// The soak of the store's core: its costs after many millions of puts, and beside a million objects. The core and the
// index's reader run in this process, without a socket between them.
#pragma once

#include <vector>

#include "tests/bench/figures.h"

namespace raylet::bench {

// About twenty seconds. `brief`: two million puts instead of ten, without the millions of small objects; as in the test
// run.
std::vector<Figure> SoakFigures(bool brief);

}  // namespace raylet::bench
