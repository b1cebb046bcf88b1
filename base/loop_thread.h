// LoopThread: a loop and the thread that runs it, for work that must not delay another loop. One
// thread of any kind owns it. Objects on the loop are made and destroyed through Run, before the
// LoopThread is destroyed.
#pragma once

#include <functional>
#include <thread>

#include "base/loop.h"

namespace raylet {

class LoopThread {
 public:
  LoopThread() : thread_([this] { loop_.Run(); }) {}
  ~LoopThread() {
    loop_.Stop();
    thread_.join();
  }
  LoopThread(const LoopThread&) = delete;
  LoopThread& operator=(const LoopThread&) = delete;

  Loop& loop() { return loop_; }
  // Runs `work` on the loop's thread and returns when it is done. Never call it from that thread.
  void Run(const std::function<void()>& work);

 private:
  Loop loop_;
  std::thread thread_;  // after loop_: joined before the loop goes
};

}  // namespace raylet
