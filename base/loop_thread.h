// LoopThread: a loop and the thread that runs it, for work that must not hold up another loop. Its owner may be any one
// thread; what lives on the loop is made and destroyed through Run, before the LoopThread goes.
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
  // On the loop's thread, and returns when it is done. Never from that thread.
  void Run(const std::function<void()>& work);

 private:
  Loop loop_;
  std::thread thread_;  // after loop_: joined before the loop goes
};

}  // namespace raylet
