// ReportedMetrics: what the programs of this machine have recorded, summed up over their processes. Owned by the
// MetricsDesk. Any thread: the loop adds, and the threads of the metrics server read. Always holds: a name has one kind
// and one list of bounds, those of its first report.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "base/result.h"
#include "fbs/messages.h"

namespace raylet {

class ReportedMetrics {
 public:
  static constexpr size_t kNamesMax = 1000;
  static constexpr size_t kSeriesMax = 10'000;  // of all names: sets of tags
  static constexpr size_t kTagsMax = 32;
  static constexpr size_t kBoundsMax = 100;
  static constexpr size_t kTextBytesMax = 1024;  // of each text

  // kProtocolError: no client of ours sends such a report. One that exceeds a limit, or contradicts an earlier one, is
  // dropped and counted.
  Result<void> Add(const wire::MetricReportT& report) RAYLET_EXCLUDES(mutex_);
  // In Prometheus's text format. Names begin with ray_.
  std::string Text() const RAYLET_EXCLUDES(mutex_);

 private:
  using Tags = std::map<std::string, std::string>;
  struct Series {
    double value = 0;
    std::vector<uint64_t> counts;
  };
  struct Metric {
    wire::MetricKind kind = wire::MetricKind::Gauge;
    std::string help;
    std::vector<double> bounds;
    std::map<Tags, Series> series;
  };

  bool TryAdd(const wire::MetricReportT& report) RAYLET_REQUIRES(mutex_);

  mutable Mutex mutex_;
  std::map<std::string, Metric> metrics_ RAYLET_GUARDED_BY(mutex_);  // by the name that Prometheus sees
  size_t series_ RAYLET_GUARDED_BY(mutex_) = 0;
  uint64_t dropped_ RAYLET_GUARDED_BY(mutex_) = 0;
};

}  // namespace raylet
