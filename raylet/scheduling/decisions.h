// SchedulerDecision: what the scheduler wants the raylet to do, in the order in which it is to be done. Plain data.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "raylet/scheduling/task.h"

namespace raylet {

struct StartWorker {
  WorkerId worker = 0;
  JobId job = 0;
};
struct RunTask {
  WorkerId worker = 0;
  TaskPtr task;
  bool ahead = false;  // once it has ended those that it was given before
};
struct RecallFromWorker {  // what of these it has not started; ends in WorkerGaveBack
  WorkerId worker = 0;
  std::vector<TaskId> tasks;
};
struct KillWorker {  // nobody wants what it has begun to run
  WorkerId worker = 0;
};
struct StopWorker {  // an idle one, or one whose actor's constructor threw: it may finish and go
  WorkerId worker = 0;
};
struct WatchObjects {
  std::vector<ObjectId> objects;
};
struct UnwatchObjects {  // no task waits for their seals any more
  std::vector<ObjectId> objects;
};
struct ReleaseArguments {  // what was watched: no task that is to start here needs them any more
  std::vector<ObjectId> objects;
};
struct ForwardTask {  // to another machine, which runs it or sends it back
  NodeId node;
  TaskPtr task;
};
struct RecallForwarded {  // what it does not run yet; ends in NodeGaveBack
  NodeId node;
};
struct ReturnRecalled {  // to the machine that wants them back: they do not run here, nor will they
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
struct LoseTask {  // its owner gets a failure
  enum class Why { kWorkerDied, kNoWorkerStarts, kObjectLost, kNodeDied, kRefused };
  Why why = Why::kWorkerDied;
  TaskPtr task;
  WorkerId worker = 0;    // kWorkerDied, kNoWorkerStarts: the last one
  ObjectId object;        // kObjectLost
  uint32_t attempts = 1;  // kWorkerDied, kNodeDied: how often it was started
  NodeId node;            // kNodeDied, kRefused: the last one
  std::string reason;     // kObjectLost: unless its owner has ended
};
using SchedulerDecision =
    std::variant<StartWorker, RunTask, RecallFromWorker, KillWorker, StopWorker, WatchObjects, UnwatchObjects,
                 ReleaseArguments, ForwardTask, RecallForwarded, ReturnRecalled, CancelForwarded, TellRoom, LoseTask>;
using Decisions = std::vector<SchedulerDecision>;

}  // namespace raylet
