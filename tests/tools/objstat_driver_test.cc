// The ledger line before, during and after a driver that is killed with pins, owned objects and an unsealed one, as the
// program objstat prints it beside real daemons.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>

#include "tests/harness/daemon_process.h"
#include "tests/harness/own_time.h"
#include "tests/harness/run_folder.h"

namespace raylet::test {
namespace {

using nlohmann::json;
using namespace std::chrono_literals;

class ObjstatDriverTest : public testing::Test {
 protected:
  void SetUp() override {
    store_ = Start("plasma_store", {"-m", "64M", "-s", store_socket_});
    raylet_ = Start("raylet", {"--socket", raylet_socket_, "--store-socket", store_socket_, "--num-cpus", "2",
                               "--logs-folder", folder_.path()});
    ASSERT_TRUE(store_ && raylet_);
  }
  static std::optional<DaemonProcess> Start(const std::string& program, std::vector<std::string> arguments) {
    auto daemon = DaemonProcess::Start(program, std::move(arguments));
    EXPECT_TRUE(daemon) << daemon.error().message;
    if (!daemon) return std::nullopt;
    return std::move(*daemon);
  }
  std::string Objstat(std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), {"-s", store_socket_});
    auto run = DaemonProcess::StartPlain("objstat", std::move(arguments));
    if (!run) return run.error().message;
    const auto end = run->Wait(Deadline::After(20s));
    EXPECT_EQ(end ? end->exit_code : -1, 0) << run->Output();
    return run->Output();
  }
  std::string LedgerLine() {
    const std::string screen = Objstat({});
    const size_t at = screen.find("ledger: ");
    return at == std::string::npos ? screen : screen.substr(at);
  }

  RunFolder folder_;
  const std::string store_socket_ = folder_.File("store.sock");
  const std::string raylet_socket_ = folder_.File("raylet.sock");
  std::optional<DaemonProcess> store_, raylet_;
};

TEST_F(ObjstatDriverTest, AKilledDriverLeavesTheLedgerAtItsBaselineWithinASecond) {
  const std::string baseline = LedgerLine();
  const json baseline_json = json::parse(Objstat({"--json"}))["ledger"];
  EXPECT_EQ(baseline_json["free_bytes"], baseline_json["capacity_bytes"]);

  ProcessOptions options;
  options.environment = {{"RAY_ADDRESS", raylet_socket_}};
  auto driver = DaemonProcess::StartPlain(RAY_CLUSTER_DRIVER, {}, options);
  ASSERT_TRUE(driver) << driver.error().message;
  ASSERT_TRUE(Eventually(20s, [&] { return driver->Output().find("pids ") != std::string::npos; })) << driver->Output();
  const json held = json::parse(Objstat({"--json"}))["ledger"];
  EXPECT_EQ(held["adds_up"], true) << held;
  for (const char* place : {"pinned", "protected", "unsealed"}) EXPECT_GE(held[place]["count"], 1) << place << held;
  EXPECT_NE(LedgerLine(), baseline);

  driver->Kill();
  const OwnTime time;
  json after;
  EXPECT_TRUE(Eventually(30s, [&] {
    after = json::parse(Objstat({"--json"}))["ledger"];
    return after == baseline_json;
  })) << after;
  EXPECT_LT(time.Elapsed(), 1s);
  EXPECT_EQ(LedgerLine(), baseline);
}

}  // namespace
}  // namespace raylet::test
