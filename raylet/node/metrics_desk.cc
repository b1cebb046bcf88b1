#include "raylet/node/metrics_desk.h"

namespace raylet {

Result<void> MetricsDesk::OnReportMetrics(ProcessSession&, const Frame& frame) {
  const auto notice = Parse<wire::MetricsNoticeT>(frame.body);
  if (!notice) return Fail(notice.error());
  for (const auto& report : notice->metrics) RAYLET_RETURN_IF_ERROR(reported_.Add(*report));
  return {};
}

}  // namespace raylet
