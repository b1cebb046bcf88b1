// Figures of a benchmark: a median and a tail, beside the limit of the machine measured in the same run.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace raylet::bench {

double NowSeconds();  // monotonic; the same clock in every process
double Percentile(std::vector<double> samples, double percent);

// A bound for a median, in the unit of its figure or as the ratio to its limit.
struct Promise {
  enum class Of { kMedian, kRatio } of;
  enum class Side { kAtMost, kAtLeast } side;
  double bound;
};

struct Figure {
  std::string name;
  double p50 = 0;
  double p99 = 0;
  std::string unit;        // "ns", "us", "GB/s", "calls/s"
  std::string limit_name;  // the limit that no design can beat on this machine
  double limit = 0;
  std::optional<Promise> promise;
  // Our time as a multiple of the limit's, or our rate as a part of the limit's.
  double ratio() const { return limit == 0 ? 0 : p50 / limit; }
};

// From samples of seconds, in units of `scale` (1e6: microseconds).
Figure TimeFigure(const std::string& name, const std::vector<double>& seconds, double scale, const std::string& unit,
                  const std::string& limit_name, double limit);
std::string FiguresTable(const std::vector<Figure>& figures);
std::string FiguresJson(const std::vector<Figure>& figures);
// A sentence for each promise that is not kept, or cannot be judged; empty when all are kept.
std::string BrokenPromises(const std::vector<Figure>& figures);

}  // namespace raylet::bench
