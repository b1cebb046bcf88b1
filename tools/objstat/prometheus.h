// The snapshot in Prometheus's text format: the metrics that plasma_store serves too, and those that take a look at the
// pins. Pure.
#pragma once

#include <string>
#include <vector>

#include "tools/objstat/snapshot.h"

namespace raylet::objstat {

// `metrics` are those of ReadStoreMetrics, of about the same moment.
std::string PrometheusText(const Snapshot& snapshot, const std::vector<double>& metrics);

}  // namespace raylet::objstat
