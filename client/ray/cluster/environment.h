// The runtime environment of a task, as its TaskSpec has it: JSON with sorted names, so that equal ones are equal
// texts. Pure but for the current folder.
#pragma once

#include <string>

namespace raylet::client {

// What `asked` says, over what `own`, the environment of this process's work, says: each of the env_vars, and each
// other field. A relative working_dir is one of the current folder. Both are JSON objects, or empty. Empty: nothing is
// asked for.
std::string MergeEnvironments(const std::string& own, const std::string& asked);

}  // namespace raylet::client
