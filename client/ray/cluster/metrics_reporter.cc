#include "client/ray/cluster/metrics_reporter.h"

#include <algorithm>
#include <utility>

#include "base/process_start.h"
#include "client/ray/api/recorded_metrics.h"

namespace raylet::client {
namespace {

constexpr size_t kReportsPerMessage = 32;  // of 80 KiB each at the most: they fit in a message

}  // namespace

void MetricsReporter::Start() {
  RecordedMetrics::Instance().SetListener([this] { Wake(); });
}

void MetricsReporter::Stop() {
  RecordedMetrics::Instance().SetListener({});
  std::thread thread;
  {
    const MutexLock lock(mutex_);
    stops_ = true;
    thread = std::move(thread_);
    changed_.NotifyAll();
  }
  if (thread.joinable()) thread.join();
  Report();
}

void MetricsReporter::Wake() {
  const MutexLock lock(mutex_);
  news_ = true;
  if (thread_.joinable()) {
    changed_.NotifyAll();
    return;
  }
  const SignalsBlocked blocked;
  thread_ = std::thread([this] { Run(); });
}

void MetricsReporter::Run() {
  for (;;) {
    {
      const MutexLock lock(mutex_);
      while (!news_ && !stops_) changed_.Wait(mutex_);
      news_ = false;
      const Deadline next = Deadline::After(kEvery);
      while (!stops_ && !next.Passed()) changed_.Wait(mutex_, next);
      if (stops_) return;
    }
    Report();
  }
}

// What cannot be sent is lost with the raylet.
void MetricsReporter::Report() {
  RecordedMetrics::Reports reports = RecordedMetrics::Instance().Take();
  for (size_t from = 0; from < reports.size(); from += kReportsPerMessage) {
    wire::MetricsNoticeT notice;
    for (size_t i = from; i < std::min(from + kReportsPerMessage, reports.size()); ++i)
      notice.metrics.push_back(std::move(reports[i]));
    static_cast<void>(link_.Send(wire::RayletMessage::ReportMetrics, notice));
  }
}

}  // namespace raylet::client
