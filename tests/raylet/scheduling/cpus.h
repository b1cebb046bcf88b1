// Cpus: a request for CPUs alone, or for nothing. kOne: a whole CPU, or a whole of another resource.
#pragma once

#include "raylet/scheduling/resources.h"

namespace raylet::test {

inline constexpr int64_t kOne = kUnitsPerWhole;

inline ResourceSet Cpus(int64_t units) {
  ResourceSet set;
  if (units > 0) set.Accumulate(kCpu, units);
  return set;
}

}  // namespace raylet::test
