// plasma_store as a service: its settings from flags, environment and file, its metrics, and what it tells systemd.
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include "tests/harness/http_get.h"
#include "tests/harness/own_time.h"
#include "tests/store/store_daemon_fixture.h"

namespace raylet::test {
namespace {

using std::chrono::seconds;

class StoreService : public testing::Test {
 protected:
  std::string Config(const std::string& text) {
    const std::string path = folder_.File("config.toml");
    std::ofstream(path) << text;
    return path;
  }
  std::optional<DaemonProcess> Start(std::vector<std::string> arguments,
                                     std::vector<std::pair<std::string, std::string>> environment = {}) {
    ProcessOptions options;
    options.environment = std::move(environment);
    auto daemon = DaemonProcess::Start("plasma_store", std::move(arguments), options);
    EXPECT_TRUE(daemon) << daemon.error().message;
    if (!daemon) return std::nullopt;
    return std::move(*daemon);
  }
  // The capacity that a store serves with these settings.
  std::string Capacity(std::vector<std::string> arguments,
                       std::vector<std::pair<std::string, std::string>> environment = {}) {
    const auto daemon = Start(std::move(arguments), std::move(environment));
    if (!daemon) return "";
    const std::string line = daemon->Output();
    return line.substr(line.rfind(", ") + 2);
  }
  std::string Refusal(std::vector<std::string> arguments) {
    auto process = DaemonProcess::StartPlain("plasma_store", std::move(arguments));
    if (!process) return process.error().message;
    const auto end = process->Wait(Deadline::AfterMs(20000));
    EXPECT_EQ(end ? end->exit_code : -1, 2) << process->Output();
    return process->Output();
  }
  // The address in "metrics at http://HOST:PORT/metrics".
  static std::pair<std::string, uint16_t> MetricsAt(const DaemonProcess& daemon) {
    const std::string text = daemon.Output(), begin = "metrics at http://";
    const size_t at = text.find(begin);
    if (at == std::string::npos) return {text, uint16_t{0}};
    const size_t host = at + begin.size(), colon = text.find(':', host);
    return {text.substr(host, colon - host), static_cast<uint16_t>(std::stoi(text.substr(colon + 1)))};
  }

  const RunFolder folder_;
  const std::string socket_ = folder_.File("store");
};

TEST_F(StoreService, FlagsWinOverTheEnvironmentAndThatOverTheFile) {
  const std::string config = Config("memory = \"3M\"\nsocket = \"" + socket_ + "\"\n");
  EXPECT_EQ(Capacity({"--config", config}), "3.0 MiB\n");
  EXPECT_EQ(Capacity({"--config", config}, {{"PLASMA_STORE_MEMORY", "2M"}}), "2.0 MiB\n");
  EXPECT_EQ(Capacity({"--config", config, "-m", "1M"}, {{"PLASMA_STORE_MEMORY", "2M"}}), "1.0 MiB\n");
  EXPECT_EQ(Capacity({"-m", "1M"}, {{"PLASMA_STORE_SOCKET", socket_}}), "1.0 MiB\n");
}

TEST_F(StoreService, MistakesInTheFileAreNamedWithTheirLine) {
  const auto with = [this](const std::string& text) { return Refusal({"--config", Config(text)}); };
  EXPECT_NE(
      with("memory = \"1M\"\nspeed = 9\n").find("line 2 sets speed, which is no setting; there are: memory, socket"),
      std::string::npos);
  EXPECT_NE(with("memory\n").find("line 1 is no setting"), std::string::npos);
  EXPECT_NE(with("lifeline-fd = 0\n").find("line 1 sets lifeline-fd, which is no setting"), std::string::npos);
  EXPECT_NE(with("metrics-port = 70000\n").find("'70000' is no port: say a number from 0 to 65535"), std::string::npos);
  EXPECT_NE(with("memory = \"1M\"\n").find("-s/--socket is required"), std::string::npos);
  EXPECT_NE(Refusal({"--config", folder_.File("none")}).find("cannot read the config file"), std::string::npos);
  EXPECT_NE(Refusal({"-m", "1M", "-s", socket_, "--metrics-port", "1", "--metrics-address", "here"})
                .find("--metrics-address"),
            std::string::npos);
}

TEST_F(StoreService, MetricsAreServedAtLoopbackUnlessToldOtherwise) {
  const auto daemon = Start({"-m", "16M", "-s", socket_, "--metrics-port", "0"});
  ASSERT_TRUE(daemon);
  const auto [host, port] = MetricsAt(*daemon);
  ASSERT_EQ(host, "127.0.0.1") << daemon->Output();
  const HttpAnswer metrics = HttpGet(host, port, "/metrics");
  EXPECT_EQ(metrics.code, 200);
  EXPECT_NE(metrics.body.find("\nplasma_store_capacity_bytes 16777216\n"), std::string::npos) << metrics.body;
  EXPECT_EQ(HttpGet(host, port, "/livez").code, 200);
  EXPECT_EQ(HttpGet(host, port, "/readyz").code, 200);
  EXPECT_EQ(HttpGet("127.0.0.2", port, "/metrics").code, 0) << "another address of this machine";
  const auto open =
      Start({"-m", "1M", "-s", folder_.File("open"), "--metrics-port", "0", "--metrics-address", "0.0.0.0"});
  ASSERT_TRUE(open);
  EXPECT_EQ(HttpGet("127.0.0.2", MetricsAt(*open).second, "/metrics").code, 200);
}

TEST_F(StoreService, StoreWithMetricsStopsAtOnceAndCleanly) {
  auto daemon = Start({"-m", "1M", "-s", socket_, "--metrics-port", "0"});
  ASSERT_TRUE(daemon);
  ASSERT_EQ(HttpGet("127.0.0.1", MetricsAt(*daemon).second, "/metrics").code, 200);
  const OwnTime time;
  const auto end = daemon->Terminate();
  ASSERT_TRUE(end) << end.error().message;
  EXPECT_LT(time.Elapsed(), std::chrono::milliseconds(1500));
  EXPECT_EQ(end->exit_code, 0);
}

TEST_F(StoreService, ServiceManagerHearsThatItIsReadyLivesAndStops) {
  const std::string path = folder_.File("notify");
  const UniqueFd manager(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_un at{};
  at.sun_family = AF_UNIX;
  std::strcpy(at.sun_path, path.c_str());
  ASSERT_EQ(::bind(manager.get(), reinterpret_cast<const sockaddr*>(&at), sizeof at), 0);
  const timeval wait{10, 0};
  ::setsockopt(manager.get(), SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
  const auto next = [&manager] {
    for (;;) {
      char text[512];
      const ssize_t size = ::recv(manager.get(), text, sizeof text, 0);
      if (size < 0) return std::string("nothing");
      const std::string message(text, static_cast<size_t>(size));
      if (!message.starts_with("FDSTORE")) return message;
    }
  };
  auto daemon = Start({"-m", "1M", "-s", socket_}, {{"NOTIFY_SOCKET", path}, {"WATCHDOG_USEC", "40000"}});
  ASSERT_TRUE(daemon);
  EXPECT_EQ(next(), "READY=1\nSTATUS=serving " + socket_ + ", 1.0 MiB\n");
  EXPECT_EQ(next(), "WATCHDOG=1\n");
  EXPECT_EQ(next(), "WATCHDOG=1\n");
  ASSERT_TRUE(daemon->Terminate());
  std::string last = next();
  while (last == "WATCHDOG=1\n") last = next();
  EXPECT_EQ(last, "STOPPING=1\n");
}

}  // namespace
}  // namespace raylet::test
