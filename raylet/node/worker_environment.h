// The program of workers in a runtime environment. Pure but for a look at the working directory.
#pragma once

#include <string>

#include "base/result.h"
#include "raylet/node/worker_program.h"

namespace raylet {

// `environment` is JSON, as a TaskSpec has it: {"env_vars": {"NAME": "value"}, "working_dir": "/folder"}. Empty: the
// program as it is. kInvalid, with a sentence: this raylet cannot make the environment.
Result<WorkerProgram> InEnvironment(const WorkerProgram& program, const std::string& environment);

}  // namespace raylet
