#include "raylet/node/ends.h"

#include <algorithm>
#include <cstdint>
#include <set>

#include "base/log.h"
#include "base/strings.h"

namespace raylet {
namespace {

// Processes that hear of an actor or a channel of a lost machine in one turn.
constexpr size_t kToldPerTurn = 200;
constexpr size_t kLooksPerTold = 16;  // so many looks at an actor cost as much as one word

}  // namespace

Ends::Ends(const Services& services, TaskDesk& tasks, ActorDesk& actors, ChannelDesk& channels, ObjectDesk& objects,
           ClaimDesk& claims)
    : post_(services.post),
      house_(services.house),
      jobs_(services.jobs),
      decisions_(services.decisions),
      notices_(services.end_notices),
      tasks_(tasks),
      actors_(actors),
      channels_(channels),
      objects_(objects),
      claims_(claims),
      tell_losses_(services.loop, [this] { TellLosses(kToldPerTurn); }),
      forget_jobs_(services.loop, [this] { ForgetEndedJobs(); }) {}

// ---- processes of this machine

void Ends::ProcessGone(const ProcessSession::Identity& identity, const Error& reason) {
  if (decisions_.stopped()) {
    if (identity.kind == wire::ProcessKind::Driver)
      (void)tasks_.EndJob(identity.job, {}, /*for_good=*/!actors_.directory().HasDetached(identity.job));
    return;
  }
  switch (identity.kind) {
    case wire::ProcessKind::Tool: return;
    case wire::ProcessKind::Driver: return DriverGone(identity, reason);
    case wire::ProcessKind::Worker: return WorkerClosed(identity);
  }
}

void Ends::DriverGone(const ProcessSession::Identity& identity, const Error& reason) {
  const pid_t pid = jobs_.Get(identity.job).driver_pid;
  RAYLET_LOG(kInfo, "job ", identity.job, ": driver ", pid, " has gone: ", reason.message);
  jobs_.DriverGone(identity.job);
  EndJob(identity.job);
  ProcessesGone({{identity.process, StrCat("driver ", pid, " has ended")}});
  decisions_.CarryOut();
  ForgetJobWhenDone(identity.job);
}

void Ends::WorkerClosed(const ProcessSession::Identity& identity) {
  claims_.OwnersEnded({identity.process});  // the store may report its objects before its process has been reaped
  // The worker gets no more work. A worker that was never ready counts as a failed start.
  if (identity.ready) tasks_.WorkerStopping(identity.worker);
  if (house_.SocketGone(identity.worker)) decisions_.CarryOutSoon();
}

void Ends::WorkersGone(const std::vector<GoneWorker>& gone) {
  std::vector<EndedProcess> ended;
  std::unordered_set<WorkerId> workers;
  std::set<JobId> jobs;
  for (const GoneWorker& each : gone) {
    tasks_.WorkerGone(each);
    channels_.channels().WorkerGone(each.worker, each.record.store_client);
    actors_.WorkerGone(each);
    if (each.record.process != 0) ended.push_back({each.record.process, DescribeExit(*each.record.exit)});
    jobs_.WorkerGone(each.record.job);
    jobs.insert(each.record.job);
    workers.insert(each.worker);
  }
  channels_.channels().WorkersGone(workers);
  if (!ended.empty()) ProcessesGone(ended);
  decisions_.CarryOut();
  for (const JobId job : jobs) ForgetJobWhenDone(job);
}

// Ends the tasks and actors of these processes, and tells those that rely on them. `ended` is not empty.
void Ends::ProcessesGone(const std::vector<EndedProcess>& ended) {
  ProcessSet processes;
  for (const EndedProcess& each : ended) processes.insert(each.process);
  claims_.OwnersEnded(processes);
  tasks_.OwnersGone(processes);
  actors_.ProcessesGone(processes);
  channels_.ProcessesGone(processes);
  for (const EndedProcess& each : ended) objects_.ProcessGone(each.process);
  wire::ProcessNoticeT notice;
  notice.process = ended.front().process;
  notice.failure = std::make_unique<wire::FailureT>(ProcessEnded(notice.process, ended.front().why));
  for (size_t i = 1; i < ended.size(); ++i) notice.also.push_back(ended[i].process);
  const ProcessId key = notice.process;
  ProcessSet asked = notices_.TellEnded(processes, notice);
  notices_.TellPeers(processes, std::move(notice));
  claims_.ProcessesEnded(key, std::move(processes), std::move(asked));
}

// ---- jobs

// The job's driver has gone for good. Its workers are forgotten as they go.
Ends::EndedJob Ends::EndWorkersOf(JobId id) {
  const bool for_good = !actors_.directory().HasDetached(id);
  const auto known_by = jobs_.End(id, for_good);
  EndedJob job;
  if (!for_good) job.survivors = tasks_.SurvivorsOf(id);
  job.ended = tasks_.EndJob(id, job.survivors, for_good);
  wire::JobNoticeT notice;
  notice.job = id;
  for (const NodeId& node : known_by) post_.Tell(node, wire::WorkMessage::JobEnded, Encode(notice));
  return job;
}

void Ends::EndJob(JobId id) {
  const EndedJob job = EndWorkersOf(id);
  actors_.JobEnded(id, job.ended, job.survivors);
}

void Ends::ForgetJobWhenDone(JobId id) {
  const Jobs::Job* const job = jobs_.Find(id);
  if (job == nullptr || !job->ended || actors_.directory().HasDetached(id)) return;
  if (!job->ended_for_good) {  // its last detached actor has gone
    EndJob(id);
    decisions_.CarryOut();
  }
  if (!jobs_.MayBeForgotten(id) || tasks_.HasTasks(id)) return;
  tasks_.JobGone(id);
  jobs_.Forget(id);
}

void Ends::ForgetEndedJobs() {
  if (decisions_.stopped()) return;
  for (const JobId job : jobs_.ended()) ForgetJobWhenDone(job);
}

// ---- other machines

void Ends::MachineReached(const NodeId& node) {
  // Nothing of its new life is taken for what was lost.
  if (std::any_of(losses_.begin(), losses_.end(), [&](const MachineLoss& each) { return each.lost.node == node; }))
    while (!losses_.empty() && !decisions_.stopped()) TellLosses(SIZE_MAX);
  claims_.MachineReached(post_.MachineNumberOf(node));
  // The machine may have been reported dead, and its processes may have the same numbers as before.
  wire::ProcessNoticeT notice;
  notice.process = AllProcessesOf(post_.MachineNumberOf(node));
  notice.failure = std::make_unique<wire::FailureT>();
  notice.reached_again = true;
  static_cast<void>(notices_.TellMachine(notice));
  tasks_.ClusterChanged();
}

void Ends::MachineLost(const NodeId& node, const Error& why, TimePoint serves_until) {
  post_.MachineLost(node);
  if (decisions_.stopped()) return;
  const MachineNumber machine = post_.MachineNumberOf(node);
  objects_.MachineLost(node, machine, why);
  tasks_.MachineLost(node);
  MachineLoss loss{{node, machine, post_.AddressOf(node), why.message, serves_until, {}, {}}, why};
  for (const JobId id : jobs_.MachineLost(node)) {
    EndedJob job = EndWorkersOf(id);
    loss.lost.ended.merge(job.ended);
    loss.lost.jobs.emplace(id, std::move(job.survivors));
  }
  actors_.MachineLost(node);
  channels_.MachineLost(node, machine);
  claims_.MachineLost(node);
  losses_.push_back(std::move(loss));
  tell_losses_.Ask();
  decisions_.CarryOut();
}

void Ends::TellLosses(size_t most) {
  for (size_t told = 0; !losses_.empty() && told < most && !decisions_.stopped();) {
    MachineLoss& loss = losses_.front();
    if (loss.next_part < ActorDirectory::kParts) {
      told += actors_.directory().SizeOfPart(loss.next_part) / kLooksPerTold;
      told += actors_.TellMachineLost(loss.lost, loss.next_part++);
      continue;
    }
    size_t more = channels_.TellHomeLost(loss.lost, most - told);
    if (more == 0) {
      decisions_.CarryOut();  // processes hear of the actors there first, and then of the channels' ends
      more = channels_.channels().TellMachineLost(loss.lost.node, loss.why, most - told);
    }
    told += more;
    if (more > 0) continue;
    TellLoss(loss);
    losses_.pop_front();
  }
  decisions_.CarryOut();
  if (!losses_.empty()) tell_losses_.Ask();
}

void Ends::TellLoss(const MachineLoss& loss) {
  wire::ProcessNoticeT notice;
  notice.process = AllProcessesOf(loss.lost.machine);
  notice.failure = std::make_unique<wire::FailureT>(
      ProcessEnded(notice.process, StrCat("the machine at ", loss.lost.address, " is lost: ", loss.why.message)));
  claims_.LossTold(loss.lost.node, loss.lost.machine, notices_.TellMachine(notice));
  notices_.MachineLost(loss.lost.machine);
  decisions_.CarryOut();
  ForgetEndedJobs();
}

Result<void> Ends::OnJobEnded(const NodeId& node, const Frame& frame) {
  const auto notice = Parse<wire::JobNoticeT>(frame.body);
  if (!notice) return Fail(notice.error());
  const auto job = jobs_.FindFrom(node, notice->job);
  if (!job) return {};
  EndJob(*job);
  decisions_.CarryOut();
  ForgetJobWhenDone(*job);
  return {};
}

Result<void> Ends::OnProcessEnded(const NodeId& node, const Frame& frame) {
  const auto notice = Parse<wire::ProcessNoticeT>(frame.body);
  if (!notice) return Fail(notice.error());
  ProcessSet processes(notice->also.begin(), notice->also.end());
  processes.insert(notice->process);
  for (const ProcessId process : processes) RAYLET_RETURN_IF_ERROR(post_.CheckSpeaksFor(node, process));
  tasks_.OwnersGone(processes);
  actors_.ProcessesGone(processes);
  post_.ProcessesEnded(node, processes);
  for (const ProcessId process : processes) objects_.ProcessGone(process);
  ProcessSet asked = notices_.TellEnded(processes, *notice);
  claims_.EndedElsewhere(node, notice->process, std::move(processes), std::move(asked));
  return {};
}

}  // namespace raylet
