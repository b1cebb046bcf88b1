// ResizeLease: the Resize under way, as the home knows it, and whether its conductor still shows itself. Without a sign
// for kTime the Resize is given up. Only time in which the home is asked counts. So a home that was busy or stopped
// itself blames nobody. Owned by a Shard. One thread at a time.
// Always holds: a Resize that was given up is never under way again.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

namespace ray::ps::internal {

class ResizeLease {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;
  static constexpr std::chrono::milliseconds kTime{3000};
  static constexpr std::chrono::milliseconds kBetweenLooksMax{100};  // that counts

  // `resize`: a random number, not 0.
  void Begin(uint64_t resize, TimePoint now) {
    resize_ = resize;
    Sign(now);
  }
  // A sign of its conductor. False: it is given up, or unknown here.
  bool Renew(uint64_t resize, TimePoint now) {
    if (resize == 0 || resize != resize_) return false;
    Sign(now);
    return true;
  }
  void End() { resize_ = 0; }
  // 0: none.
  uint64_t UnderWay(TimePoint now) {
    if (resize_ == 0) return 0;
    quiet_ += std::min<TimePoint::duration>(now - looked_, kBetweenLooksMax);
    looked_ = now;
    if (quiet_ >= kTime) End();
    return resize_;
  }

 private:
  void Sign(TimePoint now) {
    quiet_ = {};
    looked_ = now;
  }

  uint64_t resize_ = 0;
  TimePoint::duration quiet_{};  // since the last sign
  TimePoint looked_;
};

}  // namespace ray::ps::internal
