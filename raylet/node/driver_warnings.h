// Sentences for the terminal of a job's driver, and for the raylet's log. Loop thread only. A driver that has gone
// hears nothing. Then only the log has the sentence.
#pragma once

#include <string>

#include "raylet/node/jobs.h"
#include "raylet/node/peer_post.h"
#include "raylet/node/process_door.h"

namespace raylet {

// The raylet of the driver's machine passes it on.
void WarnDriver(const Jobs& jobs, const ProcessDoor& door, PeerPost& post, JobId job, const std::string& sentence);
// `node` has a sentence for the driver of one of our jobs. kProtocolError where it has none of that job's work.
Result<void> PassWarningOn(const Jobs& jobs, const ProcessDoor& door, const PeerPost& post, const NodeId& node,
                           const Frame& frame);

}  // namespace raylet
