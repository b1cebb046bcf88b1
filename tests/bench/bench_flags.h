// The flags that every benchmark has.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "tests/bench/figures.h"

namespace raylet::bench {

struct BenchFlags {
  bool json = false;
  bool check = false;
  std::string only;  // one of the flags that the benchmark named; empty: none was given
};

// Reads `bench [--json] [--check] [--help]` and one of `others`, such as "--brief". Returns nothing if the program must
// end, with `exit_code`. Sets RAYLET_BIN_DIR, unless it is set, to ../bin from the benchmark, so that it measures the
// daemons of its own build.
std::optional<BenchFlags> ReadFlags(int argc, char** argv, const char* about, int& exit_code,
                                    const std::vector<std::string>& others = {});

// Prints the figures. Returns the exit code: 1 if --check is given and a promise is not kept.
int Report(const BenchFlags& flags, const std::vector<Figure>& figures);

}  // namespace raylet::bench
