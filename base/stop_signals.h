// StopSignals: while it lives, SIGTERM and SIGINT ask the program to stop, however often they come. main makes it first
// and ends it last. So no signal cuts the clean-up short. Loop's thread only.
#pragma once

#include <functional>
#include <utility>

#include "base/loop.h"

namespace raylet {

class StopSignals {
 public:
  explicit StopSignals(Loop& loop);  // which outlives it
  // Neither signal does anything from its end until that of the process.
  ~StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

  // Called from the loop at each signal, also for one that came before the loop ran.
  void OnStop(std::function<void()> stop) { stop_ = std::move(stop); }

 private:
  std::function<void()> stop_;
  SignalWatcher terminate_, interrupt_;
};

}  // namespace raylet
