// The keeper: the process that holds plasma_store's memory and starts its server again when that dies. It reads nothing
// but the server's own messages, and waits in poll for them, a signal or the server's end.
#pragma once

#include <cstdint>
#include <string>

#include "base/unique_fd.h"
#include "store/kept.h"

namespace raylet::store {

struct KeeperOutcome {
  bool serves = false;       // this process is the server, and a child of the keeper
  bool again = false;        // in place of one that died: what is kept has its objects
  bool first = false;        // of this keeper's servers
  UniqueFd channel;          // to the keeper
  int exit_code = 0;         // of the keeper, where the store has ended
  bool handed_over = false;  // to another keeper, which cleans up
};

// Returns in the keeper at the store's end, and in each server that it starts. `running` is the channel to a server
// that made this keeper; without one, a server is started. SIGTERM and SIGINT are blocked from here on: the server
// unblocks them. When servers die `deaths_max` times within 10 s the keeper gives up. The keeper closes `ready_fd`,
// which is the first server's; -1: none. `has_objects`: of an earlier server, for the first one of this keeper.
KeeperOutcome Keep(Kept& kept, UniqueFd running, uint32_t deaths_max, int ready_fd, bool has_objects);

}  // namespace raylet::store
