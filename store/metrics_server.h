// MetricsServer: serves the store's metrics to Prometheus over HTTP, and says whether the store lives and is ready.
// main owns it. Its threads are its own: they read the index, and ask the loop nothing but whether it turns. Always
// holds: the loop never waits for a scraper.
#pragma once

#include <memory>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "base/tcp_socket.h"
#include "fbs/segment_layout.h"
#include "store/loop_pulse.h"

namespace raylet::store {

struct MetricsOptions {
  TcpAddress listen;
  Duration pulse_timeout = std::chrono::seconds(1);  // a loop that does not turn for so long is not alive
};

// The memory that it takes: its threads, and the answers on their way.
constexpr uint64_t kMetricsBytes = uint64_t{2} << 20;

class MetricsServer {
 public:
  // `index` and `pulse` outlive it. kAlreadyExists where another process listens there, kInvalid where this machine
  // does not have the address.
  static Result<std::unique_ptr<MetricsServer>> Start(const MetricsOptions& options, const IndexHeader& index,
                                                      LoopPulse& pulse);
  ~MetricsServer();
  MetricsServer(const MetricsServer&) = delete;
  MetricsServer& operator=(const MetricsServer&) = delete;

  // Until the first call /readyz says that the store starts. Any thread.
  void SetReady(bool ready);
  const std::string& url() const { return url_; }  // of the metrics

 private:
  struct Http;
  MetricsServer();

  std::unique_ptr<Http> http_;
  std::string url_;
};

// The metrics in Prometheus's text format. Any thread.
std::string MetricsText(const IndexHeader& index);

}  // namespace raylet::store
