#include "tests/bench/figures.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <nlohmann/json.hpp>

namespace raylet::bench {

double NowSeconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

double Percentile(std::vector<double> samples, double percent) {
  if (samples.empty()) return 0;
  const auto place = static_cast<size_t>(static_cast<double>(samples.size()) * percent / 100);
  const auto at = samples.begin() + static_cast<ptrdiff_t>(std::min(place, samples.size() - 1));
  std::ranges::nth_element(samples, at);  // there may be ten million, and a sort takes ten times as long
  return *at;
}

Figure TimeFigure(const std::string& name, const std::vector<double>& seconds, double scale, const std::string& unit,
                  const std::string& limit_name, double limit) {
  Figure figure;
  figure.name = name;
  figure.p50 = Percentile(seconds, 50) * scale;
  figure.p99 = Percentile(seconds, 99) * scale;
  figure.unit = unit;
  figure.limit_name = limit_name;
  figure.limit = limit;
  return figure;
}

std::string FiguresTable(const std::vector<Figure>& figures) {
  std::string out;
  char line[256];
  std::snprintf(line, sizeof line, "%-34s %12s %12s %-8s %12s %7s  %s\n", "", "p50", "p99", "", "limit", "ratio", "of");
  out += line;
  for (const Figure& figure : figures) {
    std::snprintf(line, sizeof line, "%-34s %12.2f %12.2f %-8s %12.2f %7.2f  %s\n", figure.name.c_str(), figure.p50,
                  figure.p99, figure.unit.c_str(), figure.limit, figure.ratio(), figure.limit_name.c_str());
    out += line;
  }
  return out;
}

std::string FiguresJson(const std::vector<Figure>& figures) {
  nlohmann::json out = nlohmann::json::array();
  for (const Figure& figure : figures) {
    out.push_back({{"name", figure.name},
                   {"p50", figure.p50},
                   {"p99", figure.p99},
                   {"unit", figure.unit},
                   {"limit_name", figure.limit_name},
                   {"limit", figure.limit},
                   {"ratio", figure.ratio()}});
  }
  return out.dump(2) + "\n";
}

std::string BrokenPromises(const std::vector<Figure>& figures) {
  std::string out;
  for (const Figure& figure : figures) {
    if (!figure.promise) continue;
    const Promise& promise = *figure.promise;
    const bool ratio = promise.of == Promise::Of::kRatio;
    const bool at_most = promise.side == Promise::Side::kAtMost;
    const double is = ratio ? figure.ratio() : figure.p50;
    if (is > 0 && (at_most ? is <= promise.bound : is >= promise.bound)) continue;
    char line[256];
    std::snprintf(line, sizeof line, "%s: the median is %.2f %s, and at %s %.2f are promised\n", figure.name.c_str(),
                  is, ratio ? ("times the " + figure.limit_name).c_str() : figure.unit.c_str(),
                  at_most ? "most" : "least", promise.bound);
    out += line;
  }
  return out;
}

}  // namespace raylet::bench
