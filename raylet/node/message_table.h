// MessageTable: which desk hears what: one table for the messages of processes, and one for those of other raylets. A
// message that a schema gains does not compile before it has its row here. Loop thread only.
#pragma once

#include <tuple>

#include "raylet/node/actor_desk.h"
#include "raylet/node/channel_desk.h"
#include "raylet/node/claim_desk.h"
#include "raylet/node/ends.h"
#include "raylet/node/node_status.h"
#include "raylet/node/object_desk.h"
#include "raylet/node/task_desk.h"

namespace raylet {

// Whoever hears messages.
using Desks = std::tuple<TaskDesk&, ForwardDesk&, ActorDesk&, ActorFinder&, ChannelDesk&, CallChannels&, ObjectDesk&,
                         ClaimDesk&, NodeStatus&, Ends&>;

// kProtocolError: it is none that this raylet takes, or it makes no sense. The connection is closed for it.
Result<void> HearProcess(const Desks& desks, ProcessSession& session, const Frame& frame);
// As above; the session with that machine ends for it.
Result<void> HearMachine(const Desks& desks, const NodeId& node, const Frame& frame);

}  // namespace raylet
