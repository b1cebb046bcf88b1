// How processes end: drivers with all that is theirs, and workers, by the hundred in a moment. The end of a driver is
// one transaction; workers that have gone are forgotten kEndsPerTurn at a time, each batch in one transaction.
#include <algorithm>
#include <csignal>

#include "base/log.h"
#include "base/strings.h"
#include "raylet/node/raylet.h"

namespace raylet {
namespace {

constexpr std::chrono::milliseconds kDrainPatience{100};  // from exit notice to the end of the socket
constexpr std::chrono::milliseconds kExitPatience{200};   // from the end of the socket to the exit notice
constexpr size_t kEndsPerTurn = 32;

}  // namespace

// Results are most of what a process is sent: while it is behind, nothing that makes more of them begins.
void Raylet::OnBehind(ProcessSession& session, bool behind) {
  if (stopping_ || !session.identity) return;
  scheduler_.OwnerBehind(session.identity->process, behind);
  CarryOutSoon();
}

void Raylet::OnSessionClosed(ProcessSession& session, const Error& reason) {
  // Kept until the end of this function: its identity is still read.
  const auto node = sessions_.extract(session.id());
  closed_bytes_received_ += session.socket().bytes_received();
  closed_bytes_sent_ += session.socket().bytes_sent();
  if (!session.identity) return;
  const auto& identity = *session.identity;
  if (stopping_) {
    if (identity.kind == wire::ProcessKind::Driver) (void)KillWorkersOf(identity.job, {});
    return;
  }
  by_process_.erase(identity.process);
  switch (identity.kind) {
    case wire::ProcessKind::Tool: return;
    case wire::ProcessKind::Driver: return DriverGone(identity, reason);
    case wire::ProcessKind::Worker: return WorkerClosed(identity);
  }
}

void Raylet::DriverGone(const ProcessSession::Identity& identity, const Error& reason) {
  Job& job = jobs_.at(identity.job);
  RAYLET_LOG(kInfo, "job ", identity.job, ": driver ", job.driver_pid, " has gone: ", reason.message);
  job.driver = 0;
  EndJob(identity.job);
  ProcessesGone({{identity.process, StrCat("driver ", job.driver_pid, " has ended")}});
  CarryOut();
  ForgetJobWhenDone(identity.job);
}

void Raylet::WorkerClosed(const ProcessSession::Identity& identity) {
  WorkerRecord& record = workers_.at(identity.worker);
  record.connected = false;
  // It gets no more work. One that was never ready counts as a start that failed.
  if (identity.ready) scheduler_.WorkerStopping(identity.worker);
  if (record.exit) {
    FinishSoon(identity.worker);
    return;
  }
  // Its process ends by itself, or it is of no use any more.
  record.patience =
      Timer(loop_, kExitPatience, {}, [this, worker = identity.worker] { pool_.Signal(worker, SIGKILL); });
  CarryOutSoon();
}

void Raylet::OnWorkerExit(WorkerId worker, const WorkerExit& exit) {
  if (stopping_) {
    if (pool_.Empty()) loop_.Post([this] { FinishStop(); });
    return;
  }
  WorkerRecord& record = workers_.at(worker);
  record.exit = exit;
  if (!record.connected) {
    FinishSoon(worker);
    return;
  }
  // What it wrote before it ended is still to be read. A child of its own may keep the socket open: not for long.
  record.patience = Timer(loop_, kDrainPatience, {}, [this, worker] {
    if (ProcessSession* const session = SessionOfWorker(worker))
      session->Close({ErrorCode::kDisconnected, "its process has ended"});
  });
}

void Raylet::FinishSoon(WorkerId worker) {
  workers_.at(worker).patience.Cancel();
  finished_.push_back(worker);
  if (finished_.size() == 1) PostFinish();
}

void Raylet::PostFinish() {
  loop_.Post([this, alive = alive_] {
    if (!*alive || stopping_) return;
    const auto end = finished_.begin() + static_cast<std::ptrdiff_t>(std::min(finished_.size(), kEndsPerTurn));
    const std::vector<WorkerId> workers(finished_.begin(), end);
    finished_.erase(finished_.begin(), end);
    FinishWorkers(workers);
    if (!finished_.empty()) PostFinish();
  });
}

void Raylet::FinishWorkers(const std::vector<WorkerId>& workers) {
  std::vector<EndedProcess> ended;
  std::set<JobId> jobs;
  for (const WorkerId worker : workers) {
    const auto node = workers_.extract(worker);
    const WorkerRecord& record = node.mapped();
    recent_exits_[worker] = *record.exit;
    scheduler_.WorkerGone(worker);
    if (relay_ != nullptr) relay_->WorkerGone(worker);
    if (record.actor) ActorWorkerGone(worker, record);
    if (record.process != 0) ended.push_back({record.process, DescribeExit(*record.exit)});
    jobs_.at(record.job).workers--;
    jobs.insert(record.job);
  }
  channels_.WorkersGone({workers.begin(), workers.end()});
  if (!ended.empty()) ProcessesGone(ended);
  CarryOut();
  for (const JobId job : jobs) ForgetJobWhenDone(job);
}

void Raylet::ActorWorkerGone(WorkerId worker, const WorkerRecord& record) {
  if (const ActorDirectory::Actor* const actor = actors_.Get(*record.actor)) {
    const Failure failure = ActorWorkerDied(*actor->creation, record.constructed, *record.exit);
    actors_.WorkerGone(*record.actor, Place::Here(worker), failure);
  } else if (const auto hosted = hosted_.WorkerGone(*record.actor, worker)) {
    TellActorGone(*hosted, /*never_began=*/false, ActorWorkerDied(*hosted->creation, record.constructed, *record.exit));
  }
}

// Their tasks, their actors, and whoever relies on them. Not empty.
void Raylet::ProcessesGone(const std::vector<EndedProcess>& ended) {
  ProcessSet processes;
  for (const EndedProcess& each : ended) processes.insert(each.process);
  for (const WorkerId worker : scheduler_.OwnersGone(processes)) pool_.KillSoon(worker);
  actors_.ProcessesGone(processes);
  ForgetCallers(processes);
  if (objects_ != nullptr)
    for (const EndedProcess& each : ended) objects_->ProcessGone(each.process);
  wire::ProcessNoticeT notice;
  notice.process = ended.front().process;
  notice.failure = std::make_unique<wire::FailureT>(ProcessEnded(notice.process, ended.front().why));
  for (size_t i = 1; i < ended.size(); ++i) notice.also.push_back(ended[i].process);
  TellProcesses(notice);
  for (const auto& [id, node] : view_.nodes())
    if (node.state != NodeState::kDead) TellPeer(id, wire::WorkMessage::ProcessEnded, Encode(notice));
}

// All, not only those of its job: a detached actor may have been lent objects by processes of any. Those that end with
// their job rely on nothing any more.
void Raylet::TellProcesses(const wire::ProcessNoticeT& notice) {
  const Bytes body = Encode(notice);
  for (const auto& [process, session] : by_process_)
    if (session->identity->kind != wire::ProcessKind::Tool && !EndsWithItsJob(*session))
      session->SendBytes(wire::RayletMessage::ProcessDied, 0, body);
}

bool Raylet::EndsWithItsJob(const ProcessSession& session) const {
  const auto record = workers_.find(session.identity->worker);
  return record != workers_.end() && record->second.ends_with_job;
}

// What detached actors of ours need goes on: they themselves, what runs for them, and so on. A detached actor of
// another home ends with its job, which its home ends last.
ProcessSet Raylet::SurvivorsOf(JobId job) const {
  ProcessSet survivors;
  for (bool more = true; more;) {
    more = false;
    for (const auto& [id, worker] : scheduler_.workers()) {
      if (worker.job != job || !Scheduler::Outlives(worker, survivors)) continue;
      const ProcessId process = workers_.at(id).process;
      more = (process != 0 && survivors.insert(process).second) || more;
    }
  }
  return survivors;
}

// Returns their processes.
ProcessSet Raylet::KillWorkersOf(JobId job, const ProcessSet& survivors) {
  ProcessSet killed;
  for (const WorkerId worker : scheduler_.JobEnded(job, survivors, /*for_good=*/!actors_.HasDetached(job))) {
    WorkerRecord& record = workers_.at(worker);
    record.ends_with_job = true;
    if (record.process != 0) killed.insert(record.process);
    pool_.KillSoon(worker);
  }
  return killed;
}

// No driver of it will be any more. First all its workers are on their way out and all its tasks are gone, so that
// nothing that follows starts one; they are forgotten as they go.
void Raylet::EndJob(JobId id) {
  Job& job = jobs_.at(id);
  job.ended = true;
  job.ended_for_good = !actors_.HasDetached(id);
  actors_.ProcessesGone(KillWorkersOf(id, job.ended_for_good ? ProcessSet() : SurvivorsOf(id)));
  if (!job.ended_for_good) return;
  wire::JobNoticeT notice;
  notice.job = id;
  for (const NodeId& node : std::exchange(job.known_by, {}))
    TellPeer(node, wire::WorkMessage::JobEnded, Encode(notice));
}

void Raylet::ForgetJobWhenDone(JobId id) {
  const auto found = jobs_.find(id);
  if (found == jobs_.end() || !found->second.ended || actors_.HasDetached(id)) return;
  if (!found->second.ended_for_good) {  // its last detached actor has gone
    EndJob(id);
    CarryOut();
  }
  if (found->second.workers > 0) return;
  scheduler_.JobGone(id);
  if (const auto foreign = remote_jobs_.find({found->second.from, found->second.number_there});
      foreign != remote_jobs_.end() && foreign->second == id)
    remote_jobs_.erase(foreign);
  jobs_.erase(found);
}

void Raylet::ForgetEndedJobs() {
  std::vector<JobId> ended;
  for (const auto& [id, job] : jobs_)
    if (job.ended) ended.push_back(id);
  for (const JobId job : ended) ForgetJobWhenDone(job);
}

}  // namespace raylet
