// SchedulerDecision: one thing that the scheduler wants the raylet to do. The raylet does them in order. Plain data.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "raylet/scheduling/task.h"

namespace raylet {

struct StartWorker {
  WorkerId worker = 0;
  WorkerGroup group;
};
struct RunTask {
  WorkerId worker = 0;
  TaskPtr task;
  bool ahead = false;  // the worker runs it after the tasks that it has already
};
struct UseDevices {  // comes before the RunTask or the GrantWorker of what holds these devices
  WorkerId worker = 0;
  DeviceIndexes devices;
};
struct RecallFromWorker {  // asks for those of these that it has not started; ends in WorkerGaveBack
  WorkerId worker = 0;
  std::vector<TaskId> tasks;
};
struct KillWorker {  // nobody wants the result of the task that it runs
  WorkerId worker = 0;
};
struct StopWorker {  // an idle worker, or one whose actor's constructor threw: it may finish and go; or WorkerStays
  WorkerId worker = 0;
};
struct WatchObjects {
  std::vector<ObjectId> objects;
};
struct UnwatchObjects {  // no task waits for their seals any more
  std::vector<ObjectId> objects;
};
struct ReleaseArguments {  // watched objects that no task that starts here needs any more
  std::vector<ObjectId> objects;
};
struct ForwardTask {  // to another machine, which runs it or sends it back
  NodeId node;
  TaskPtr task;
};
struct RecallForwarded {  // asks for the tasks that it does not run yet; ends in NodeGaveBack
  NodeId node;
};
struct ReturnRecalled {  // to the machine that recalled them: they have not run here and will not run
  NodeId node;
  std::vector<TaskId> tasks;
};
struct CancelForwarded {  // nobody wants its result any more
  NodeId node;
  TaskId task;
};
struct TellRoom {  // tasks of this process were sent back, and there is room for some now
  ProcessId process = 0;
};
struct GrantWorker {  // answers AskForWorker: the worker takes calls of this process from now on
  WorkerLeaseId lease = 0;
  WorkerId worker = 0;
  ProcessId caller = 0;
  uint64_t request = 0;
  uint32_t depth = 0;
};
struct RefuseWorker {  // answers AskForWorker: not now
  ProcessId caller = 0;
  uint64_t request = 0;
};
struct ShutLease {  // its worker begins no call any more, and gives the lease back once it has answered; ends in
                    // WorkerReturned
  WorkerLeaseId lease = 0;
  WorkerId worker = 0;
  ProcessId caller = 0;
};
struct LoseLease {  // its worker has died
  WorkerLeaseId lease = 0;
  WorkerId worker = 0;
  ProcessId caller = 0;
};
struct LoseTask {  // its owner gets a failure
  enum class Why { kWorkerDied, kNoWorkerStarts, kObjectLost, kNodeDied, kRefused, kCancelled, kGroupRemoved };
  Why why = Why::kWorkerDied;
  TaskPtr task;
  WorkerId worker = 0;    // kWorkerDied, kNoWorkerStarts: the last one
  ObjectId object;        // kObjectLost
  uint32_t attempts = 1;  // kWorkerDied, kNodeDied: how often it was started
  NodeId node;            // kNodeDied, kRefused: the last one
  std::string reason;     // kObjectLost: why; empty where the object's owner has ended
};
using SchedulerDecision =
    std::variant<StartWorker, RunTask, UseDevices, RecallFromWorker, KillWorker, StopWorker, WatchObjects,
                 UnwatchObjects, ReleaseArguments, ForwardTask, RecallForwarded, ReturnRecalled, CancelForwarded,
                 TellRoom, GrantWorker, RefuseWorker, ShutLease, LoseLease, LoseTask>;
using Decisions = std::vector<SchedulerDecision>;

}  // namespace raylet
