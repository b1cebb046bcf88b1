// The metrics of a store that its index has: their names, their meanings, and how to read them. plasma_store serves
// them, objstat prints them. Any thread of any process.
// Always holds: nothing here writes, or waits for the daemon.
#pragma once

#include <span>
#include <vector>

#include "fbs/segment_layout.h"

namespace raylet {

// Metrics of one name stand side by side, and differ by their label's value.
struct StoreMetric {
  const char* name;
  const char* help;
  bool counter;             // only grows while the daemon lives; otherwise a gauge
  const char* label;        // "": none
  const char* label_value;  // of `label`
  double (*read)(const IndexHeader& index);
};

std::span<const StoreMetric> StoreMetrics();

// The values in the order of StoreMetrics(), of one moment where the daemon's changes leave one soon.
std::vector<double> ReadStoreMetrics(const IndexHeader& index);

}  // namespace raylet
