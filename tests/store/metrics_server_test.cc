#include "store/metrics_server.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <algorithm>
#include <fstream>
#include <future>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <regex>
#include <set>
#include <string>
#include <vector>

#include "base/loop_thread.h"
#include "base/strings.h"
#include "fbs/store_metrics.h"
#include "tests/client/plasma/index_writer.h"
#include "tests/harness/http_get.h"

namespace raylet::store {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

uint16_t PortOf(const std::string& url) { return static_cast<uint16_t>(std::stoi(url.substr(url.rfind(':') + 1))); }

// A loop that a test holds up.
class HeldLoop {
 public:
  void Hold() {
    std::promise<void> held;
    thread_.loop().Post([&held, until = release_.get_future().share()] {
      held.set_value();
      until.wait();
    });
    held.get_future().wait();
  }
  void Release() { release_.set_value(); }
  Loop& loop() { return thread_.loop(); }

 private:
  std::promise<void> release_;
  LoopThread thread_;
};

class MetricsServerTest : public ::testing::Test {
 protected:
  void Start(Duration pulse_timeout = seconds(5)) {
    auto started = MetricsServer::Start({.listen = *MakeTcpAddress("127.0.0.1", 0), .pulse_timeout = pulse_timeout},
                                        writer_.header(), pulse_);
    ASSERT_TRUE(started) << started.error().message;
    server_ = *std::move(started);
  }
  test::HttpAnswer Get(const std::string& page) { return test::HttpGet("127.0.0.1", PortOf(server_->url()), page); }

  test::IndexWriter writer_{64};
  HeldLoop loop_;
  LoopPulse pulse_{loop_.loop()};
  std::unique_ptr<MetricsServer> server_;
};

TEST_F(MetricsServerTest, CountersOfTheIndexAreServed) {
  writer_.header().capacity_bytes = 1'000'000;
  writer_.header().counters.sealed_bytes = 600'000;
  writer_.header().counters.dying_count = 3;
  writer_.header().counters.creates = 12'345'678'901;
  Start();
  const auto answer = Get("/metrics");
  EXPECT_EQ(answer.code, 200);
  EXPECT_NE(answer.headers.find("Content-Type: text/plain; version=0.0.4"), std::string::npos) << answer.headers;
  for (const char* line :
       {"\nplasma_store_free_bytes 400000\n", "\nplasma_store_objects{state=\"dying\"} 3\n",
        "\n# TYPE plasma_store_creates_total counter\n", "\nplasma_store_creates_total 12345678901\n"})
    EXPECT_NE(answer.body.find(line), std::string::npos) << line << answer.body;
  EXPECT_EQ(Get("/").code, 404);
  EXPECT_EQ(Get("/metrics/more").code, 404);
}

TEST_F(MetricsServerTest, StoreIsAliveWhileItsLoopTurnsAndReadyOnceItServes) {
  Start();
  EXPECT_EQ(Get("/livez").code, 200);
  EXPECT_EQ(Get("/readyz").code, 503);
  server_->SetReady(true);
  EXPECT_EQ(Get("/readyz").code, 200);
}

TEST_F(MetricsServerTest, LoopThatHangsIsNotAliveAndItsMetricsAreServedStill) {
  Start(milliseconds(50));
  server_->SetReady(true);
  loop_.Hold();
  const auto dead = Get("/livez");
  EXPECT_EQ(dead.code, 503);
  EXPECT_EQ(dead.body, "the store's loop has not turned for 50 ms\n");
  EXPECT_EQ(Get("/readyz").code, 503);
  EXPECT_EQ(Get("/metrics").code, 200);
  loop_.Release();
  EXPECT_TRUE(pulse_.Beats(Deadline::After(seconds(20))));
}

TEST_F(MetricsServerTest, ConnectionsThatAskNothingKeepNobodyOut) {
  Start();
  std::vector<UniqueFd> silent;
  for (int i = 0; i < 40; ++i) {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(PortOf(server_->url()));
    ::inet_pton(AF_INET, "127.0.0.1", &to.sin_addr);
    silent.emplace_back(::socket(AF_INET, SOCK_STREAM, 0));
    ASSERT_EQ(::connect(silent.back().get(), reinterpret_cast<const sockaddr*>(&to), sizeof to), 0);
  }
  EXPECT_EQ(Get("/metrics").code, 200);
}

TEST_F(MetricsServerTest, PortThatIsTakenIsAnErrorWithTheRemedy) {
  Start();
  const auto second =
      MetricsServer::Start({.listen = *MakeTcpAddress("127.0.0.1", PortOf(server_->url()))}, writer_.header(), pulse_);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::kAlreadyExists);
  EXPECT_NE(second.error().message.find("another process listens there; choose another port, or 0"), std::string::npos)
      << second.error().message;
}

TEST(LoopPulseTest, ManyQuestionsPutOneIntoTheLoop) {
  HeldLoop loop;
  LoopPulse pulse(loop.loop());
  loop.Hold();
  for (int i = 0; i < 1000; ++i) EXPECT_FALSE(pulse.Beats(Deadline::AfterMs(0)));
  std::promise<bool> answer;
  std::thread asker([&] { answer.set_value(pulse.Beats(Deadline::After(seconds(20)))); });
  loop.Release();
  EXPECT_TRUE(answer.get_future().get());
  asker.join();
  EXPECT_TRUE(pulse.Beats(Deadline::After(seconds(20))));
}

std::string ReadAll(const char* path) {
  std::ifstream file(path);
  EXPECT_TRUE(file.is_open()) << path;
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST(StoreMetricsTest, EachMetricIsDocumentedWithItsTypeAndLabelAndNoOther) {
  std::set<std::string> served, documented;
  for (const StoreMetric& metric : StoreMetrics())
    served.insert(StrCat(metric.name, " ", metric.counter ? "counter" : "gauge", " ", metric.label));
  const std::string page = ReadAll(METRICS_DOC);
  const std::regex row(R"(\| `(plasma_store_\w+)` \| (\w+) \| (?:`(\w+)` )?\|)");
  for (auto it = std::sregex_iterator(page.begin(), page.end(), row); it != std::sregex_iterator(); ++it)
    documented.insert((*it)[1].str() + " " + (*it)[2].str() + " " + (*it)[3].str());
  EXPECT_EQ(documented, served);
}

TEST(StoreMetricsTest, MetricsOfOneNameStandTogetherAndCountersEndInTotal) {
  std::set<std::string> seen;
  std::string last;
  for (const StoreMetric& metric : StoreMetrics()) {
    if (metric.name != last) {
      EXPECT_TRUE(seen.insert(metric.name).second) << metric.name;
      EXPECT_STRNE(metric.help, "") << metric.name;
    }
    last = metric.name;
    EXPECT_EQ(last.ends_with("_total"), metric.counter) << metric.name;
  }
}

// A change is under way for good, as after a kill: the values are shown as they are.
TEST(StoreMetricsTest, ValuesAreReadAlsoFromAStoreThatDiedInAChange) {
  test::IndexWriter writer(64);
  writer.header().counters.mutation_seq = 7;
  writer.header().counters.seals = 5;
  EXPECT_NE(MetricsText(writer.header()).find("plasma_store_seals_total 5\n"), std::string::npos);
}

TEST(DashboardTest, PanelsUseMetricsThatTheStoreServesAndRatesOfCountersOnly) {
  const auto dashboard = nlohmann::json::parse(ReadAll(METRICS_DASHBOARD));
  std::map<std::string, bool> served;  // name -> whether it is a counter
  for (const StoreMetric& metric : StoreMetrics()) served[metric.name] = metric.counter;
  std::set<std::string> used;
  std::set<int> ids;
  for (const auto& panel : dashboard["panels"]) {
    EXPECT_TRUE(ids.insert(panel["id"].get<int>()).second) << "two panels with one id";
    EXPECT_FALSE(panel["title"].get<std::string>().empty());
    ASSERT_FALSE(panel["targets"].empty()) << panel["title"];
    for (const auto& target : panel["targets"]) {
      const std::string expr = target["expr"];
      const std::regex name(R"((rate\(|increase\()?(plasma_store_\w+))");
      for (auto it = std::sregex_iterator(expr.begin(), expr.end(), name); it != std::sregex_iterator(); ++it) {
        const auto metric = served.find((*it)[2].str());
        ASSERT_NE(metric, served.end()) << expr << " uses a metric that nobody serves";
        EXPECT_EQ((*it)[1].matched, metric->second) << expr << ": a rate is of a counter, and a gauge has none";
        used.insert(metric->first);
      }
      EXPECT_EQ(std::ranges::count(expr, '('), std::ranges::count(expr, ')')) << expr;
      EXPECT_EQ(std::ranges::count(expr, '{'), std::ranges::count(expr, '}')) << expr;
      EXPECT_NE(expr.find("plasma_store_"), std::string::npos) << expr;
    }
  }
  EXPECT_EQ(used.size(), served.size()) << "a metric that no panel shows";
}

}  // namespace
}  // namespace raylet::store
