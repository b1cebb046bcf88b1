#include "raylet/node/reported_metrics.h"

#include <gtest/gtest.h>

#include <string>

#include "base/strings.h"

namespace raylet {
namespace {

using wire::MetricKind;

class ReportedMetricsTest : public ::testing::Test {
 protected:
  static wire::MetricReportT Report(MetricKind kind, const std::string& name, double value,
                                    const std::string& rank = "") {
    wire::MetricReportT report;
    report.kind = kind;
    report.name = name;
    report.description = "for tests";
    report.unit = "ms";
    report.value = value;
    if (!rank.empty()) {
      report.tags.push_back(std::make_unique<wire::MetricTagT>());
      report.tags.back()->key = "rank";
      report.tags.back()->value = rank;
    }
    return report;
  }
  static wire::MetricReportT HistogramOf(std::vector<uint64_t> counts, double sum) {
    auto report = Report(MetricKind::Histogram, "latency", sum);
    report.bounds = {1, 10};
    report.counts = std::move(counts);
    return report;
  }
  void Add(const wire::MetricReportT& report) { ASSERT_TRUE(metrics_.Add(report)); }
  void ExpectLine(const std::string& line) const {
    EXPECT_NE(("\n" + metrics_.Text()).find("\n" + line + "\n"), std::string::npos) << line << "\n" << metrics_.Text();
  }

  ReportedMetrics metrics_;
};

TEST_F(ReportedMetricsTest, CountersAddUpAndGaugesKeepTheLastValue) {
  for (const double value : {1.0, 2.5}) {
    Add(Report(MetricKind::Counter, "steps", value));
    Add(Report(MetricKind::Gauge, "depth", value));
    Add(Report(MetricKind::Sum, "balance", -value));
  }
  ExpectLine("# HELP ray_steps for tests [ms]");
  ExpectLine("# TYPE ray_steps counter");
  ExpectLine("ray_steps 3.5");
  ExpectLine("ray_depth 2.5");
  ExpectLine("ray_balance -3.5");
}

TEST_F(ReportedMetricsTest, EachSetOfTagsIsALineOfItsOwn) {
  Add(Report(MetricKind::Counter, "steps", 1, "0"));
  Add(Report(MetricKind::Counter, "steps", 2, "1"));
  Add(Report(MetricKind::Counter, "steps", 3, "0"));
  ExpectLine("ray_steps{rank=\"0\"} 4");
  ExpectLine("ray_steps{rank=\"1\"} 2");
}

TEST_F(ReportedMetricsTest, BucketsOfAHistogramAddUp) {
  Add(HistogramOf({1, 2, 0}, 8));
  Add(HistogramOf({0, 1, 1}, 104));
  ExpectLine("ray_latency_bucket{le=\"1\"} 1");
  ExpectLine("ray_latency_bucket{le=\"10\"} 4");
  ExpectLine("ray_latency_bucket{le=\"+Inf\"} 5");
  ExpectLine("ray_latency_count 5");
  ExpectLine("ray_latency_sum 112");
}

TEST_F(ReportedMetricsTest, NamesBecomeThoseOfPrometheus) {
  Add(Report(MetricKind::Gauge, "my.own-name:1", 1));
  ExpectLine("ray_my_own_name_1 1");
}

TEST_F(ReportedMetricsTest, AReportThatContradictsAnEarlierOneIsDroppedAndCounted) {
  Add(Report(MetricKind::Counter, "steps", 1));
  Add(Report(MetricKind::Gauge, "steps", 7));
  Add(HistogramOf({1, 0, 0}, 1));
  auto other = HistogramOf({1, 0, 0}, 1);
  other.bounds = {2, 20};
  Add(other);
  ExpectLine("ray_steps 1");
  ExpectLine("ray_latency_count 1");
  ExpectLine("raylet_metric_reports_dropped_total 2");
}

TEST_F(ReportedMetricsTest, SeriesAboveALimitAreDroppedAndTheRestGoesOn) {
  for (size_t i = 0; i < ReportedMetrics::kSeriesMax + 5; ++i)
    Add(Report(MetricKind::Counter, "steps", 1, std::to_string(i)));
  Add(Report(MetricKind::Counter, std::string(ReportedMetrics::kTextBytesMax + 1, 'n'), 1));
  Add(Report(MetricKind::Counter, "steps", 1, "0"));
  ExpectLine("ray_steps{rank=\"0\"} 2");
  ExpectLine("raylet_metric_reports_dropped_total 6");
}

TEST_F(ReportedMetricsTest, NonsenseIsAnErrorOfTheProtocol) {
  auto nameless = Report(MetricKind::Gauge, "", 1);
  EXPECT_EQ(metrics_.Add(nameless).error().code, ErrorCode::kProtocolError);
  auto unknown = Report(static_cast<MetricKind>(9), "a", 1);
  EXPECT_EQ(metrics_.Add(unknown).error().code, ErrorCode::kProtocolError);
  EXPECT_EQ(metrics_.Add(HistogramOf({1, 2}, 1)).error().code, ErrorCode::kProtocolError);
  auto falling = HistogramOf({1, 2, 3}, 1);
  falling.bounds = {10, 1};
  EXPECT_EQ(metrics_.Add(falling).error().code, ErrorCode::kProtocolError);
  auto gauge = Report(MetricKind::Gauge, "a", 1);
  gauge.counts = {1};
  EXPECT_EQ(metrics_.Add(gauge).error().code, ErrorCode::kProtocolError);
}

}  // namespace
}  // namespace raylet
