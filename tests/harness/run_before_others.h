// RunBeforeOthers: a higher priority, for tests that hold the system to about a second. Call it before the test's first
// process starts.
#pragma once

#include <sys/resource.h>

namespace raylet::test {

// This process and all that it starts from now on run before other tests on this machine, where this user may say so.
inline void RunBeforeOthers() { ::setpriority(PRIO_PROCESS, 0, -10); }

}  // namespace raylet::test
