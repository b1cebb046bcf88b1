#include "tests/harness/run_folder.h"

#include <cstdlib>
#include <filesystem>

#include "base/check.h"

namespace raylet::test {

RunFolder::RunFolder() {
  char name[] = "/tmp/raylet-test-XXXXXX";
  RAYLET_CHECK(::mkdtemp(name) != nullptr, "cannot make a run folder below /tmp");
  path_ = name;
}

RunFolder::~RunFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace raylet::test
