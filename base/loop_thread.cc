#include "base/loop_thread.h"

#include <future>

namespace raylet {

void LoopThread::Run(const std::function<void()>& work) {
  std::promise<void> done;
  loop_.Post([&] {
    work();
    done.set_value();
  });
  done.get_future().wait();
}

}  // namespace raylet
