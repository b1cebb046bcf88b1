// Two real raylets, killed, stopped, frozen and started wrongly, and the status that each shows of the other.
#include <sys/stat.h>

#include <csignal>
#include <nlohmann/json.hpp>

#include "tests/raylet/node/node.h"

namespace raylet::test {
namespace {

using nlohmann::json;

class RayletPeers : public ::testing::Test {
 protected:
  RayletPeers() {
    std::ofstream(folder_.File("token")) << "a token of the cluster\n";
    ::chmod(folder_.File("token").c_str(), 0600);
  }
  std::vector<std::string> Flags(std::vector<std::string> more = {}) const {
    std::vector<std::string> flags = {"--num-cpus", "2", "--token-file", folder_.File("token")};
    flags.insert(flags.end(), more.begin(), more.end());
    return flags;
  }
  // A raylet and a driver that asks for its status.
  struct Machine {
    explicit Machine(std::vector<std::string> flags)
        : node(std::move(flags), Node::Store::kReal), driver(node.Driver()) {}
    json Status() { return json::parse(driver.StatusJson()); }
    std::string Address() { return Status()["address"]; }
    // The newest of its peers, or an empty object.
    json Peer() {
      const json peers = Status()["peers"];
      return peers.empty() ? json::object() : peers.back();
    }
    testing::AssertionResult Sees(const std::string& state) {
      if (test::Eventually(kPatience, [&] { return Peer().value("state", "") == state; }))
        return testing::AssertionSuccess();
      return testing::AssertionFailure() << "its peers are " << Status()["peers"].dump();
    }
    Node node;
    WireProcess driver;
  };

  RunFolder folder_;
};

TEST_F(RayletPeers, SeeEachOtherAndWhatIsFreeThere) {
  Machine a(Flags());
  Machine b(Flags({"--peers", a.Address(), "--resources", R"({"gpu": 3})"}));
  ASSERT_TRUE(a.Sees("up"));
  ASSERT_TRUE(b.Sees("up"));
  ASSERT_TRUE(test::Eventually(kPatience, [&] { return a.Peer()["load"]["resources"].contains("gpu"); }));
  const json peer = a.Peer();
  EXPECT_EQ(peer["node"], b.Status()["node"]);
  EXPECT_EQ(peer["address"], b.Address());
  EXPECT_EQ(peer["load"]["resources"]["gpu"]["free"], 3.0);
  EXPECT_EQ(peer["load"]["resources"]["CPU"]["total"], 2.0);
  EXPECT_GT(peer["load"]["store_capacity_bytes"], 0);
  EXPECT_EQ(peer["load"]["store_free_bytes"], peer["load"]["store_capacity_bytes"]);  // nothing lies there
  EXPECT_TRUE(peer["connected"]);
  EXPECT_GT(peer["bytes_received"], 0);
  EXPECT_EQ(peer["messages_resent"], 0);
}

TEST_F(RayletPeers, KilledPeerIsDeadOnceItsMachineRefusesConnections) {
  Machine a(Flags());
  Machine b(Flags({"--peers", a.Address()}));
  ASSERT_TRUE(a.Sees("up"));
  b.node.daemon->Kill();
  ASSERT_TRUE(a.Sees("dead"));
  EXPECT_NE(std::string(a.Peer()["why"]).find("refuses connections"), std::string::npos) << a.Peer().dump();
}

TEST_F(RayletPeers, StoppingPeerSaysSo) {
  Machine a(Flags());
  Machine b(Flags({"--peers", a.Address()}));
  ASSERT_TRUE(a.Sees("up"));
  ASSERT_TRUE(b.node.daemon->Terminate());
  ASSERT_TRUE(a.Sees("dead"));
  EXPECT_NE(std::string(a.Peer()["why"]).find("stopping"), std::string::npos) << a.Peer().dump();
}

TEST_F(RayletPeers, PeerSaysThatItsStoreHasEnded) {
  Machine a(Flags());
  Machine b(Flags({"--peers", a.Address()}));
  ASSERT_TRUE(a.Sees("up"));
  b.node.real_store->Kill();
  ASSERT_TRUE(a.Sees("dead"));
  EXPECT_EQ(a.Peer()["why"], "it said goodbye: its store has ended") << a.Peer().dump();
}

TEST_F(RayletPeers, FrozenPeerIsSilentThenDeadThenUpAgain) {
  const std::vector<std::string> limits = {"--peer-silent-after", "1", "--peer-dead-after", "2.5"};
  Machine a(Flags(limits));
  Machine b(Flags({"--peers", a.Address(), limits[0], limits[1], limits[2], limits[3]}));
  ASSERT_TRUE(a.Sees("up"));
  b.node.daemon->Signal(SIGSTOP);
  ASSERT_TRUE(a.Sees("silent"));
  ASSERT_TRUE(a.Sees("dead"));
  EXPECT_NE(std::string(a.Peer()["why"]).find("nothing was heard of it for 2500 ms"), std::string::npos)
      << a.Peer().dump();
  b.node.daemon->Signal(SIGCONT);
  ASSERT_TRUE(a.Sees("up"));
  ASSERT_TRUE(b.Sees("up"));
}

TEST_F(RayletPeers, PeerWithAnotherTokenOrItsUsersIsRefusedAndBothLogsSayWhy) {
  std::ofstream(folder_.File("other")) << "a token of another cluster\n";
  ::chmod(folder_.File("other").c_str(), 0600);
  Machine a(Flags());
  const auto says = [](Machine& each, const std::string& words) {
    return test::Eventually(kPatience, [&] { return each.node.daemon->Output().find(words) != std::string::npos; });
  };
  for (const bool names_one : {true, false}) {
    std::vector<std::string> flags = {"--peers", a.Address()};
    if (names_one) flags.insert(flags.end(), {"--token-file", folder_.File("other")});
    Machine b(flags);
    const std::string words = "the raylets at " + a.Address() + " and " + b.Address() + " have different tokens";
    EXPECT_TRUE(says(a, words)) << a.node.daemon->Output();
    EXPECT_TRUE(says(a, "that in " + folder_.File("token"))) << a.node.daemon->Output();
    EXPECT_TRUE(says(b, words)) << b.node.daemon->Output();
    EXPECT_TRUE(says(b, names_one ? "that in " + folder_.File("other") : "/raylet/token")) << b.node.daemon->Output();
    EXPECT_TRUE(a.Status()["peers"].empty());
    EXPECT_TRUE(b.Status()["peers"].empty());
  }
}

TEST_F(RayletPeers, FlagsThatMakeNoSenseOrAreNotSafeAreRefusedWithTheRemedy) {
  auto store = DaemonProcess::Start("plasma_store", {"-m", "16M", "-s", folder_.File("store")});
  ASSERT_TRUE(store) << store.error().message;
  const auto refused = [&](std::vector<std::string> more, int exit_code, const std::string& words) {
    std::vector<std::string> arguments = {"--socket", folder_.File("raylet"), "--store-socket", folder_.File("store")};
    arguments.insert(arguments.end(), more.begin(), more.end());
    ProcessOptions options;
    auto daemon = DaemonProcess::StartPlain("raylet", std::move(arguments), options);
    ASSERT_TRUE(daemon);
    const auto end = daemon->Wait(Deadline::After(kPatience));
    ASSERT_TRUE(end) << daemon->Output();
    EXPECT_EQ(end->exit_code, exit_code) << daemon->Output();
    EXPECT_NE(daemon->Output().find(words), std::string::npos) << daemon->Output();
  };
  refused({"--token-file", folder_.File("token"), "--peers", "192.0.2.1:7000"}, 2, "say --node-ip");
  ::chmod(folder_.File("token").c_str(), 0644);
  refused({"--token-file", folder_.File("token")}, 4, "chmod 600 " + folder_.File("token"));
  refused({"--token-file", folder_.File("absent")}, 1, "head -c 32 /dev/urandom");
  refused({"--node-ip", "192.0.2.1"}, 2, "this machine has no such address");
  refused({"--peers", "127.0.0.1"}, 2, "host:port");
  refused({"--node-ip", "here"}, 2, "--node-ip");
  refused({"--node-id", "7"}, 2, "40 hexadecimal digits");
  refused({"--port", "70000"}, 2, "--port");
  refused({"--port", "0", "--peer-dead-after", "1"}, 2, "--peer-dead-after");
  Machine a({});
  Machine b({"--port", "0"});
  EXPECT_EQ(a.Address(), "") << "nothing listens that nobody asked for";
  refused({"--port", b.Address().substr(b.Address().rfind(':') + 1)}, 1, "somebody listens there already");
}

// `raylet status`, and what it ended with.
std::pair<int, std::string> StatusOf(std::vector<std::string> flags) {
  flags.insert(flags.begin(), "status");
  auto command = DaemonProcess::StartPlain("raylet", std::move(flags));
  if (!command) return {-1, command.error().message};
  const auto end = command->Wait(Deadline::After(kPatience));
  return {end ? end->exit_code : -2, command->Output()};
}

TEST_F(RayletPeers, StatusShowsARunningRayletItsPeersAndSaysWhereThereIsNone) {
  Machine a(Flags());
  Machine b(Flags({"--peers", a.Address()}));
  ASSERT_TRUE(a.Sees("up"));
  const auto [code, screen] = StatusOf({"--socket", a.node.socket()});
  EXPECT_EQ(code, 0) << screen;
  for (const std::string& words : {"at " + a.node.socket(), std::string("1 up, 0 silent, 0 dead"), b.Address()})
    EXPECT_NE(screen.find(words), std::string::npos) << words << " is not in\n" << screen;
  const auto [json_code, text] = StatusOf({"-s", a.node.socket(), "--json"});
  EXPECT_EQ(json_code, 0) << text;
  EXPECT_EQ(json::parse(text)["peers"][0]["address"], b.Address());

  const auto [absent, words] = StatusOf({"--socket", folder_.File("nobody")});
  EXPECT_EQ(absent, 3);
  EXPECT_NE(words.find("this starts one: raylet --socket"), std::string::npos) << words;
  EXPECT_EQ(StatusOf({"--socket", a.node.socket(), "--timeout", "0"}).first, 2);
  EXPECT_EQ(StatusOf({"--help"}).first, 0);
  a.node.daemon->Signal(SIGSTOP);
  EXPECT_EQ(StatusOf({"--socket", a.node.socket(), "--timeout", "0.2"}).first, 5);
  a.node.daemon->Signal(SIGCONT);
}

}  // namespace
}  // namespace raylet::test
