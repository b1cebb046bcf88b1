// A shard whose process is stopped: waits end at the deadline, and say which shard is late.
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include <ray/parameter_server.h>

#include "tests/client/parameter_server/float_server.h"
#include "tests/client/parameter_server/message_of.h"
#include "tests/client/parameter_server/private_daemons.h"
#include "tests/harness/daemon_process.h"
#include "tests/harness/run_folder.h"
#include "tests/harness/stop_process.h"

namespace stopped_test {

using parameter_server_test::Add;
using parameter_server_test::FloatServer;
using parameter_server_test::MessageOf;
using parameter_server_test::OnPrivateDaemons;
using raylet::test::Eventually;
using namespace std::chrono_literals;
namespace ps = ray::ps;

class StoppedShardTest : public OnPrivateDaemons {
 protected:
  static constexpr std::chrono::milliseconds kDeadline = 2s;

  void TearDown() override {
    if (pid_ > 0) ::kill(pid_, SIGCONT);
    OnPrivateDaemons::TearDown();
  }
  void Start(const ps::Policy& policy) {
    server_ = FloatServer::Create(300, {.policy = policy, .deadline = kDeadline, .round_deadline = 60s});
    AwaitStart([this] { pid_ = static_cast<pid_t>(server_.Stats()[0].pid); });
  }
  void Stop() const { ASSERT_TRUE(raylet::test::StopProcess(pid_)); }
  // The last shard, once it has saved itself.
  template <class Server>
  void StopLast(const Server& server, const std::string& path) {
    AwaitStart([&] {
      server.Save(path);
      pid_ = static_cast<pid_t>(server.Stats().back().pid);
    });
    Stop();
  }

  FloatServer server_;
  const raylet::test::RunFolder folder_;

 private:
  // A process may take longer than the deadline to start.
  template <class Call>
  static void AwaitStart(Call call) {
    ASSERT_TRUE(Eventually(60s, [&] {
      try {
        call();
        return true;
      } catch (const ray::internal::RayTimeoutException&) {
        return false;
      }
    }));
  }
  pid_t pid_ = 0;
};

TEST_F(StoppedShardTest, AReadNamesTheShardThatDoesNotAnswer) {
  Start(ps::Async{});
  Stop();
  EXPECT_EQ(
      MessageOf([&] { server_.Get(); }),
      "shard 0 of 1 did not answer Get within 2000 ms: its process is starting, busy or stopped; deadline is how long "
      "a call may take");
}

TEST_F(StoppedShardTest, AReadSaysThatTheShardHadNoVersionBeforeItStopped) {
  Start(ps::Synchronous{.workers = 2});
  auto worker = server_.Worker(1);
  worker.Get();
  Add(worker, 1);
  std::thread stopping([&] {
    std::this_thread::sleep_for(kDeadline / 4);  // in the middle of the read, which has been told to wait
    Stop();
  });
  EXPECT_EQ(
      MessageOf([&] { worker.Get(); }),
      "shard 0 of 1 had no version to read within 2000 ms, under the policy Synchronous{workers = 2}: a worker is "
      "late, and round_deadline is not over yet");
  stopping.join();
}

// What each call of a stopped shard throws.
std::string NoAnswer(const char* what) {
  return std::string("shard 1 of 2 did not answer ") + what +
         " within 1000 ms: its process is starting, busy or stopped; deadline is how long a call may take";
}

TEST_F(StoppedShardTest, OtherCallsNameTheShardAndWhatTheyWaitedForToo) {
  const ps::Options options{.shards = 2, .deadline = 1s};
  const auto server = FloatServer::Create(300, options);
  const std::string path = folder_.File("model");
  StopLast(server, path);
  EXPECT_EQ(MessageOf([&] { Add(server, 1); }), NoAnswer("an update"));
  EXPECT_EQ(MessageOf([&] { server.Stats(); }), NoAnswer("Stats"));
  EXPECT_EQ(MessageOf([&] { server.Save(path); }), NoAnswer("Save"));
  EXPECT_EQ(MessageOf([&] { server.Load(path); }), NoAnswer("Load"));
}

TEST_F(StoppedShardTest, CallsOfATableDoSoToo) {
  const auto table = ps::Table<uint64_t, float>::Create(1, {.shards = 2, .deadline = 1s});
  const std::string path = folder_.File("rows");
  StopLast(table, path);
  const std::vector<uint64_t> keys = {1, 2, 3, 4, 5, 6, 7, 8};
  EXPECT_EQ(MessageOf([&] { table.Pull(keys); }), NoAnswer("a pull"));
  EXPECT_EQ(MessageOf([&] { table.Push(keys, std::vector<float>(keys.size())); }), NoAnswer("a push"));
  EXPECT_EQ(MessageOf([&] { table.Stats(); }), NoAnswer("Stats"));
  EXPECT_EQ(MessageOf([&] { table.Size(); }), NoAnswer("Size"));
  EXPECT_EQ(MessageOf([&] { table.Erase(keys); }), NoAnswer("Erase"));
  EXPECT_EQ(MessageOf([&] { table.ForEach([](uint64_t, std::span<const float>) {}); }), NoAnswer("ForEach"));
  EXPECT_EQ(MessageOf([&] { table.Save(path); }), NoAnswer("Save"));
  EXPECT_EQ(MessageOf([&] { table.Load(path); }), NoAnswer("Load"));
}

}  // namespace stopped_test
