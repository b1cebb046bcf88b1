#include "raylet/node/jobs.h"

#include "base/check.h"
#include "base/strings.h"

namespace raylet {

JobId Jobs::Begin(ProcessId driver, pid_t driver_pid, std::string actor_namespace, WorkerProgram program) {
  const JobId id = next_++;
  Job& job = jobs_[id];
  job.driver = driver;
  job.driver_pid = driver_pid;
  job.actor_namespace = actor_namespace.empty() ? StrCat("job-", id) : std::move(actor_namespace);
  job.program = std::move(program);
  return id;
}

JobId Jobs::BeginFrom(const NodeId& from, JobId number_there, std::string actor_namespace, WorkerProgram program) {
  const JobId id = next_++;
  remote_jobs_[{from, number_there}] = id;  // replaces an earlier job of the same number, which is ending
  Job& job = jobs_[id];
  job.from = from;
  job.number_there = number_there;
  job.actor_namespace = std::move(actor_namespace);
  job.program = std::move(program);
  return id;
}

std::set<NodeId> Jobs::End(JobId id, bool for_good) {
  Job& job = jobs_.at(id);
  job.ended = true;
  job.ended_for_good = for_good;
  return for_good ? std::exchange(job.known_by, {}) : std::set<NodeId>();
}

std::vector<JobId> Jobs::MachineLost(const NodeId& node) {
  std::vector<JobId> its_own;
  for (auto& [id, job] : jobs_) {
    job.known_by.erase(node);
    if (job.from != node) continue;
    job.from_lost = true;
    if (!job.ended) its_own.push_back(id);
  }
  return its_own;
}

bool Jobs::MayBeForgotten(JobId id) const {
  const Job* const job = Find(id);
  return job != nullptr && job->ended_for_good && job->workers == 0;
}

void Jobs::Forget(JobId id) {
  const Job& job = jobs_.at(id);
  if (FindFrom(job.from, job.number_there) == id) remote_jobs_.erase({job.from, job.number_there});
  jobs_.erase(id);
}

const Jobs::Job* Jobs::Find(JobId id) const {
  const auto found = jobs_.find(id);
  return found == jobs_.end() ? nullptr : &found->second;
}

bool Jobs::TakesTasks(JobId id) const {
  const Job* const job = Find(id);
  return job != nullptr && !job->ended_for_good;
}

bool Jobs::NeedsProgram(JobId id, const NodeId& node) {
  Job& job = jobs_.at(id);
  RAYLET_CHECK(!job.ended_for_good, "job ", id, " has ended, and work of it goes to another machine");
  return job.known_by.insert(node).second;
}

std::optional<JobId> Jobs::FindFrom(const NodeId& from, JobId number_there) const {
  const auto found = remote_jobs_.find({from, number_there});
  if (found == remote_jobs_.end()) return {};
  return found->second;
}

std::vector<JobId> Jobs::ended() const {
  std::vector<JobId> ended;
  for (const auto& [id, job] : jobs_)
    if (job.ended) ended.push_back(id);
  return ended;
}

}  // namespace raylet
