#include "raylet/node/driver_warnings.h"

#include "base/log.h"
#include "base/strings.h"
#include "raylet/node/inbound.h"

namespace raylet {
namespace {

constexpr size_t kSentenceBytesMax = 4096;

void Tell(const Jobs::Job& job, const ProcessDoor& door, const std::string& sentence) {
  ProcessSession* const driver = job.driver == 0 ? nullptr : door.SessionOf(job.driver);
  if (driver == nullptr) return;
  wire::WarningNoticeT notice;
  notice.sentence = sentence;
  driver->Send(wire::RayletMessage::Warn, 0, notice);
}

}  // namespace

void WarnDriver(const Jobs& jobs, const ProcessDoor& door, PeerPost& post, JobId id, const std::string& sentence) {
  RAYLET_LOG(kWarning, "job ", id, ": ", sentence);
  const Jobs::Job* const job = jobs.Find(id);
  if (job == nullptr) return;
  if (job->from.IsNil()) return Tell(*job, door, sentence);
  wire::JobWarningNoticeT notice;
  notice.job = job->number_there;
  notice.sentence = sentence.substr(0, kSentenceBytesMax);
  post.Tell(job->from, wire::WorkMessage::JobWarning, Encode(notice));
}

Result<void> PassWarningOn(const Jobs& jobs, const ProcessDoor& door, const PeerPost& post, const NodeId& node,
                           const Frame& frame) {
  const auto notice = Parse<wire::JobWarningNoticeT>(frame.body);
  if (!notice) return Fail(notice.error());
  const Jobs::Job* const job = jobs.Find(notice->job);
  if (job == nullptr) return {};  // it has ended meanwhile
  if (!job->known_by.contains(node) || notice->sentence.size() > kSentenceBytesMax)
    return Fail(ErrorCode::kProtocolError, "a warning for a job that has no work there, or one that is too long");
  Tell(*job, door, StrCat("at ", post.AddressOf(node), ": ", notice->sentence));
  return {};
}

}  // namespace raylet
