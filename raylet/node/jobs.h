// Jobs: every job that this raylet knows: jobs of drivers here, and jobs of other machines whose work comes here. For
// each it keeps the program of its workers, the machines that have this program from us, and whether the job has ended.
// A service. Owned by the Raylet; loop thread only. Pure. Always holds: a job's number is never used again. A machine's
// job is found by its number there until it is forgotten, or a newer job has that number.
#pragma once

#include <sys/types.h>

#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "fbs/ids.h"
#include "raylet/node/worker_program.h"
#include "raylet/scheduling/task.h"

namespace raylet {

class Jobs {
 public:
  struct Job {
    ProcessId driver = 0;  // 0: it has gone, or belongs to another machine
    pid_t driver_pid = 0;
    bool ended = false;           // its driver has gone
    bool ended_for_good = false;  // its detached actors have ended, too: nothing of it goes on
    bool from_lost = false;       // its machine was lost: that one wants no result of it, although it may be back
    NodeId from;                  // another machine's job; nil: ours
    JobId number_there = 0;
    std::set<NodeId> known_by;    // machines that have its program from us
    std::string actor_namespace;  // never empty
    WorkerProgram program;
    size_t workers = 0;
  };

  // A job without a namespace gets one of its own.
  JobId Begin(ProcessId driver, pid_t driver_pid, std::string actor_namespace, WorkerProgram program);
  JobId BeginFrom(const NodeId& from, JobId number_there, std::string actor_namespace, WorkerProgram program);
  // True once for each machine: that machine must be told the job's program. The job TakesTasks, since a machine that
  // has heard of its end hears no more of it.
  bool NeedsProgram(JobId id, const NodeId& node);
  void WorkerStarted(JobId id) { jobs_.at(id).workers++; }
  void WorkerGone(JobId id) { jobs_.at(id).workers--; }

  // ---- ends
  void DriverGone(JobId id) { jobs_.at(id).driver = 0; }
  // Returns the machines that have the job's program. They must hear that the job has ended for good.
  std::set<NodeId> End(JobId id, bool for_good);
  // That machine is lost, and has no program of ours any more. Returns its jobs here that have not ended yet.
  std::vector<JobId> MachineLost(const NodeId& node);
  // The job has ended for good, and its last worker has gone. It may still have tasks that nobody wants.
  bool MayBeForgotten(JobId id) const;
  void Forget(JobId id);

  // ---- queries
  const Job& Get(JobId id) const { return jobs_.at(id); }
  const Job* Find(JobId id) const;  // null: forgotten
  bool TakesTasks(JobId id) const;  // it has not ended for good
  std::optional<JobId> FindFrom(const NodeId& from, JobId number_there) const;
  std::vector<JobId> ended() const;
  const std::map<JobId, Job>& all() const { return jobs_; }

 private:
  std::map<JobId, Job> jobs_;
  // Our number of another machine's job, by that machine and the job's number there.
  std::map<std::pair<NodeId, JobId>, JobId> remote_jobs_;
  JobId next_ = 1;
};

}  // namespace raylet
