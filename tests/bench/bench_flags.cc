#include "tests/bench/bench_flags.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>

namespace raylet::bench {

std::optional<BenchFlags> ReadFlags(int argc, char** argv, const char* about, int& exit_code,
                                    const std::vector<std::string>& others) {
  const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe");
  const std::string name = program.filename();
  BenchFlags flags;
  for (int i = 1; i < argc; ++i) {
    const std::string flag = argv[i];
    if (flag == "--json") {
      flags.json = true;
    } else if (flag == "--check") {
      flags.check = true;
    } else if (std::ranges::find(others, flag) != others.end()) {
      flags.only = flag;
    } else {
      std::string more;
      for (const std::string& other : others) more += (more.empty() ? " [" : "|") + other;
      if (!more.empty()) more += "]";
      const bool help = flag == "--help" || flag == "-h";
      std::fprintf(help ? stdout : stderr,
                   "%s\nusage: %s [--json] [--check]%s\n--check: fails when a median is not what is "
                   "promised.\nRAYLET_BIN_DIR: the folder of plasma_store and raylet; without it, those of this "
                   "build.\n",
                   help ? about : (name + ": there is no flag " + flag).c_str(), name.c_str(), more.c_str());
      exit_code = help ? 0 : 2;
      return {};
    }
  }
  ::setenv("RAYLET_BIN_DIR", (program.parent_path().parent_path() / "bin").c_str(), /*overwrite=*/0);
  return flags;
}

int Report(const BenchFlags& flags, const std::vector<Figure>& figures) {
  std::fputs((flags.json ? FiguresJson(figures) : FiguresTable(figures)).c_str(), stdout);
  if (!flags.check) return 0;
  const std::string broken = BrokenPromises(figures);
  std::fputs(broken.c_str(), stderr);
  return broken.empty() ? 0 : 1;
}

}  // namespace raylet::bench
