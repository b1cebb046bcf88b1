#include "raylet/node/reported_metrics.h"

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/strings.h"

namespace raylet {
namespace {

// Prometheus takes letters, digits and '_'; a colon is for its own rules.
std::string Cleaned(std::string_view name) {
  std::string clean(name);
  for (char& c : clean) {
    const bool fits = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
    if (!fits) c = '_';
  }
  if (!clean.empty() && clean[0] >= '0' && clean[0] <= '9') clean.insert(0, 1, '_');
  return clean;
}

Result<void> CheckReport(const wire::MetricReportT& report) {
  const auto nonsense = [](const char* why) { return Fail(ErrorCode::kProtocolError, StrCat("a metric ", why)); };
  if (report.kind > wire::MetricKind::MAX) return nonsense("is of unknown kind");
  if (report.name.empty()) return nonsense("has no name");
  const bool histogram = report.kind == wire::MetricKind::Histogram;
  if (!histogram && (!report.bounds.empty() || !report.counts.empty()))
    return nonsense("has buckets, and is no histogram");
  if (histogram && report.counts.size() != report.bounds.size() + 1) return nonsense("has no count for each bucket");
  if (!std::is_sorted(report.bounds.begin(), report.bounds.end()) ||
      !std::all_of(report.bounds.begin(), report.bounds.end(), [](double bound) { return std::isfinite(bound); }))
    return nonsense("has bounds that are not in order");
  return {};
}

bool IsWithinLimits(const wire::MetricReportT& report) {
  const auto fits = [](const std::string& text) { return text.size() <= ReportedMetrics::kTextBytesMax; };
  return report.tags.size() <= ReportedMetrics::kTagsMax && report.bounds.size() <= ReportedMetrics::kBoundsMax &&
         fits(report.name) && fits(report.description) && fits(report.unit) &&
         std::all_of(report.tags.begin(), report.tags.end(),
                     [&](const auto& tag) { return !tag->key.empty() && fits(tag->key) && fits(tag->value); });
}

}  // namespace

Result<void> ReportedMetrics::Add(const wire::MetricReportT& report) {
  RAYLET_RETURN_IF_ERROR(CheckReport(report));
  const MutexLock lock(mutex_);
  if (!IsWithinLimits(report) || !TryAdd(report)) ++dropped_;
  return {};
}

bool ReportedMetrics::TryAdd(const wire::MetricReportT& report) {
  const std::string name = "ray_" + Cleaned(report.name);
  auto found = metrics_.find(name);
  if (found == metrics_.end()) {
    if (metrics_.size() >= kNamesMax || series_ >= kSeriesMax) return false;
    found = metrics_.emplace(name, Metric()).first;
    Metric& made = found->second;
    made.kind = report.kind;
    made.help = report.unit.empty() ? report.description : StrCat(report.description, " [", report.unit, "]");
    made.bounds = report.bounds;
  }
  Metric& metric = found->second;
  if (metric.kind != report.kind || metric.bounds != report.bounds) return false;
  Tags tags;
  for (const auto& tag : report.tags) tags[Cleaned(tag->key)] = tag->value;
  auto series = metric.series.find(tags);
  if (series == metric.series.end()) {
    if (series_ >= kSeriesMax) return false;
    ++series_;
    series = metric.series.emplace(std::move(tags), Series()).first;
    series->second.counts.resize(report.counts.size());
  }
  double& value = series->second.value;
  value = report.kind == wire::MetricKind::Gauge ? report.value : value + report.value;
  for (size_t i = 0; i < report.counts.size(); ++i) series->second.counts[i] += report.counts[i];
  return true;
}

std::string ReportedMetrics::Text() const {
  std::vector<prometheus::MetricFamily> families;
  const MutexLock lock(mutex_);
  for (const auto& [name, metric] : metrics_) {
    prometheus::MetricFamily& family = families.emplace_back();
    family.name = name;
    family.help = metric.help;
    switch (metric.kind) {
      case wire::MetricKind::Counter: family.type = prometheus::MetricType::Counter; break;
      case wire::MetricKind::Histogram: family.type = prometheus::MetricType::Histogram; break;
      default: family.type = prometheus::MetricType::Gauge; break;  // a sum may fall
    }
    for (const auto& [tags, series] : metric.series) {
      prometheus::ClientMetric& client = family.metric.emplace_back();
      for (const auto& [key, value] : tags) client.label.push_back({key, value});
      client.counter.value = client.gauge.value = client.histogram.sample_sum = series.value;
      uint64_t below = 0;
      for (size_t i = 0; i < series.counts.size(); ++i) {
        below += series.counts[i];
        const double bound = i < metric.bounds.size() ? metric.bounds[i] : HUGE_VAL;
        client.histogram.bucket.push_back({below, bound});
      }
      client.histogram.sample_count = below;
    }
  }
  prometheus::MetricFamily& dropped = families.emplace_back();
  dropped.name = "raylet_metric_reports_dropped_total";
  dropped.help = "Reports of programs beyond a limit, or of another kind than an earlier one of that name.";
  dropped.type = prometheus::MetricType::Counter;
  dropped.metric.emplace_back().counter.value = static_cast<double>(dropped_);
  return prometheus::TextSerializer().Serialize(families);
}

}  // namespace raylet
