// What a process records, until its reports are taken.
#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include <ray/api.h>
#include <ray/api/metric.h>

#include "client/ray/api/recorded_metrics.h"

namespace metric_test {

using ray::internal::RayException;
using raylet::client::RecordedMetrics;
using Reports = RecordedMetrics::Reports;

class MetricTest : public ::testing::Test {
 protected:
  void SetUp() override { (void)Take(); }
  void TearDown() override { RecordedMetrics::Instance().SetListener({}); }
  static Reports Take() { return RecordedMetrics::Instance().Take(); }
};

TEST_F(MetricTest, EachKindIsReportedOnceUntilItIsRecordedAgain) {
  ray::Gauge gauge("metric_test_gauge", "a gauge", "ms");
  ray::Counter counter("metric_test_counter", "a counter", "1", {"rank"});
  ray::Sum sum("metric_test_sum", "a sum", "1");
  for (const double value : {2.0, 3.0}) {
    gauge.Set(value);
    counter.Inc(value, {{"rank", "0"}});
    sum.Record(-value);
  }
  const Reports reports = Take();
  ASSERT_EQ(reports.size(), 3u);
  EXPECT_EQ(reports[0]->name, "metric_test_counter");
  EXPECT_EQ(reports[0]->value, 5);
  ASSERT_EQ(reports[0]->tags.size(), 1u);
  EXPECT_EQ(reports[0]->tags[0]->value, "0");
  EXPECT_EQ(reports[1]->value, 3);
  EXPECT_EQ(reports[1]->unit, "ms");
  EXPECT_EQ(reports[2]->value, -5);
  EXPECT_TRUE(Take().empty());
  counter.Inc();
  EXPECT_EQ(Take().at(0)->value, 1);
}

TEST_F(MetricTest, AValueOnABoundaryLiesBelowIt) {
  ray::Histogram histogram("metric_test_histogram", "a histogram", "ms", {1, 10});
  for (const double value : {0.5, 1.0, 1.5, 10.0, 11.0}) histogram.Observe(value);
  const Reports reports = Take();
  ASSERT_EQ(reports.size(), 1u);
  EXPECT_EQ(reports[0]->counts, (std::vector<uint64_t>{2, 2, 1}));
  EXPECT_EQ(reports[0]->value, 24);
}

TEST_F(MetricTest, TwoObjectsOfOneNameAreOneMetric) {
  ray::Counter one("metric_test_shared", "", ""), other("metric_test_shared", "", "");
  one.Inc();
  other.Inc();
  EXPECT_EQ(Take().at(0)->value, 2);
  EXPECT_EQ(one.GetName(), "metric_test_shared");
}

TEST_F(MetricTest, ANonsensicalMetricIsRefused) {
  EXPECT_THROW(ray::Gauge("", "", ""), RayException);
  EXPECT_THROW(ray::Gauge(std::string(2000, 'n'), "", ""), RayException);
  EXPECT_THROW(ray::Histogram("metric_test_falling", "", "", {10, 1}), RayException);
  ray::Counter counter("metric_test_taken", "", "");
  EXPECT_THROW(ray::Gauge("metric_test_taken", "", ""), RayException);
  EXPECT_THROW(counter.Inc(-1), RayException);
  EXPECT_THROW(counter.Inc(1, {{"tag", std::string(2000, 't')}}), RayException);
}

TEST_F(MetricTest, TheListenerHearsOfTheFirstRecordAfterEachReport) {
  ray::Counter counter("metric_test_heard", "", "");
  counter.Inc();
  int heard = 0;
  RecordedMetrics::Instance().SetListener([&] { ++heard; });
  EXPECT_EQ(heard, 1) << "of what was recorded before";
  counter.Inc();
  EXPECT_EQ(heard, 1);
  (void)Take();
  counter.Inc();
  EXPECT_EQ(heard, 2);
}

TEST_F(MetricTest, ThreadsRecordTogether) {
  ray::Counter counter("metric_test_threads", "", "");
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&counter] {
      for (int n = 0; n < 1000; ++n) counter.Inc();
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(Take().at(0)->value, 4000);
}

}  // namespace metric_test
