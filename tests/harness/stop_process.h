// StopProcess: SIGSTOP, for tests. The signal alone leaves a process time to do more. Any thread.
#pragma once

#include <sys/types.h>

namespace raylet::test {

// Returns once all threads of `pid` stand still: true. False if there is no such process, or if one of its threads
// goes on for 20 s. The process may be a child of any other.
[[nodiscard]] bool StopProcess(pid_t pid);

}  // namespace raylet::test
