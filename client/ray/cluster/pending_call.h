// PendingCall: a call or a task of this process whose end is still to come. Owned by the part that hears of that end:
// its CallChannel, or PendingTasks.
#pragma once

#include <memory>

#include "client/ray/cluster/cluster_object.h"

namespace raylet::client {

struct ActorCall;
struct TaskSubmission;

struct PendingCall {
  ClusterObjectPtr result;                         // null: of an actor's creation
  LendId lend = 0;                                 // covers the objects in the arguments
  std::shared_ptr<TaskSubmission> task = nullptr;  // of a leased worker's call: all that is needed to send it again
  std::shared_ptr<ActorCall> again = nullptr;      // the same of an actor's call that has retries, or a name
};

}  // namespace raylet::client
