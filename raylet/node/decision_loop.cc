#include "raylet/node/decision_loop.h"

#include <utility>

namespace raylet {

void DecisionLoop::CarryOut() {
  if (stopped_ || std::exchange(under_way_, true)) return;
  while (round_()) {}
  under_way_ = false;
  done_();
}

}  // namespace raylet
