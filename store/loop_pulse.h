// LoopPulse: asks from another thread whether a loop still turns. main owns it; any thread asks.
// Always holds: at most one question lies in the loop's queue, however many threads ask.
#pragma once

#include <cstdint>
#include <memory>

#include "base/clock.h"
#include "base/loop.h"

namespace raylet::store {

class LoopPulse {
 public:
  explicit LoopPulse(Loop& loop);  // outlives this

  // True if the loop came round before the deadline.
  bool Beats(Deadline deadline);

 private:
  struct State;
  Loop& loop_;
  const std::shared_ptr<State> state_;  // the loop's, too, as long as the question lies there
};

}  // namespace raylet::store
