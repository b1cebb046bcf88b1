// WorkerProgram: how a job's workers are started: as its driver was.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/unique_fd.h"

namespace raylet {

struct WorkerProgram {
  std::string executable;
  std::vector<std::string> arguments;    // with argv[0]
  std::vector<std::string> environment;  // NAME=value
  std::string working_directory;
  // The file that the driver runs, whatever has become of its path: moved, removed, built anew. Null: only by its path.
  std::shared_ptr<const UniqueFd> file;
};

}  // namespace raylet
