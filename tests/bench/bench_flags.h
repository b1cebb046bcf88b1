// What every benchmark's command line has in common.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "tests/bench/figures.h"

namespace raylet::bench {

struct BenchFlags {
  bool json = false;
  bool check = false;
  std::string only;  // of those that the benchmark named; empty: none was given
};

// Flags of `bench [--json] [--check] [--help]` and of one of `others`, such as "--brief"; none where the program is to
// end, with `exit_code`. Makes RAYLET_BIN_DIR, where it is not set, the folder of the daemons of this build (../bin
// from the benchmark), so that they are what is measured.
std::optional<BenchFlags> ReadFlags(int argc, char** argv, const char* about, int& exit_code,
                                    const std::vector<std::string>& others = {});

// Prints them; the exit code: 1 where --check is asked for and a promise is not kept.
int Report(const BenchFlags& flags, const std::vector<Figure>& figures);

}  // namespace raylet::bench
