// WarnDriver: a sentence for the terminal of a job's driver, and for the raylet's log. Loop thread only. A driver on
// another machine, or one that has gone, hears nothing. Then only the log has the sentence.
#pragma once

#include <string>

#include "raylet/node/jobs.h"
#include "raylet/node/process_door.h"

namespace raylet {

void WarnDriver(const Jobs& jobs, const ProcessDoor& door, JobId job, const std::string& sentence);

}  // namespace raylet
