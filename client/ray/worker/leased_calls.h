// LeasedCalls: the worker's end of its lease: takes calls in order, runs them, writes the answers. A worker has one
// lease at a time. Owned by the worker loop; its thread only, but for Shut. Never blocks on a caller that does not
// read: a call begins only where its answer certainly finds room.
// Always holds: a call that has begun is answered, and no call begins once the gate is shut.
#pragma once

#include <memory>

#include "base/mutex.h"
#include "client/ray/cluster/call_channel.h"
#include "client/ray/cluster/current_task.h"
#include "client/ray/worker/call_executor.h"

namespace raylet::client {

struct WorkerLease {
  uint64_t id = 0;
  ProcessId caller = 0;
  uint32_t caller_store_client = 0;
  uint32_t depth = 0;  // of its tasks
  ChannelMemory memory;
};

class LeasedCalls {
 public:
  LeasedCalls(CallRunner& runner, CurrentTask& current) : runner_(runner), current_(current) {}

  void Open(std::unique_ptr<WorkerLease> lease) RAYLET_EXCLUDES(mutex_);
  bool open() const { return lease_ != nullptr; }
  // Whether ServeSome would do anything: cheap, asked while spinning.
  bool HasWork();
  // Runs some calls. Returns the lease once it is over, for the raylet; otherwise 0.
  uint64_t ServeSome() RAYLET_EXCLUDES(mutex_);
  // Any thread: this worker blocks. The call that has begun goes on, and its caller takes the others back.
  void Shut() RAYLET_EXCLUDES(mutex_);

 private:
  bool MayServe();
  Result<bool> ServeOne();  // false: there was none
  void Answer(const CallOutcome& outcome);

  CallRunner& runner_;
  CurrentTask& current_;
  Mutex mutex_;  // held while lease_ is replaced, and by Shut
  std::unique_ptr<WorkerLease> lease_;
  uint64_t begun_ = 0;  // calls of this lease
  CallRecord record_;   // of the call under way; its memory is used again
};

}  // namespace raylet::client
