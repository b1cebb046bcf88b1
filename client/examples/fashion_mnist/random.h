// A random sequence that is the same on every machine and with every standard library (SplitMix64).
#pragma once

#include <cstdint>

namespace fashion {

class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}

  uint64_t Next() {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }

  // At least 0, less than 1.
  float NextFloat() { return static_cast<float>(Next() >> 40) * 0x1p-24F; }

  // Less than `end`, which is small beside 2^64, so that the bias of the remainder does not matter.
  uint64_t Below(uint64_t end) { return Next() % end; }

 private:
  uint64_t state_;
};

}  // namespace fashion
