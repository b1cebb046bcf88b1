// CallThreads: the threads of an actor that runs several calls at a time. The worker's main thread hands calls over and
// takes them back with their outcomes, so that it alone reads and writes channels. Owned by the ActorHost; every method
// is for its thread. A thread starts when a call finds no idle one.
// Always holds: a call runs at once, since at most `threads_max` are under way.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "base/mutex.h"
#include "client/ray/worker/call_executor.h"
#include "fbs/call_record.h"
#include "fbs/messages.h"

namespace raylet::client {

// A call from when it leaves its ring until its reply.
struct ThreadedCall {
  uint64_t channel = 0;  // its number
  ProcessId caller = 0;
  uint32_t caller_store_client = 0;
  Bytes bytes;        // of the record
  CallRecord record;  // refers to `bytes`
  CallOutcome outcome;
};

class CallThreads {
 public:
  struct Options {
    size_t threads_max = 1;
    // Runs the calls of one thread. Called on the main thread.
    std::function<std::unique_ptr<CallRunner>()> make_runner;
    // A call has ended. On the call's thread.
    std::function<void()> when_done;
  };
  explicit CallThreads(Options options) : options_(std::move(options)), threads_max_(options_.threads_max) {}
  ~CallThreads();  // waits for the calls under way

  bool HasRoom() const { return under_way_ < threads_max_; }
  bool Idle() const { return under_way_ == 0; }
  // Whether calls run, besides those that have ended and were not taken.
  bool Runs() const { return under_way_ > done_count_.load(std::memory_order_acquire); }
  // Where there is room. `instance` is the actor's object. Throws std::system_error where no thread can be started.
  void Run(std::unique_ptr<ThreadedCall> call, void* instance) RAYLET_EXCLUDES(mutex_);
  // Cheap, asked while spinning.
  bool HasDone() const { return done_count_.load(std::memory_order_acquire) != 0; }
  // A call that has ended; null: none. It counts as under way until it is taken.
  std::unique_ptr<ThreadedCall> TakeDone() RAYLET_EXCLUDES(mutex_);

 private:
  void Loop(CallRunner& runner) RAYLET_EXCLUDES(mutex_);
  void Execute(CallRunner& runner, ThreadedCall& call, void* instance);

  const Options options_;
  size_t threads_max_;    // fewer than asked for where no more threads can be had
  size_t under_way_ = 0;  // the main thread's count
  std::vector<std::unique_ptr<CallRunner>> runners_;
  std::vector<std::thread> threads_;

  Mutex mutex_;
  ConditionVariable work_;
  void* instance_ RAYLET_GUARDED_BY(mutex_) = nullptr;
  std::deque<std::unique_ptr<ThreadedCall>> waiting_ RAYLET_GUARDED_BY(mutex_);  // at most as many as threads are idle
  std::deque<std::unique_ptr<ThreadedCall>> done_ RAYLET_GUARDED_BY(mutex_);
  size_t idle_ RAYLET_GUARDED_BY(mutex_) = 0;
  bool stopping_ RAYLET_GUARDED_BY(mutex_) = false;
  // Size of done_: stored under mutex_ (release), read by the main thread (acquire), which then takes the lock.
  std::atomic<size_t> done_count_{0};
};

}  // namespace raylet::client
