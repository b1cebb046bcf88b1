// LaterTurn: work in a later turn of the loop, once for all that ask for it until then. Long work asks again at its
// end, and so takes several turns. The loop's thread only. Always holds: the work never runs after the LaterTurn has
// gone.
#pragma once

#include <functional>
#include <memory>
#include <utility>

#include "base/loop.h"

namespace raylet {

class LaterTurn {
 public:
  // `loop` outlives it.
  LaterTurn(Loop& loop, std::function<void()> work) : loop_(loop), work_(std::move(work)) {}

  void Ask();

 private:
  Loop& loop_;
  const std::function<void()> work_;
  const std::shared_ptr<bool> asked_ = std::make_shared<bool>(false);
};

}  // namespace raylet
