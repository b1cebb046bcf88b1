// Repeated: a function that a thread of its own calls again and again. It ends with its owner, in the middle of a
// pause. The function is for that thread alone, and throws at most ray:: exceptions: the first one ends it.
#pragma once

#include <chrono>
#include <functional>
#include <future>
#include <thread>
#include <utility>

#include <ray/api/exceptions.h>

namespace ray::ps::internal {

class Repeated {
 public:
  Repeated(std::chrono::milliseconds pause, std::function<void()> function)
      : thread_([pause, function = std::move(function), end = end_.get_future()] {
          try {
            while (end.wait_for(pause) == std::future_status::timeout) function();
          } catch (const ray::internal::RayException&) {}  // the session has ended
        }) {}
  ~Repeated() {
    end_.set_value();
    thread_.join();
  }
  Repeated(const Repeated&) = delete;
  Repeated& operator=(const Repeated&) = delete;

 private:
  std::promise<void> end_;
  std::thread thread_;
};

}  // namespace ray::ps::internal
