// OwnTime: a stopwatch for limits of about a second, which hold on a machine that has the CPU for them. One thread.
#pragma once

#include <algorithm>
#include <chrono>
#include <fstream>
#include <string>
#include <utility>

#include "base/clock.h"

namespace raylet::test {

class OwnTime {
 public:
  // `pressure`: where the kernel says for how long processes of this machine have waited for a CPU.
  explicit OwnTime(std::string pressure = "/proc/pressure/cpu") : pressure_(std::move(pressure)), waited_(Waited()) {}
  // The time since this was made. Time in which any process waited for a CPU does not count, since it may have been one
  // of the test. Where the kernel does not say, all time counts.
  Duration Elapsed() const {
    const Duration all = std::chrono::steady_clock::now() - start_;
    return std::max(Duration::zero(), all - (Waited() - waited_));
  }

 private:
  // Of "some avg10=0.00 avg60=0.00 avg300=0.00 total=MICROSECONDS".
  Duration Waited() const {
    std::ifstream file(pressure_);
    std::string line;
    std::getline(file, line);
    const std::string mark = "total=";
    const size_t at = line.find(mark);
    return std::chrono::microseconds(at == std::string::npos ? 0 : std::stoll(line.substr(at + mark.size())));
  }

  const std::string pressure_;
  const Duration waited_;
  const TimePoint start_ = std::chrono::steady_clock::now();
};

}  // namespace raylet::test
