// The failures that the raylet sends to the owner of a task, actor or object that ended badly: one
// sentence of cause, and a hint. Pure.
#pragma once

#include <sys/types.h>

#include <string>

#include "fbs/messages.h"
#include "raylet/scheduling/task.h"

namespace raylet {

// How a worker's process ended, as its exit notice said.
struct WorkerExit {
  pid_t pid = 0;
  int exit_code = 0;
  int signal = 0;           // 0: it exited
  std::string log_file;     // empty: the worker never started, or wrote nothing
  std::string last_output;  // the last lines that it wrote
  std::string start_error;  // set: why it could not start, or that it never registered
};

std::string SignalName(int signal);                // "SIGKILL"
std::string DescribeExit(const WorkerExit& exit);  // "worker 4242 was killed by signal 9 (SIGKILL)"

wire::FailureT WorkerDiedWhileRunning(const Task& task, const WorkerExit& exit, uint32_t attempts);
// Its caller adds which task the worker ran.
wire::FailureT LeasedWorkerDied(const WorkerExit& exit);
wire::FailureT ActorWorkerDied(const Task& creation, bool constructed, const WorkerExit& exit);
wire::FailureT NoWorkerStarts(const Task& task, const WorkerExit& exit, size_t attempts);
// `machine` is its address, for people. `why` says why the machine is lost, as far as that is known.
wire::FailureT MachineDiedWhileRunning(const Task& task, const std::string& machine, const std::string& why,
                                       uint32_t attempts);
wire::FailureT MachineDiedWhileHosting(const Task& creation, bool constructed, const std::string& machine,
                                       const std::string& why);
wire::FailureT RefusedByOthers(const Task& task, const std::string& machine);
// The home of the actor is lost. `machine` is the home's address; empty: unknown.
wire::FailureT HomeLost(const ActorId& actor, const std::string& machine, const std::string& why);
// Adds the machine on which it happened, for an owner on another machine.
void SayWhere(wire::FailureT& failure, const std::string& machine);
wire::FailureT ChannelLost(const ActorId& actor, const Error& why);
// `why` is empty where the object's owner has ended.
wire::FailureT ObjectLost(const Task& task, const ObjectId& object, const std::string& why);
wire::FailureT ObjectLost(const ObjectId& object, const Error& why);
wire::FailureT GroupRemoved(const Task& task);  // its placement group
wire::FailureT CancelledBeforeItBegan();
wire::FailureT Refused(const std::string& task_name, const std::string& function, const std::string& message);
wire::FailureT ProcessEnded(ProcessId process, const std::string& message);

// A TaskResult that carries a failure.
Bytes EncodeFailedResult(const TaskId& task, wire::FailureT failure);

}  // namespace raylet
