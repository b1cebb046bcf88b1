// A raylet that cannot start says why, what to do, and exits with the code that fits.
#include <signal.h>
#include <sys/stat.h>

#include <algorithm>
#include <map>
#include <thread>

#include "base/strings.h"
#include "tests/harness/help_text.h"
#include "tests/raylet/node/node.h"

namespace raylet::test {
namespace {

struct Refusal {
  int exit_code = -1;
  std::string output;
};

class RayletStart : public ::testing::Test {
 protected:
  Refusal Start(std::vector<std::string> arguments) {
    ProcessOptions options;
    options.bound_by_permissions = true;
    auto daemon = DaemonProcess::StartPlain("raylet", std::move(arguments), options);
    if (!daemon) return {-1, daemon.error().message};
    const auto end = daemon->Wait(Deadline::After(kPatience));
    return {end ? end->exit_code : -2, daemon->Output()};
  }
  Refusal StartAt(const std::string& socket) {
    return Start({"--socket", socket, "--store-socket", folder_.File("store"), "--logs-folder", folder_.File("logs")});
  }
  static void Expect(const Refusal& refusal, int exit_code, const std::vector<std::string>& words) {
    EXPECT_EQ(refusal.exit_code, exit_code) << refusal.output;
    for (const std::string& each : words)
      EXPECT_NE(refusal.output.find(each), std::string::npos) << "'" << each << "' is missing in: " << refusal.output;
  }
  std::string MakeFolder(const std::string& name, mode_t mode) {
    const std::string path = folder_.File(name);
    std::filesystem::create_directory(path);
    ::chmod(path.c_str(), mode);
    return path;
  }
  void TearDown() override {  // so that they can be removed
    for (const auto& entry : std::filesystem::directory_iterator(folder_.path()))
      if (entry.is_directory()) ::chmod(entry.path().c_str(), 0700);
  }

  RunFolder folder_;
  FakeStore store_{folder_.File("store")};
};

TEST_F(RayletStart, APathThatTheKernelDoesNotTakeNamesTheLimit) {
  Expect(StartAt(folder_.File(std::string(108, 'x'))), 2, {"107", "choose a shorter one"});
}

// As `timeout` and a terminal do it: the second signal comes while the raylet cleans up.
TEST_F(RayletStart, ASecondSignalDoesNotCutTheCleanUpShort) {
  for (int round = 0; round < 20; ++round) {
    Node node;
    node.daemon->Signal(SIGTERM);
    const timespec pause{0, round * 100'000};
    ::nanosleep(&pause, nullptr);
    node.daemon->Signal(SIGINT);
    node.daemon->Signal(SIGTERM);
    const auto end = node.daemon->Wait(Deadline::After(kPatience));
    ASSERT_TRUE(end);
    ASSERT_EQ(end->exit_code, 0) << "signal " << end->signal << " in round " << round;
    ASSERT_FALSE(std::filesystem::exists(node.socket())) << "round " << round;
  }
}

TEST_F(RayletStart, ADescriptorThatCannotBeWaitedForIsUsage) {
  Expect(Start({"--socket", folder_.File("raylet"), "--store-socket", folder_.File("store"), "--lifeline-fd", "99"}), 2,
         {"--lifeline-fd 99 cannot be waited for"});
}

TEST_F(RayletStart, AnAbsentFolderIsNamed) {
  Expect(StartAt(folder_.File("absent/raylet")), 1, {"there is no folder " + folder_.File("absent"), "create it"});
}

TEST_F(RayletStart, AFolderThatMayNotBeWrittenIsNamed) {
  const std::string folder = MakeFolder("unwritable", 0500);
  Expect(StartAt(folder + "/raylet"), 4, {folder, "not ours to read and write", "choose another path"});
}

TEST_F(RayletStart, AFolderThatMayNotBeReadIsNamed) {
  const std::string folder = MakeFolder("unreadable", 0300);
  Expect(StartAt(folder + "/raylet"), 4, {folder, "not ours to read and write", "choose another path"});
}

TEST_F(RayletStart, ALogsFolderThatMayNotBeWrittenIsNamed) {
  const std::string folder = MakeFolder("unwritable", 0500);
  const auto start = [&](const std::string& logs) {
    return Start({"--socket", folder_.File("raylet"), "--store-socket", folder_.File("store"), "--logs-folder", logs});
  };
  Expect(start(folder), 4, {folder, "choose another with --logs-folder"});
  Expect(start(folder + "/deeper"), 4, {folder + "/deeper", "choose another with --logs-folder"});
}

TEST_F(RayletStart, AnAddressInUseIsLeftToWhoServesIt) {
  Node node;
  Expect(StartAt(node.socket()), 1, {node.socket(), "somebody serves it already", "stop that daemon"});
  EXPECT_TRUE(node.Driver().process() != 0);
}

TEST_F(RayletStart, AFileThatIsNoSocketIsLeftAlone) {
  std::ofstream(folder_.File("precious")) << "data";
  Expect(StartAt(folder_.File("precious")), 1, {"no socket", "remove it or choose another"});
  EXPECT_EQ(std::filesystem::file_size(folder_.File("precious")), 4u);
}

TEST_F(RayletStart, HelpShowsTheDefaultOfEachFlagThatHasOne) {
  const std::map<std::string, std::string> flags = {
      {"--help", ""},
      {"--version", ""},
      {"--socket", ""},
      {"--store-socket", ""},
      {"--num-cpus", StrCat(std::max(1U, std::thread::hardware_concurrency()))},
      {"--num-gpus", "0"},
      {"--resources", "{}"},
      {"--memory", "what is free at the start"},
      {"--logs-folder", "SOCKET.logs"},
      {"--register-timeout", "10"},
      {"--max-workers", "256"},
      {"--max-tasks", "1000000"},
      {"--log-level", "warning"},
      {"--node-id", "drawn anew at each start"},
      {"--node-ip", "127.0.0.1"},
      {"--port", "0"},
      {"--token-file", "~/.config/raylet/token"},
      {"--peers", ""},
      {"--control", ""},
      {"--control-password-file", ""},
      {"--control-timeout", "5"},
      {"--head", ""},
      {"--head-port", "6379"},
      {"--peer-silent-after", "3"},
      {"--peer-dead-after", "10"},
      {"--metrics-port", ""},
      {"--metrics-address", "127.0.0.1"},
      {"--ready-fd", ""},
      {"--lifeline-fd", ""},
  };
  const auto [code, help] = Start({"--help"});
  EXPECT_EQ(code, 0);
  EXPECT_EQ(DefaultsIn(help), flags) << help;
  EXPECT_NE(help.find("A process waits in Remote with half"), std::string::npos) << help;

  const auto [status_code, status_help] = Start({"status", "--help"});
  EXPECT_EQ(status_code, 0);
  const std::map<std::string, std::string> of_status = {
      {"--help", ""}, {"--version", ""}, {"--socket", ""}, {"--json", ""}, {"--timeout", "5"}};
  EXPECT_EQ(DefaultsIn(status_help), of_status) << status_help;
}

TEST_F(RayletStart, MoreGpusThanCudaVisibleDevicesNamesAreRefused) {
  ProcessOptions options;
  options.environment = {{"CUDA_VISIBLE_DEVICES", "4,6"}};
  auto daemon = DaemonProcess::StartPlain(
      "raylet", {"--socket", folder_.File("raylet"), "--store-socket", folder_.File("store"), "--num-gpus", "3"},
      options);
  ASSERT_TRUE(daemon) << daemon.error().message;
  const auto end = daemon->Wait(Deadline::After(kPatience));
  ASSERT_TRUE(end);
  Expect({end->exit_code, daemon->Output()}, 2, {"offer 3 GPUs", "'4,6' names 2", "--num-gpus"});
}

TEST_F(RayletStart, FlagsThatMakeNoSenseAreUsage) {
  Expect(Start({"--store-socket", folder_.File("store")}), 2, {"--socket"});
  Expect(Start({"--socket", "", "--store-socket", folder_.File("store")}), 2, {"--socket is empty"});
  Expect(Start({"--socket", folder_.File("raylet"), "--store-socket", ""}), 2, {"--store-socket is empty"});
  Expect(Start({"frobnicate"}), 2, {"frobnicate", "raylet --help"});
  Expect(Start({"--sokcet", folder_.File("raylet")}), 2, {"--sokcet", "raylet --help"});
  Expect(Start({"--help"}), 0, {"Example", "Exit codes"});
  const std::vector<std::pair<std::vector<std::string>, std::vector<std::string>>> refused = {
      {{"--resources", "{"}, {"resources"}},
      {{"--resources", R"({"gpu": 1, "license": 2, "gpu": 3})"}, {"resource gpu is there twice"}},
      {{"--num-gpus", "2", "--resources", R"({"GPU": 3})"}, {"--num-gpus says 2", "GPU 3", "give one of them"}},
      {{"--num-gpus", "0", "--resources", R"({"GPU": 3})"}, {"--num-gpus says 0", "GPU 3"}},
      {{"--num-gpus", "-1"}, {"--num-gpus", "not negative"}},
      {{"--num-gpus", "1025"}, {"GPU 1025", "1024 at most"}},
      {{"--resources", R"({"GPU": 0.5})"}, {"GPU 0.5", "whole GPUs"}},
      {{"--ready-fd", "-4"}, {"--ready-fd", "not negative"}},
      {{"--lifeline-fd", "-1"}, {"--lifeline-fd", "not negative"}},
      {{"--head-port", "7001"}, {"--head-port", "give --head, too"}},
      {{"--control-password-file", "secret"}, {"--control-password-file", "give --control or --head"}},
      {{"--control-timeout", "5"}, {"--control-timeout", "give --control or --head"}},
      {{"--control", "redis://localhost", "--control-timeout", "-3"}, {"--control-timeout must be more than 0 s"}},
      {{"--head", "--control-timeout", "nan"}, {"--control-timeout must be more than 0 s"}},
      {{"--peer-silent-after", "-1"}, {"--peer-silent-after must be at least 0.05 s"}},
      {{"--peer-silent-after", "nan"}, {"--peer-silent-after must be at least 0.05 s"}},
      {{"--peer-dead-after", "nan"}, {"--peer-dead-after longer than that"}},
      {{"--node-ip", "224.0.0.1"}, {"--node-ip", "no single machine", "this machine's own"}},
      {{"--node-ip", "ff02::1"}, {"--node-ip", "no single machine"}},
      {{"--peers", "127.0.0.1:0"}, {"--peers: 127.0.0.1:0 names no port", "from 1 to 65535"}},
      {{"--peers", "0.0.0.0:7000"}, {"--peers", "no single machine", "name the one that is meant"}},
      {{"--control", "redis://255.255.255.255"}, {"--control", "no single machine"}},
  };
  for (const auto& [flags, words] : refused) {
    std::vector<std::string> arguments = {"--socket", folder_.File("raylet"), "--store-socket", folder_.File("store")};
    arguments.insert(arguments.end(), flags.begin(), flags.end());
    Expect(Start(arguments), 2, words);
  }
}

}  // namespace
}  // namespace raylet::test
