#include "raylet/node/worker_house.h"

#include <algorithm>
#include <csignal>
#include <utility>

#include "raylet/node/worker_environment.h"

namespace raylet {
namespace {

constexpr std::chrono::milliseconds kDrainPatience{100};  // from exit notice to the end of the socket
constexpr std::chrono::milliseconds kExitPatience{200};   // from the end of the socket to the exit notice
constexpr std::chrono::milliseconds kJobEndGrace{500};    // from a job's end to that of its actors' workers

}  // namespace

WorkerHouse::WorkerHouse(Loop& loop, WorkerPoolOptions options, std::chrono::milliseconds exit_grace,
                         const ProcessDoor& door, OnGone on_gone)
    : loop_(loop),
      door_(door),
      exit_grace_(exit_grace),
      on_gone_(std::move(on_gone)),
      pool_(loop, std::move(options), [this](WorkerId worker, const WorkerExit& exit) { OnExit(worker, exit); }) {}

void WorkerHouse::Start(WorkerId worker, const WorkerGroup& group, const WorkerProgram& program) {
  records_[worker].job = group.job;
  records_[worker].environment = group.environment;
  pool_.Start(worker, InEnvironment(program, group.environment));
}

Result<WorkerId> WorkerHouse::Registered(uint64_t token) {
  const auto worker = pool_.Registered(token);
  if (worker && records_.at(*worker).ends_with_job) return Fail(ErrorCode::kNotRunning, "its driver has ended");
  return worker;
}

void WorkerHouse::Connected(WorkerId worker, ProcessId process) {
  WorkerRecord& record = records_.at(worker);
  record.process = process;
  record.connected = true;
}

void WorkerHouse::AskToExit(WorkerId worker) {
  if (ProcessSession* const session = SessionOf(worker))
    session->Send(wire::RayletMessage::Exit, 0, wire::ExitNoticeT());
  pool_.KillAfter(worker, exit_grace_);
}

void WorkerHouse::Kill(WorkerId worker) {
  if (!EndsWithItsJob(worker)) pool_.KillSoon(worker);
}

void WorkerHouse::EndWithJob(WorkerId worker) {
  WorkerRecord& record = records_.at(worker);
  if (std::exchange(record.ends_with_job, true)) return;
  ProcessSession* const session = record.constructed ? SessionOf(worker) : nullptr;
  if (session == nullptr) return pool_.KillSoon(worker);
  wire::ExitNoticeT notice;
  notice.job_ended = true;
  session->Send(wire::RayletMessage::Exit, 0, notice);
  pool_.KillAfter(worker, kJobEndGrace);
}

void WorkerHouse::EndAllWithJobs() {
  for (const auto& [worker, record] : records_) EndWithJob(worker);
}

// ---- the two halves

bool WorkerHouse::SocketGone(WorkerId worker) {
  WorkerRecord& record = records_.at(worker);
  record.connected = false;
  if (record.exit) {
    TellGoneSoon(worker);
    return false;
  }
  // The process ends by itself; otherwise it is of no use any more and is killed.
  record.patience = Timer(loop_, kExitPatience, {}, [this, worker] { pool_.Signal(worker, SIGKILL); });
  return true;
}

void WorkerHouse::OnExit(WorkerId worker, const WorkerExit& exit) {
  if (stopping_) {
    if (pool_.Empty()) loop_.Post(empty_);
    return;
  }
  WorkerRecord& record = records_.at(worker);
  record.exit = exit;
  if (!record.connected) {
    TellGoneSoon(worker);
    return;
  }
  // The messages that the worker wrote before its end must still be read. A child of the worker may keep the socket
  // open, so the wait is short.
  record.patience = Timer(loop_, kDrainPatience, {}, [this, worker] {
    if (ProcessSession* const session = SessionOf(worker))
      session->Close({ErrorCode::kDisconnected, "its process has ended"});
  });
}

void WorkerHouse::TellGoneSoon(WorkerId worker) {
  records_.at(worker).patience.Cancel();
  gone_.push_back(worker);
  if (gone_.size() == 1) PostGone();
}

void WorkerHouse::PostGone() {
  loop_.Post([this, alive = alive_] {
    if (*alive && !stopping_) TellGone();
  });
}

void WorkerHouse::TellGone() {
  if (gone_.empty()) return;
  std::vector<GoneWorker> gone;
  for (size_t left = std::min(gone_.size(), kEndsPerTurn); left > 0; --left) {
    auto node = records_.extract(gone_.front());
    gone.push_back({node.key(), std::move(node.mapped())});
    gone_.pop_front();
  }
  on_gone_(gone);
  if (!gone_.empty()) PostGone();
}

// ---- stop

void WorkerHouse::KillAll() {
  for (const WorkerId worker : pool_.workers()) pool_.Signal(worker, SIGKILL);
}

void WorkerHouse::Stop(std::chrono::milliseconds grace, bool ask, std::function<void()> empty) {
  stopping_ = true;
  empty_ = std::move(empty);
  for (const WorkerId worker : pool_.workers()) {
    if (ask) pool_.Signal(worker, SIGTERM);
    if (!EndsWithItsJob(worker)) pool_.KillAfter(worker, grace);
  }
  if (pool_.Empty()) loop_.Post(empty_);
}

// ---- queries

const WorkerRecord* WorkerHouse::Find(WorkerId worker) const {
  const auto found = records_.find(worker);
  return found == records_.end() ? nullptr : &found->second;
}

ProcessSession* WorkerHouse::SessionOf(WorkerId worker) const {
  const WorkerRecord* const record = Find(worker);
  return record == nullptr ? nullptr : door_.SessionOf(record->process);
}

bool WorkerHouse::EndsWithItsJob(WorkerId worker) const {
  const WorkerRecord* const record = Find(worker);
  return record != nullptr && record->ends_with_job;
}

}  // namespace raylet
