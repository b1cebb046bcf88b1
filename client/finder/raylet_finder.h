// How a process finds the raylet of its own machine. A process can share memory only with its own machine. So an
// address host:port stands for a whole cluster, and the process attaches to the raylet here that knows the address. A
// raylet of a cluster listens at its socket's path and at an abstract name with its user's id. Such names belong to a
// network namespace, leave no file, and go with their process. Any thread; no state.
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

// A raylet of this machine, as it describes itself to a tool.
struct LocalRaylet {
  std::string socket;
  std::vector<std::string> addresses;  // host:port: its own, then those of other raylets that it knows
};

// Registers as a tool, which may ask and do nothing else.
Result<wire::RegisterReplyT> RegisterTool(FrameConnection& connection, Deadline deadline);

// This user's raylets of clusters that answer before the deadline.
std::vector<LocalRaylet> LocalRaylets(Deadline deadline);

// The socket of the raylet to attach to. A path is returned as it is, and host names are resolved. kInvalid: no
// address. kNotRunning has three causes: the address is neither a file nor host:port; nothing answers there; its
// cluster has no raylet of this machine. The message has the command that helps. A raylet may be joining just now, so
// the third answer takes some seconds.
Result<std::string> FindRaylet(const std::string& address);

}  // namespace raylet::client
