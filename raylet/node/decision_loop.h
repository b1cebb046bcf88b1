// DecisionLoop: when the cores' decisions are carried out: at once, or at the end of this turn of the loop, in one pass
// for many messages. A service. Owned by the Raylet; loop thread only. Always holds: between two turns every decision
// has been carried out. Decisions that arise meanwhile follow in the same pass. After Stop nothing is carried out any
// more.
#pragma once

#include <functional>

#include "base/loop.h"

namespace raylet {

class DecisionLoop {
 public:
  // `round` carries out all decisions so far; false: there were none. `done` comes after the last round of a pass.
  DecisionLoop(Loop& loop, std::function<bool()> round, std::function<void()> done)
      : round_(std::move(round)), done_(std::move(done)), soon_(loop, [this] { CarryOut(); }) {}

  void CarryOut();
  void CarryOutSoon() { soon_.Ask(); }
  void Stop() { stopped_ = true; }
  bool stopped() const { return stopped_; }  // the raylet stops: no decision is carried out any more

 private:
  const std::function<bool()> round_;
  const std::function<void()> done_;
  bool stopped_ = false;
  bool under_way_ = false;
  EndOfTurn soon_;
};

}  // namespace raylet
