// Real raylets and a real control store: they find each other, heal it, do without it, and say what is wrong.
#include <sys/stat.h>

#include <csignal>
#include <nlohmann/json.hpp>

#include "base/strings.h"
#include "base/tcp_socket.h"
#include "tests/harness/redis_server.h"
#include "tests/raylet/node/node.h"

namespace raylet::test {
namespace {

using nlohmann::json;

// A raylet and a driver that asks for its status.
struct Machine {
  explicit Machine(std::vector<std::string> flags)
      : node(WithCpus(std::move(flags)), Node::Store::kReal), driver(node.Driver()) {}
  static std::vector<std::string> WithCpus(std::vector<std::string> flags) {
    flags.insert(flags.end(), {"--num-cpus", "2"});
    return flags;
  }
  json Status() { return json::parse(driver.StatusJson()); }
  // Until the status is as it should be.
  template <class Condition>
  testing::AssertionResult Shows(Condition condition) {
    if (test::Eventually(kPatience, [&] { return condition(Status()); })) return testing::AssertionSuccess();
    const json status = Status();
    return testing::AssertionFailure() << status["control"].dump() << status["nodes"].dump() << status["peers"].dump();
  }
  testing::AssertionResult SeesPeerUp() {
    return Shows([](const json& status) {
      return status["nodes"].size() == 2 && !status["peers"].empty() && status["peers"].back()["state"] == "up";
    });
  }
  bool RunsATask() {
    TaskOptions task;
    task.arguments = {"hello"};
    return InlineText(driver.AwaitResult(driver.Submit(task))) == "hello";
  }

  Node node;
  WireProcess driver;
};

std::string UrlOf(const RedisServer& server) { return server.address().Shown(); }

TEST(RayletControl, RayletsFindEachOtherInTheControlStore) {
  RedisServer server;
  Machine a({"--control", UrlOf(server)});
  Machine b({"--control", UrlOf(server)});
  ASSERT_TRUE(a.SeesPeerUp());
  ASSERT_TRUE(b.SeesPeerUp());
  const json status = a.Status();
  EXPECT_EQ(status["control"]["address"], UrlOf(server));
  EXPECT_TRUE(status["control"]["connected"]);
  EXPECT_LT(status["control"]["renewed_ms_ago"], 10'000);
  for (const json& node : status["nodes"]) {
    EXPECT_EQ(node["this"], node["node"] == status["node"]);
    EXPECT_NE(node["machine_number"], 0);
    EXPECT_EQ(node["version"], status["nodes"][0]["version"]);
  }
}

TEST(RayletControl, AnEmptiedStoreIsFilledAgain) {
  RedisServer server;
  Machine a({"--control", UrlOf(server)});
  server.Ask({"FLUSHALL"});
  EXPECT_TRUE(Eventually(std::chrono::seconds(30), [&] {
    return server.Ask({"SCARD", "raylet:index:node"}).integer == 1;
  }));
  EXPECT_TRUE(a.Shows([](const json& status) { return status["control"]["times_emptied"] >= 1; }));
}

TEST(RayletControl, LocalWorkGoesOnWithoutIt) {
  RedisServer server;
  Machine a({"--control", UrlOf(server)});
  server.Stop();
  EXPECT_TRUE(a.RunsATask());
  server.Kill();
  EXPECT_TRUE(a.Shows(
      [](const json& status) { return !status["control"]["connected"] && status["control"]["problem"] != ""; }));
  EXPECT_TRUE(a.RunsATask());
  server.Start();
  EXPECT_TRUE(
      a.Shows([](const json& status) { return status["control"]["connected"] && status["control"]["problem"] == ""; }));
  EXPECT_TRUE(Eventually(kPatience, [&] { return server.Ask({"SCARD", "raylet:index:node"}).integer == 1; }));
}

class RayletHead : public ::testing::Test {
 protected:
  RayletHead() {
    std::ofstream(folder_.File("token")) << "a token of the cluster\n";
    ::chmod(folder_.File("token").c_str(), 0600);
  }
  static std::string UrlOf(const Machine& head) {
    std::ifstream file(head.node.socket() + ".control/address");
    std::string url;
    file >> url;
    return url.insert(url.find("//") + 2, "raylet@");
  }
  // Runs until it ends by itself.
  std::pair<int, std::string> Run(std::vector<std::string> flags, const ProcessOptions& options = {}) {
    auto store = DaemonProcess::Start("plasma_store", {"-m", "16M", "-s", folder_.File("store")});
    if (!store) return {-1, store.error().message};
    flags.insert(flags.end(), {"--socket", folder_.File("raylet"), "--store-socket", folder_.File("store"),
                               "--logs-folder", folder_.File("logs")});
    auto daemon = DaemonProcess::StartPlain("raylet", std::move(flags), options);
    if (!daemon) return {-1, daemon.error().message};
    const auto end = daemon->Wait(Deadline::After(kPatience));
    return {end ? end->exit_code : -2, daemon->Output()};
  }

  void Expect(const std::pair<int, std::string>& ran, int exit_code, const std::vector<std::string>& words) {
    EXPECT_EQ(ran.first, exit_code) << ran.second;
    for (const std::string& each : words)
      EXPECT_NE(ran.second.find(each), std::string::npos) << "'" << each << "' is missing in: " << ran.second;
    EXPECT_EQ(ran.second.find("serving"), std::string::npos) << ran.second;
  }

  RunFolder folder_;
};

TEST_F(RayletHead, KeepsAControlStoreThatOthersJoinWithTheToken) {
  const std::string token = folder_.File("token");
  Machine head({"--head", "--head-port", "0", "--token-file", token});
  Machine other({"--control", UrlOf(head), "--token-file", token});
  ASSERT_TRUE(other.SeesPeerUp());
  // Its Redis dies and comes back; nobody else is disturbed.
  const pid_t redis = head.Status()["control"]["redis"]["pid"];
  ::kill(redis, SIGKILL);
  EXPECT_TRUE(head.Shows([&](const json& status) {
    return status["control"]["redis"]["restarts"] >= 1 && status["control"]["connected"] == true;
  }));
  EXPECT_TRUE(other.Shows([](const json& status) { return status["control"]["connections"] >= 2; }));
  EXPECT_TRUE(other.RunsATask());
  const pid_t restarted = head.Status()["control"]["redis"]["pid"];
  ASSERT_TRUE(head.node.daemon->Terminate());
  EXPECT_NE(::kill(restarted, 0), 0);
}

TEST_F(RayletHead, RedisEndsWithItsRaylet) {
  Machine head({"--head", "--head-port", "0"});
  const pid_t redis = head.Status()["control"]["redis"]["pid"];
  head.node.daemon->Kill();
  // It is no child of the test, and may stay as a zombie, which has no descriptors.
  EXPECT_TRUE(Eventually(kPatience, [&] {
    std::error_code gone;
    return !std::filesystem::exists(StrCat("/proc/", redis, "/fd/0"), gone);
  }));
}

TEST_F(RayletHead, RayletLogsWhyItCannotJoin) {
  const auto [absent_code, absent] = Run({"--control", "unix://" + folder_.File("nobody"), "--control-timeout", "0.3"});
  EXPECT_EQ(absent_code, 3) << absent;
  EXPECT_NE(absent.find("start redis-server there"), std::string::npos) << absent;
  // Nobody listens, or the listener sends nothing.
  EXPECT_EQ(Run({"--control", "redis://127.0.0.1:1", "--control-timeout", "0.3"}).first, 3);
  const auto mute = ListenTcp(*ParseTcpAddress("127.0.0.1:0"), 8);
  ASSERT_TRUE(mute);
  const std::string address = LocalAddressOf(mute->get())->text();
  const auto [mute_code, mute_words] = Run({"--control", "redis://" + address, "--control-timeout", "0.3"});
  EXPECT_EQ(mute_code, 3) << mute_words;
  EXPECT_NE(mute_words.find(address), std::string::npos) << mute_words;
  RedisServer server({"--requirepass", "secret"});
  const auto [locked_code, locked] = Run({"--control", server.address().Shown()});
  EXPECT_EQ(locked_code, 4) << locked;
  EXPECT_NE(locked.find("--control-password-file"), std::string::npos) << locked;
  EXPECT_NE(locked.find("redis://raylet@HOST"), std::string::npos) << locked;
  const auto [unreachable_code, unreachable] =
      Run({"--control", "redis://raylet@192.0.2.1", "--token-file", folder_.File("token")});
  EXPECT_EQ(unreachable_code, 2) << unreachable;
  EXPECT_NE(unreachable.find("say --node-ip"), std::string::npos) << unreachable;
  EXPECT_EQ(Run({"--control", "redis://localhost", "--head"}).first, 2);
  EXPECT_EQ(Run({"--control", "http://localhost"}).first, 2);
  Machine raylet({"--port", "0"});
  const std::string address_of_raylet = raylet.Status()["address"];
  Expect(Run({"--control", "redis://raylet@" + address_of_raylet, "--token-file", folder_.File("token"),
              "--control-timeout", "3"}),
         3, {address_of_raylet, "does not speak Redis", "--peers"});
  Expect(Run({"--control", "redis://" + address_of_raylet, "--control-timeout", "0.3"}), 3,
         {address_of_raylet, "answers nothing", "--peers"});
}

TEST_F(RayletHead, DoesNotServeWithoutAControlStoreOfItsOwn) {
  const auto taken = ListenTcp(*ParseTcpAddress("127.0.0.1:0"), 8);
  ASSERT_TRUE(taken);
  const std::string port = StrCat(LocalAddressOf(taken->get())->port());
  Expect(Run({"--head", "--head-port", port}), 1,
         {"somebody listens on 127.0.0.1:" + port, "--head-port", "--control"});
  // The error has redis-server's own output.
  const std::string program = folder_.File("redis-server");
  std::ofstream(program) << "#!/bin/sh\necho starting; cat \"$1\"; echo no room for a log; exit 7\n";
  ::chmod(program.c_str(), 0700);
  ProcessOptions with_program;
  with_program.environment = {{"PATH", folder_.path() + ":/usr/bin:/bin"}};
  Expect(Run({"--head", "--head-port", "0"}, with_program), 1, {"has ended with code 7", ">***", "no room for a log"});
}

TEST_F(RayletHead, APasswordFileIsNotTakenForATokenFile) {
  const std::string file = folder_.File("password");
  Expect(Run({"--control", "redis://localhost", "--control-password-file", file}), 1,
         {"there is no password file " + file, "write the password that the control store wants"});
  std::ofstream(file) << "secret\n";
  ::chmod(file.c_str(), 0644);
  Expect(Run({"--control", "redis://localhost", "--control-password-file", file}), 4,
         {"the password file " + file, "chmod 600 " + file});
  ::chmod(file.c_str(), 0600);
  Expect(Run({"--head", "--control-password-file", file}), 2, {"has 6 bytes", "16 at least"});
  std::ofstream(file) << "a password of words\n";
  Expect(Run({"--head", "--head-port", "0", "--control-password-file", file}), 2, {"spaces, quotes"});
}

}  // namespace
}  // namespace raylet::test
