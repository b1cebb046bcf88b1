// LoopThread: a loop on a thread of its own, and calls into it that a test waits for.
#pragma once

#include <functional>
#include <future>
#include <memory>
#include <thread>
#include <utility>

#include "base/loop.h"
#include "base/result.h"

namespace raylet::test {

class LoopThread {
 public:
  LoopThread() : thread_([this] { loop_.Run(); }) {}
  ~LoopThread() { Stop(); }
  LoopThread(const LoopThread&) = delete;
  LoopThread& operator=(const LoopThread&) = delete;

  Loop& loop() { return loop_; }

  // Runs `work` there and returns when it has run.
  void Run(const std::function<void()>& work) {
    std::promise<void> ran;
    loop_.Post([&] {
      work();
      ran.set_value();
    });
    ran.get_future().wait();
  }

  // Makes an asynchronous call there: Await<int>([&](auto done) { thing.Ask(done); }). An answer that never comes is
  // kTimedOut, so that the test says where.
  template <class T, class Call>
  Result<T> Await(Call call, std::chrono::seconds patience = std::chrono::seconds(20)) {
    const auto answer = std::make_shared<std::promise<Result<T>>>();
    auto future = answer->get_future();
    loop_.Post([answer, call = std::move(call)] {
      call([answer](Result<T> result) { answer->set_value(std::move(result)); });
    });
    if (future.wait_for(patience) == std::future_status::ready) return future.get();
    return Fail(ErrorCode::kTimedOut, "the call was never answered");
  }

  void Stop() {
    loop_.Stop();
    if (thread_.joinable()) thread_.join();
  }

 private:
  Loop loop_;
  std::thread thread_;
};

}  // namespace raylet::test
