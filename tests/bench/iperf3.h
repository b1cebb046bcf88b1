// What iperf3 measures over loopback, where it is installed: a figure that people know, beside our own stream's. Call
// it before a benchmark starts threads.
#pragma once

#include "base/result.h"

namespace raylet::bench {

// One stream for some seconds, as it arrives. GB/s. kNotFound where iperf3 is not installed.
Result<double> Iperf3StreamGBs();

}  // namespace raylet::bench
