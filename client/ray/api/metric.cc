#include <ray/api/metric.h>

#include <utility>

#include "client/ray/api/recorded_metrics.h"

namespace ray {
namespace {

using raylet::client::RecordedMetrics;
using raylet::wire::MetricKind;

}  // namespace

Metric::Metric(const internal::MetricDefinition& definition)
    : definition_(RecordedMetrics::Instance().Define(definition)) {}
Metric::~Metric() = default;
const std::string& Metric::GetName() const { return definition_->name; }
void Metric::Record(double value, const Tags& tags) { RecordedMetrics::Instance().Record(definition_, value, tags); }

Gauge::Gauge(const std::string& name, const std::string& description, const std::string& unit,
             const std::vector<std::string>&)
    : Metric(internal::MetricDefinition{MetricKind::Gauge, name, description, unit, {}}) {}
Gauge::~Gauge() = default;

Counter::Counter(const std::string& name, const std::string& description, const std::string& unit,
                 const std::vector<std::string>&)
    : Metric(internal::MetricDefinition{MetricKind::Counter, name, description, unit, {}}) {}
Counter::~Counter() = default;

Sum::Sum(const std::string& name, const std::string& description, const std::string& unit,
         const std::vector<std::string>&)
    : Metric(internal::MetricDefinition{MetricKind::Sum, name, description, unit, {}}) {}
Sum::~Sum() = default;

Histogram::Histogram(const std::string& name, const std::string& description, const std::string& unit,
                     const std::vector<double>& boundaries, const std::vector<std::string>&)
    : Metric(internal::MetricDefinition{MetricKind::Histogram, name, description, unit, boundaries}) {}
Histogram::~Histogram() = default;

}  // namespace ray
