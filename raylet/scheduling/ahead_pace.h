// AheadPace: how much work may wait at who runs it, a busy worker or another machine, judged by how much of it ended
// there lately. Pure: time comes as ticks (kAheadTick). Always holds: who ended nothing in one of the last two whole
// ticks gets nothing ahead, so work waits behind long work for three ticks at most before it is recalled.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>

namespace raylet {

constexpr std::chrono::milliseconds kAheadTick{5};

class AheadPace {
 public:
  void Finished() { ++now_; }
  void Tick() {
    before_ = last_;
    last_ = now_;
    now_ = 0;
  }
  // What it ends in two ticks.
  size_t Window(size_t most) const { return std::min(most, 2 * std::min(before_, last_)); }
  // So many wait there, and they are far more than what ended lately.
  bool Behind(size_t ahead) const { return ahead > 4 * (before_ + last_); }
  bool Moved() const { return now_ > 0; }  // since the last tick

 private:
  size_t before_ = 0, last_ = 0;  // ended in the last two whole ticks
  size_t now_ = 0;                // and since then
};

}  // namespace raylet
