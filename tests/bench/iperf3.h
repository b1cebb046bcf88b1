// The rate that iperf3 measures over loopback, if it is installed: a well-known figure beside our own stream's. Call it
// before a benchmark starts threads.
#pragma once

#include "base/result.h"

namespace raylet::bench {

// One stream for some seconds, measured at the receiver. GB/s. kNotFound where iperf3 is not installed.
Result<double> Iperf3StreamGBs();

}  // namespace raylet::bench
