// PendingCall: a call or a task of this process whose end is still to come. Owned by the part that hears of that end:
// its CallChannel, or PendingTasks.
#pragma once

#include "client/ray/cluster/cluster_object.h"

namespace raylet::client {

struct PendingCall {
  ClusterObjectPtr result;  // null: of an actor's creation
  LendId lend = 0;          // covers the objects in the arguments
};

}  // namespace raylet::client
