// The redis-server that a head raylet starts: what it allows, and what follows when it dies.
#include "raylet/control/control_supervisor.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <thread>

#include "base/tcp_socket.h"
#include "raylet/control/redis_control_store.h"
#include "tests/harness/daemon_process.h"
#include "tests/harness/loop_thread.h"
#include "tests/harness/run_folder.h"

namespace raylet::test {
namespace {

class ControlSupervisorTest : public ::testing::Test {
 protected:
  void TearDown() override {
    thread_.Run([this] {
      store_.reset();
      supervisor_.reset();
    });
  }
  // On a port that is free.
  Result<void> Start(const std::string& program = "redis-server", uint16_t port = 0) {
    Result<void> started;
    thread_.Run([&] {
      ControlSupervisorOptions options;
      options.folder = folder_.File("control");
      options.port = port;
      options.password = "the-password-of-a-test";
      options.program = program;
      options.restart_first = std::chrono::milliseconds(5);
      supervisor_.emplace(thread_.loop(), options);
      started = supervisor_->Start();
    });
    return started;
  }
  void Connect(const ControlAddress& address) {
    thread_.Run([&] { store_.emplace(thread_.loop(), address); });
  }
  Result<void> Mark() {
    return thread_.Await<void>([&](auto done) { store_->MarkRestored(Deadline::AfterMs(30'000), done); });
  }
  Result<bool> IsMarked() {
    return thread_.Await<bool>([&](auto done) { store_->IsRestored(Deadline::AfterMs(30'000), done); });
  }
  Result<void> Stop() {
    return thread_.Await<void>([&](auto done) { supervisor_->Stop([done] { done({}); }); });
  }
  pid_t Pid() {
    pid_t pid = 0;
    thread_.Run([&] { pid = supervisor_->pid(); });
    return pid;
  }
  mode_t ModeOf(const std::string& name) const {
    struct stat status {};
    ::stat(folder_.File(name).c_str(), &status);
    return status.st_mode & 0777;
  }

  RunFolder folder_;
  LoopThread thread_;
  std::optional<ControlSupervisor> supervisor_;
  std::optional<RedisControlStore> store_;
};

TEST_F(ControlSupervisorTest, ServesRayletsAndNobodyElse) {
  const auto started = Start();
  ASSERT_TRUE(started) << started.error().message;
  EXPECT_TRUE(supervisor_->is_new());
  EXPECT_EQ(ModeOf("control"), 0700u);
  EXPECT_EQ(ModeOf("control/redis.conf"), 0600u);
  Connect(supervisor_->address());
  const auto marked = Mark();
  EXPECT_TRUE(marked) << marked.error().message << supervisor_->LastWords();
  // Every verb's commands are allowed.
  EXPECT_TRUE(
      thread_.Await<std::vector<NodeRecord>>([&](auto done) { store_->ListNodes(Deadline::AfterMs(30'000), done); }));
  EXPECT_TRUE(thread_.Await<uint64_t>(
      [&](auto done) { store_->PutKey("key", "value", false, Deadline::AfterMs(30'000), done); }));
  EXPECT_TRUE(thread_.Await<void>(
      [&](auto done) { store_->RemoveNode(NodeId::FromRandom(), 1, Deadline::AfterMs(30'000), done); }));
  ControlAddress stranger = supervisor_->address();
  stranger.user.clear();
  stranger.password.clear();
  Connect(stranger);
  const auto refused = Mark();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kNotAllowed) << refused.error().message;
}

TEST_F(ControlSupervisorTest, ARestartedRedisRemembers) {
  ASSERT_TRUE(Start());
  Connect(supervisor_->address());
  ASSERT_TRUE(Mark());
  const pid_t first = Pid();
  ::kill(first, SIGKILL);
  EXPECT_TRUE(Eventually(std::chrono::seconds(20), [&] { return Pid() != 0 && Pid() != first; }));
  const auto marked = IsMarked();
  ASSERT_TRUE(marked) << marked.error().message;
  EXPECT_TRUE(*marked);
}

TEST_F(ControlSupervisorTest, StopsWithItsFolderKeptForTheNextStart) {
  ASSERT_TRUE(Start());
  Connect(supervisor_->address());
  ASSERT_TRUE(Mark());
  const pid_t pid = Pid();
  ASSERT_TRUE(Stop());
  EXPECT_EQ(Pid(), 0);
  EXPECT_NE(::kill(pid, 0), 0);
  thread_.Run([this] { store_.reset(); });
  ASSERT_TRUE(Start());
  EXPECT_FALSE(supervisor_->is_new());
  Connect(supervisor_->address());
  EXPECT_TRUE(IsMarked().value_or(false));
}

TEST_F(ControlSupervisorTest, SupervisorReportsWhyRedisDoesNotStart) {
  const auto absent = Start("redis-server-of-nobody");
  ASSERT_FALSE(absent);
  EXPECT_EQ(absent.error().code, ErrorCode::kNotRunning);
  EXPECT_NE(absent.error().message.find("apt-get install redis-server"), std::string::npos);
  std::filesystem::create_directory(folder_.File("control"));
  ::chmod(folder_.File("control").c_str(), 0755);
  const auto open = Start();
  ASSERT_FALSE(open);
  EXPECT_EQ(open.error().code, ErrorCode::kNotAllowed);
  EXPECT_NE(open.error().message.find("chmod 700"), std::string::npos);
}

TEST_F(ControlSupervisorTest, RefusesATakenPortAndWaitsForThePortOfAnEarlierStart) {
  auto taken = ListenTcp(MakeTcpAddress("127.0.0.1", 0).value(), 8);
  ASSERT_TRUE(taken);
  const uint16_t port = LocalAddressOf(taken->get())->port();
  const auto refused = Start("redis-server", port);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kAlreadyExists);
  EXPECT_NE(refused.error().message.find("--head-port"), std::string::npos) << refused.error().message;
  std::filesystem::create_directory(folder_.File("control/appendonlydir"));
  std::thread former([&] { taken->Reset(); });
  const auto started = Start("redis-server", port);
  former.join();
  EXPECT_TRUE(started) << (started ? "" : started.error().message);
}

}  // namespace
}  // namespace raylet::test
