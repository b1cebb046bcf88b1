// How a process finds the raylet of its own machine: shared memory is the machine's, so an address host:port stands for
// a whole cluster, and the process attaches to the raylet here that knows that address. A raylet of a cluster listens,
// beside its socket's path, at an abstract name that says whose it is; such names belong to a network namespace, leave
// no file, and go with their process. Any thread; no state.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/frame_connection.h"
#include "base/result.h"
#include "fbs/messages.h"

namespace raylet::client {

// The abstract names of one user's raylets. A raylet takes the first that is free.
constexpr size_t kLocalRayletsMax = 256;
std::string LocalRayletName(uid_t user, size_t index);

// What a raylet of this machine says to a tool.
struct LocalRaylet {
  std::string socket;
  std::vector<std::string> addresses;  // host:port of its own, then of those that it knows
};

// Registers as a tool, which may ask and do nothing else.
Result<wire::RegisterReplyT> RegisterTool(FrameConnection& connection, Deadline deadline);

// This user's raylets of a cluster that answer before the deadline. One that does not is passed over.
std::vector<LocalRaylet> LocalRaylets(Deadline deadline);

// The socket of the raylet to attach to: a path is one already. Names are resolved. kInvalid for no address;
// kNotRunning for a name that is neither a file here nor host:port, and, with the command that helps where nothing
// answers there, or no raylet here is in that cluster; it may just be joining, so the latter is said after some
// seconds.
Result<std::string> FindRaylet(const std::string& address);

}  // namespace raylet::client
