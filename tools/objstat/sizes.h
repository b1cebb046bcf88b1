// Sizes: how many objects there are of each size, and what rounding costs them. Pure.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "tools/objstat/snapshot.h"
#include "tools/objstat/text.h"

namespace raylet::objstat {

// The objects of from_bytes to to_bytes, both included: data and metadata together.
struct SizeClass {
  uint64_t from_bytes = 0, to_bytes = 0;
  uint64_t count = 0, bytes = 0, waste_bytes = 0;
};

// Powers of two from the smallest object to the largest; one class for objects without bytes.
std::vector<SizeClass> SizesOf(const Snapshot& snapshot);

std::string SizesText(const Snapshot& snapshot, const std::vector<SizeClass>& sizes, Look look);
nlohmann::json SizesJson(const std::vector<SizeClass>& sizes);

}  // namespace raylet::objstat
