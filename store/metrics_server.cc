#include "store/metrics_server.h"

#include <microhttpd.h>
#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <atomic>
#include <cerrno>
#include <string_view>
#include <utility>
#include <vector>

#include "base/process_start.h"
#include "base/strings.h"
#include "fbs/store_metrics.h"

namespace raylet::store {
namespace {

constexpr unsigned kThreads = 2;
constexpr unsigned kConnectionsMax = 64;
constexpr unsigned kTimeoutSeconds = 5;               // of a connection that asks nothing, or does not read
constexpr size_t kConnectionBytes = size_t{8} << 10;  // for a request's headers
constexpr size_t kStackBytes = size_t{256} << 10;

struct Page {
  unsigned code = MHD_HTTP_OK;
  std::string type = "text/plain", body;
};

MHD_Result Send(MHD_Connection* connection, const Page& page) {
  MHD_Response* const response =
      MHD_create_response_from_buffer(page.body.size(), const_cast<char*>(page.body.data()), MHD_RESPMEM_MUST_COPY);
  if (response == nullptr) return MHD_NO;  // closes the connection
  MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, page.type.c_str());
  const MHD_Result sent = MHD_queue_response(connection, page.code, response);
  MHD_destroy_response(response);
  return sent;
}

}  // namespace

struct MetricsServer::Http {
  const IndexHeader& index;
  LoopPulse& pulse;
  const Duration pulse_timeout;
  std::atomic<bool> is_ready{false};
  UniqueFd listening;
  MHD_Daemon* daemon = nullptr;  // its threads use all of the above

  Page Answer(std::string_view method, std::string_view path) {
    if (method != "GET" && method != "HEAD")
      return {MHD_HTTP_METHOD_NOT_ALLOWED, "text/plain", "GET is all there is\n"};
    if (path == "/metrics") return {MHD_HTTP_OK, "text/plain; version=0.0.4; charset=utf-8", MetricsText(index)};
    if (path == "/livez") return Health();
    if (path == "/readyz") {
      if (is_ready.load(std::memory_order_acquire)) return Health();
      return {MHD_HTTP_SERVICE_UNAVAILABLE, "text/plain", "the store does not serve yet\n"};
    }
    return {MHD_HTTP_NOT_FOUND, "text/plain", "there are /metrics, /livez and /readyz\n"};
  }

  Page Health() {
    if (pulse.Beats(Deadline::After(pulse_timeout))) return {MHD_HTTP_OK, "text/plain", "ok\n"};
    const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(pulse_timeout).count();
    return {MHD_HTTP_SERVICE_UNAVAILABLE, "text/plain", StrCat("the store's loop has not turned for ", ms, " ms\n")};
  }

  static MHD_Result Handle(void* self, MHD_Connection* connection, const char* path, const char* method, const char*,
                           const char*, size_t* body_bytes, void**) {
    *body_bytes = 0;  // a body is read and dropped
    return Send(connection, static_cast<Http*>(self)->Answer(method, path));
  }
};

MetricsServer::MetricsServer() = default;

MetricsServer::~MetricsServer() {
  if (http_ && http_->daemon != nullptr) MHD_stop_daemon(http_->daemon);
}

Result<std::unique_ptr<MetricsServer>> MetricsServer::Start(const MetricsOptions& options, const IndexHeader& index,
                                                            LoopPulse& pulse) {
  auto listening = ListenTcp(options.listen, static_cast<int>(kConnectionsMax));
  if (!listening && listening.error().code == ErrorCode::kAlreadyExists)
    return Fail(ErrorCode::kAlreadyExists, StrCat("cannot serve metrics at ", options.listen.text(),
                                                  ": another process listens there; choose another port, or 0"));
  if (!listening) return Fail(listening.error());
  const auto bound = LocalAddressOf(listening->get());
  if (!bound) return Fail(bound.error());

  std::unique_ptr<MetricsServer> metrics(new MetricsServer());
  metrics->url_ = StrCat("http://", bound->text(), "/metrics");
  metrics->http_.reset(new Http{index, pulse, options.pulse_timeout, false, *std::move(listening), nullptr});
  Http& http = *metrics->http_;
  const SignalsBlocked blocked;  // signals belong to the loop's thread
  http.daemon = MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_ITC, 0, nullptr, nullptr, &Http::Handle, &http,
                                 MHD_OPTION_LISTEN_SOCKET, http.listening.get(), MHD_OPTION_THREAD_POOL_SIZE, kThreads,
                                 MHD_OPTION_CONNECTION_LIMIT, kConnectionsMax, MHD_OPTION_CONNECTION_TIMEOUT,
                                 kTimeoutSeconds, MHD_OPTION_CONNECTION_MEMORY_LIMIT, kConnectionBytes,
                                 MHD_OPTION_THREAD_STACK_SIZE, kStackBytes, MHD_OPTION_END);
  if (http.daemon == nullptr)
    return FailErrno(StrCat("cannot start the threads that serve metrics at ", bound->text()), errno);
  http.listening.Release();  // the server closes it
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
