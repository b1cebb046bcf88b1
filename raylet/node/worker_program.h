// WorkerProgram: how to start a job's workers: as its driver was started. The workers also take what the driver's
// RayConfig says.
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
  // The file that the driver runs. It stays right when the path is moved, removed or built anew. Null: only the path is
  // known.
  std::shared_ptr<const UniqueFd> file;
  bool detached_actors = false;                    // unless an actor says otherwise
  std::vector<std::string> code_search_path = {};  // absolute
};

}  // namespace raylet
