// What every benchmark's command line has in common.
#pragma once

#include <optional>

namespace raylet::bench {

struct BenchFlags {
  bool json = false;
};

// Flags of `bench [--json] [--help]`; none where the program is to end, with `exit_code`. Makes RAYLET_BIN_DIR, where
// it is not set, the folder of the daemons of this build (../bin from the benchmark), so that they are what is
// measured.
std::optional<BenchFlags> ReadFlags(int argc, char** argv, const char* about, int& exit_code);

}  // namespace raylet::bench
