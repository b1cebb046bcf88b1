// Counter: a number for statistics. One thread adds to it; any thread may read it. It publishes
// nothing else.
#pragma once

#include <atomic>
#include <cstdint>

namespace raylet {

class Counter {
 public:
  void operator+=(uint64_t more) {  // one thread adds: no locked instruction
    value_.store(value_.load(std::memory_order_relaxed) + more, std::memory_order_relaxed);
  }
  void operator++() { *this += 1; }
  uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> value_{0};
};

}  // namespace raylet
