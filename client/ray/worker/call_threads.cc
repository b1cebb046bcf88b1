#include "client/ray/worker/call_threads.h"

#include <system_error>
#include <utility>

#include "base/counted.h"
#include "base/log.h"

namespace raylet::client {

CallThreads::~CallThreads() {
  {
    const MutexLock lock(mutex_);
    stopping_ = true;
  }
  work_.NotifyAll();
  for (std::thread& thread : threads_) thread.join();
}

void CallThreads::Run(std::unique_ptr<ThreadedCall> call, void* instance) {
  ++under_way_;
  bool start = false;
  {
    const MutexLock lock(mutex_);
    instance_ = instance;
    waiting_.push_back(std::move(call));
    start = idle_ < waiting_.size();
  }
  work_.NotifyOne();
  if (!start || threads_.size() == threads_max_) return;  // a thread is about to be idle
  CallRunner& runner = *runners_.emplace_back(options_.make_runner());
  try {
    threads_.emplace_back([this, &runner] { Loop(runner); });
  } catch (const std::system_error& error) {
    if (threads_.empty()) throw;
    RAYLET_LOG(kError, "this actor has ", threads_.size(), " of the ", Counted(threads_max_, "thread"),
               " that it may have, since no more can be started: ", error.what());
    threads_max_ = threads_.size();
  }
}

std::unique_ptr<ThreadedCall> CallThreads::TakeDone() {
  if (!HasDone()) return nullptr;
  const MutexLock lock(mutex_);
  std::unique_ptr<ThreadedCall> call = std::move(done_.front());
  done_.pop_front();
  done_count_.store(done_.size(), std::memory_order_release);
  --under_way_;
  return call;
}

void CallThreads::Loop(CallRunner& runner) {
  for (;;) {
    std::unique_ptr<ThreadedCall> call;
    void* instance = nullptr;
    {
      const MutexLock lock(mutex_);
      ++idle_;
      while (waiting_.empty() && !stopping_) work_.Wait(mutex_);
      --idle_;
      if (waiting_.empty()) return;
      call = std::move(waiting_.front());
      waiting_.pop_front();
      instance = instance_;
    }
    Execute(runner, *call, instance);
    {
      const MutexLock lock(mutex_);
      done_.push_back(std::move(call));
      done_count_.store(done_.size(), std::memory_order_release);
    }
    options_.when_done();
  }
}

void CallThreads::Execute(CallRunner& runner, ThreadedCall& call, void* instance) {
  CallRequest request;
  request.function = call.record.function;
  request.arguments = call.record.arguments;
  request.result_id = call.record.result_id;
  request.caller = call.caller;
  request.caller_store_client = call.caller_store_client;
  request.lend = call.record.lend;
  request.exception_retries = call.record.exception_retries;
  call.outcome = runner.Call(request, instance);
}

}  // namespace raylet::client
