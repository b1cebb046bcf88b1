#include "raylet/node/driver_warnings.h"

#include "base/log.h"

namespace raylet {

void WarnDriver(const Jobs& jobs, const ProcessDoor& door, JobId id, const std::string& sentence) {
  RAYLET_LOG(kWarning, "job ", id, ": ", sentence);
  const Jobs::Job* const job = jobs.Find(id);
  ProcessSession* const driver = job == nullptr || job->driver == 0 ? nullptr : door.SessionOf(job->driver);
  if (driver == nullptr) return;
  wire::WarningNoticeT notice;
  notice.sentence = sentence;
  driver->Send(wire::RayletMessage::Warn, 0, notice);
}

}  // namespace raylet
