// SchedulerLimits: how much of the machine all jobs together, and each job, may take.
#pragma once

#include <cstddef>

namespace raylet {

struct SchedulerLimits {
  size_t workers_max = 256;  // processes of all jobs, actors' included
  // Processes that are being started at a time; a job below its share may exceed it (StartMissing).
  size_t starting_max = 8;
  size_t start_attempts = 3;             // failed starts in a row before a job's ready tasks fail
  size_t tasks_per_job_max = 1'000'000;  // waiting, ready and running; a task past it waits in its submitter
  size_t task_bytes_per_job_max = size_t{1} << 30;
  // Tasks of one sealed or lost object, or of an end, that one turn of the raylet's loop takes.
  size_t tasks_per_turn = 500;

  // The tasks that one process may have under way before it waits by itself.
  size_t tasks_per_process_max() const { return tasks_per_job_max / 2; }
  size_t task_bytes_per_process_max() const { return task_bytes_per_job_max / 2; }
};

}  // namespace raylet
