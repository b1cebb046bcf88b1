// AheadPace: how much work may be ahead at one runner, a busy worker or another machine. It depends on how much work
// ended there lately. Pure: time comes as ticks (kAheadTick). Always holds: a runner that ended no work in one of the
// last two whole ticks gets nothing ahead. So work waits behind long work for at most three ticks before it is
// recalled.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>

namespace raylet {

constexpr std::chrono::milliseconds kAheadTick{5};

class AheadPace {
 public:
  void Finished(size_t count = 1) { now_ += count; }
  void Tick() {
    before_ = last_;
    last_ = now_;
    now_ = 0;
  }
  // How much may be ahead: what the runner ends in two ticks.
  size_t Window(size_t most) const { return std::min(most, 2 * std::min(before_, last_)); }
  // Whether `ahead` tasks are far more than ended there lately.
  bool Behind(size_t ahead) const { return ahead > 4 * (before_ + last_); }
  bool Moved() const { return now_ > 0; }  // since the last tick

 private:
  size_t before_ = 0, last_ = 0;  // ended in the last two whole ticks
  size_t now_ = 0;                // and since then
};

}  // namespace raylet
