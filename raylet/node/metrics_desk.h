// MetricsDesk: what programs record with <ray/api/metric.h>, for this machine's metrics server. Owned by the Raylet;
// loop thread only.
#pragma once

#include "raylet/node/process_session.h"
#include "raylet/node/reported_metrics.h"

namespace raylet {

class MetricsDesk {
 public:
  Result<void> OnReportMetrics(ProcessSession& session, const Frame& frame);
  const ReportedMetrics& reported() const { return reported_; }

 private:
  ReportedMetrics reported_;
};

}  // namespace raylet
