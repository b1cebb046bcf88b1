// Figures of a benchmark: a median and a tail, beside the limit of the machine measured in the same run.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace raylet::bench {

double NowSeconds();  // monotonic; the same clock in every process
double Percentile(std::vector<double> samples, double percent);

struct Figure {
  std::string name;
  double p50 = 0;
  double p99 = 0;
  std::string unit;        // "ns", "us", "GB/s", "calls/s"
  std::string limit_name;  // what no design can beat here
  double limit = 0;
  // How many times the limit's time we take, or what part of its rate we reach.
  double ratio() const { return limit == 0 ? 0 : p50 / limit; }
};

// From samples of seconds, in units of `scale` (1e6: microseconds).
Figure TimeFigure(const std::string& name, const std::vector<double>& seconds, double scale, const std::string& unit,
                  const std::string& limit_name, double limit);
std::string FiguresTable(const std::vector<Figure>& figures);
std::string FiguresJson(const std::vector<Figure>& figures);

}  // namespace raylet::bench
