// MessageTable: which desk hears which message: one table for the messages of processes, and one for those of other
// raylets. A new message of a schema does not compile until it has its row here. Loop thread only.
#pragma once

#include <tuple>

#include "raylet/node/actor_desk.h"
#include "raylet/node/channel_desk.h"
#include "raylet/node/claim_desk.h"
#include "raylet/node/ends.h"
#include "raylet/node/group_desk.h"
#include "raylet/node/metrics_desk.h"
#include "raylet/node/node_status.h"
#include "raylet/node/object_desk.h"
#include "raylet/node/task_desk.h"

namespace raylet {

// The desks that hear messages.
using Desks =
    std::tuple<TaskDesk&, ForwardDesk&, LeaseDesk&, CancelDesk&, GroupDesk&, GroupFinder&, ActorDesk&, ActorFinder&,
               ChannelDesk&, CallChannels&, ObjectDesk&, ClaimDesk&, NodeStatus&, MetricsDesk&, Ends&>;

// kProtocolError, which closes the connection: this raylet takes no such message, or the message makes no sense.
Result<void> HearProcess(const Desks& desks, ProcessSession& session, const Frame& frame);
// As above; the error ends the session with that machine.
Result<void> HearMachine(const Desks& desks, const NodeId& node, const Frame& frame);

}  // namespace raylet
