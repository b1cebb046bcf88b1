// Task submission: from a function's name and arguments to a TaskSpec at the raylet. A task whose arguments are not
// ready is sent by whoever makes the last of them ready. Any thread.
#pragma once

#include <string>

#include "client/ray/cluster/actor_link.h"
#include "client/ray/cluster/call_arguments.h"

namespace raylet::client {

class ClusterCore;

ClusterObjectPtr SubmitTask(ClusterCore& core, const std::string& function, CallArguments arguments,
                            const ray::internal::CallOptions& options);

// The actor's creation; calls on the link wait until it is on its way. Throws when the raylet refuses it (its name is
// taken) unless it had to wait for arguments, in which case calls hear of it.
ActorLinkPtr CreateActor(ClusterCore& core, const std::string& factory, CallArguments arguments,
                         const ray::internal::CallOptions& options);

}  // namespace raylet::client
