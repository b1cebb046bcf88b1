// RecordedMetrics: what this process has recorded with <ray/api/metric.h> since its last report. One per process; any
// thread. Never destroyed, since static objects may record to the end. In a child of fork() nothing is recorded.
#pragma once

#include <ray/api/metric.h>

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "fbs/messages.h"

namespace ray::internal {

struct MetricDefinition {
  raylet::wire::MetricKind kind = raylet::wire::MetricKind::Gauge;
  std::string name, description, unit;
  std::vector<double> bounds;  // of a histogram
};

}  // namespace ray::internal

namespace raylet::client {

class RecordedMetrics {
 public:
  using Definition = ray::internal::MetricDefinition;
  using DefinitionPtr = std::shared_ptr<const Definition>;
  using Reports = std::vector<std::unique_ptr<wire::MetricReportT>>;

  static constexpr size_t kSeriesMax = 10'000;  // that were not reported yet; further ones are dropped
  static constexpr size_t kTagsMax = 32;
  static constexpr size_t kBoundsMax = 100;
  static constexpr size_t kTextBytesMax = 1024;  // of a name, a description, a unit, a tag

  static RecordedMetrics& Instance();

  // Throws RayException where the definition makes no sense or contradicts an earlier one.
  DefinitionPtr Define(Definition definition) RAYLET_EXCLUDES(mutex_);
  void Record(const DefinitionPtr& definition, double value, const ray::Metric::Tags& tags) RAYLET_EXCLUDES(mutex_);

  // What was recorded since the last call.
  Reports Take() RAYLET_EXCLUDES(mutex_);
  // Called, on the thread that records, at the first record after each Take; at once where there are some. Null: nobody
  // listens any more, and the earlier listener is not running.
  void SetListener(std::function<void()> listener) RAYLET_EXCLUDES(mutex_);

 private:
  using Tags = std::map<std::string, std::string>;
  struct Series {
    double value = 0;
    std::vector<uint64_t> counts;
  };
  struct Entry {
    DefinitionPtr definition;
    std::map<Tags, Series> series;
  };

  Mutex mutex_;
  std::map<std::string, Entry> entries_ RAYLET_GUARDED_BY(mutex_);  // by name
  size_t series_ RAYLET_GUARDED_BY(mutex_) = 0;
  std::function<void()> listener_ RAYLET_GUARDED_BY(mutex_);
};

}  // namespace raylet::client
