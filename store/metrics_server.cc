#include "store/metrics_server.h"

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <atomic>
#include <string_view>
#include <utility>
#include <vector>

#include "base/http_server.h"
#include "base/strings.h"
#include "fbs/store_metrics.h"

namespace raylet::store {

struct MetricsServer::Http {
  const IndexHeader& index;
  LoopPulse& pulse;
  const Duration pulse_timeout;
  std::atomic<bool> is_ready{false};
  std::unique_ptr<HttpServer> server;  // its threads use all of the above

  HttpServer::Page Answer(std::string_view path) {
    if (path == "/metrics") return {200, MetricsText(index), kPrometheusText};
    if (path == "/livez") return Health();
    if (path == "/readyz") {
      if (is_ready.load(std::memory_order_acquire)) return Health();
      return {503, "the store does not serve yet\n"};
    }
    return {404, "there are /metrics, /livez and /readyz\n"};
  }

  HttpServer::Page Health() {
    if (pulse.Beats(Deadline::After(pulse_timeout))) return {200, "ok\n"};
    const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(pulse_timeout).count();
    return {503, StrCat("the store's loop has not turned for ", ms, " ms\n")};
  }
};

MetricsServer::MetricsServer() = default;
MetricsServer::~MetricsServer() = default;

Result<std::unique_ptr<MetricsServer>> MetricsServer::Start(const MetricsOptions& options, const IndexHeader& index,
                                                            LoopPulse& pulse) {
  std::unique_ptr<MetricsServer> metrics(new MetricsServer());
  metrics->http_.reset(new Http{index, pulse, options.pulse_timeout, false, nullptr});
  Http& http = *metrics->http_;
  auto server = HttpServer::Start(options.listen, [&http](std::string_view path) { return http.Answer(path); });
  if (!server) return Fail(server.error());
  http.server = *std::move(server);
  metrics->url_ = StrCat("http://", http.server->address(), "/metrics");
  return metrics;
}

void MetricsServer::SetReady(bool ready) { http_->is_ready.store(ready, std::memory_order_release); }

std::string MetricsText(const IndexHeader& index) {
  const std::vector<double> values = ReadStoreMetrics(index);
  std::vector<prometheus::MetricFamily> families;
  size_t i = 0;
  for (const StoreMetric& metric : StoreMetrics()) {
    if (families.empty() || families.back().name != metric.name) {
      families.emplace_back();
      families.back().name = metric.name;
      families.back().help = metric.help;
      families.back().type = metric.counter ? prometheus::MetricType::Counter : prometheus::MetricType::Gauge;
    }
    prometheus::ClientMetric& value = families.back().metric.emplace_back();
    if (*metric.label != 0) value.label = {{metric.label, metric.label_value}};
    (metric.counter ? value.counter.value : value.gauge.value) = values[i++];
  }
  return prometheus::TextSerializer().Serialize(families);
}

}  // namespace raylet::store
