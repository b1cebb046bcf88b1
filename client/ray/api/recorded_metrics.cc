#include "client/ray/api/recorded_metrics.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include <ray/api/exceptions.h>

#include "base/log.h"
#include "base/strings.h"
#include "client/ray/api/current_runtime.h"

namespace raylet::client {
namespace {

using ray::internal::RayException;
using wire::MetricKind;

void CheckText(const char* what, const std::string& text) {
  if (text.size() > RecordedMetrics::kTextBytesMax)
    throw RayException(
        StrCat("a metric's ", what, " has ", text.size(), " bytes and the limit is ", RecordedMetrics::kTextBytesMax));
}

void Check(const RecordedMetrics::Definition& definition) {
  if (definition.name.empty()) throw RayException("a metric needs a name");
  CheckText("name", definition.name);
  CheckText("description", definition.description);
  CheckText("unit", definition.unit);
  const auto& bounds = definition.bounds;
  if (bounds.size() > RecordedMetrics::kBoundsMax)
    throw RayException(StrCat("metric ", definition.name, " has ", bounds.size(), " boundaries and the limit is ",
                              RecordedMetrics::kBoundsMax));
  if (!std::is_sorted(bounds.begin(), bounds.end()) ||
      !std::all_of(bounds.begin(), bounds.end(), [](double bound) { return std::isfinite(bound); }))
    throw RayException(StrCat("metric ", definition.name, ": boundaries are finite, and go from low to high"));
}

}  // namespace

RecordedMetrics& RecordedMetrics::Instance() {
  static auto* const instance = new RecordedMetrics();
  return *instance;
}

RecordedMetrics::DefinitionPtr RecordedMetrics::Define(Definition definition) {
  Check(definition);
  if (ray::internal::InChildOfRuntime()) return std::make_shared<const Definition>(std::move(definition));
  const MutexLock lock(mutex_);
  Entry& entry = entries_[definition.name];
  if (entry.definition == nullptr) {
    entry.definition = std::make_shared<const Definition>(std::move(definition));
  } else if (entry.definition->kind != definition.kind || entry.definition->bounds != definition.bounds) {
    throw RayException(StrCat("metric ", definition.name,
                              " is there already, of another kind or with other boundaries: "
                              "choose another name"));
  }
  return entry.definition;
}

void RecordedMetrics::Record(const DefinitionPtr& definition, double value, const ray::Metric::Tags& tags) {
  if (definition->kind == MetricKind::Counter && !(value >= 0))
    throw RayException(StrCat("counter ", definition->name, " only grows, and ", value, " is no step: use a Sum"));
  if (tags.size() > kTagsMax)
    throw RayException(
        StrCat("metric ", definition->name, " is recorded with ", tags.size(), " tags and the limit is ", kTagsMax));
  Tags sorted;
  for (const auto& [key, text] : tags) {
    CheckText("tag", key);
    CheckText("tag", text);
    if (!key.empty()) sorted.emplace(key, text);
  }
  if (ray::internal::InChildOfRuntime()) return;  // a thread that does not exist here may hold the mutex
  const MutexLock lock(mutex_);
  auto& all = entries_.at(definition->name).series;
  auto found = all.find(sorted);
  const bool first = series_ == 0;
  if (found == all.end()) {
    if (series_ == kSeriesMax) {
      RAYLET_LOG(kWarning, "metric ", definition->name, ": a value is dropped, since ", kSeriesMax,
                 " sets of tags wait for the next report");
      return;
    }
    ++series_;
    found = all.emplace(std::move(sorted), Series()).first;
    if (definition->kind == MetricKind::Histogram) found->second.counts.resize(definition->bounds.size() + 1);
  }
  Series& series = found->second;
  series.value = definition->kind == MetricKind::Gauge ? value : series.value + value;
  if (!series.counts.empty()) {
    const auto bound = std::lower_bound(definition->bounds.begin(), definition->bounds.end(), value);
    ++series.counts[static_cast<size_t>(bound - definition->bounds.begin())];
  }
  if (first && listener_) listener_();
}

RecordedMetrics::Reports RecordedMetrics::Take() {
  Reports reports;
  const MutexLock lock(mutex_);
  for (auto& [name, entry] : entries_) {
    for (auto& [tags, series] : entry.series) {
      wire::MetricReportT& report = *reports.emplace_back(std::make_unique<wire::MetricReportT>());
      report.kind = entry.definition->kind;
      report.name = name;
      report.description = entry.definition->description;
      report.unit = entry.definition->unit;
      report.value = series.value;
      report.bounds = entry.definition->bounds;
      report.counts = std::move(series.counts);
      for (const auto& [key, value] : tags) {
        auto tag = std::make_unique<wire::MetricTagT>();
        tag->key = key;
        tag->value = value;
        report.tags.push_back(std::move(tag));
      }
    }
    entry.series.clear();
  }
  series_ = 0;
  return reports;
}

void RecordedMetrics::SetListener(std::function<void()> listener) {
  const MutexLock lock(mutex_);
  listener_ = std::move(listener);
  if (listener_ && series_ > 0) listener_();
}

}  // namespace raylet::client
