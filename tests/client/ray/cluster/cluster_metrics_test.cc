// What drivers, tasks and actors record is served by the raylet.
#include <gtest/gtest.h>
#include <ray/api/metric.h>

#include <chrono>
#include <string>
#include <vector>

#include "tests/client/ray/cluster/cluster_functions.h"
#include "tests/client/ray/cluster/daemons_fixture.h"
#include "tests/harness/http_get.h"

namespace cluster_test::metrics {
namespace {

using raylet::test::Eventually;
using namespace std::chrono_literals;

constexpr auto kPatience = 60s;

ray::Counter calls("cluster_test_calls", "calls", "1", {"by"});

int Count(const std::string& by) {
  calls.Inc(1, {{"by", by}});
  return 1;
}
class Gauged {
 public:
  static Gauged* Create() { return new Gauged(); }
  int Set(double value) {
    gauge_.Set(value);
    return 1;
  }

 private:
  ray::Gauge gauge_{"cluster_test_depth", "depth", "m"};
};
RAY_REMOTE(Count, Gauged::Create, &Gauged::Set);

class MetricsTest : public DaemonsTest {
 protected:
  void SetUp() override {
    Start("2", {}, {"--metrics-port", "0"});
    const std::string said = raylet_->Output();
    const std::string before = "metrics at http://127.0.0.1:";
    const size_t at = said.find(before);
    ASSERT_NE(at, std::string::npos) << said;
    port_ = static_cast<uint16_t>(std::stoi(said.substr(at + before.size())));
  }
  bool Serves(const std::string& line) {
    return Eventually(kPatience, [&] {
      page_ = raylet::test::HttpGet("127.0.0.1", port_, "/metrics").body;
      return page_.find("\n" + line + "\n") != std::string::npos;
    });
  }

  uint16_t port_ = 0;
  std::string page_;
};

TEST_F(MetricsTest, OfDriversTasksAndActorsAreSummedUp) {
  calls.Inc(2, {{"by", "driver"}});
  std::vector<ray::ObjectRef<int>> counted;
  for (int i = 0; i < 20; ++i) counted.push_back(ray::Task(Count).Remote("task"));
  auto gauged = ray::Actor(Gauged::Create).Remote();
  gauged.Task(&Gauged::Set).Remote(2.5).Get();
  ray::Get(counted);
  EXPECT_TRUE(Serves("ray_cluster_test_calls{by=\"driver\"} 2")) << page_;
  EXPECT_TRUE(Serves("ray_cluster_test_calls{by=\"task\"} 20")) << page_;
  EXPECT_TRUE(Serves("ray_cluster_test_depth 2.5")) << page_;
  EXPECT_EQ(raylet::test::HttpGet("127.0.0.1", port_, "/").code, 404);
}

TEST_F(MetricsTest, RecordedValuesAreThereAtShutdown) {
  calls.Inc(1, {{"by", "shutdown"}});
  ray::Shutdown();
  EXPECT_TRUE(Serves("ray_cluster_test_calls{by=\"shutdown\"} 1")) << page_;
}

}  // namespace
}  // namespace cluster_test::metrics
