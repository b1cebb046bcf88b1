// A shard whose process is stopped: waits end at the deadline, and say which shard is late.
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <thread>

#include <ray/parameter_server.h>

#include "tests/client/parameter_server/float_server.h"
#include "tests/client/parameter_server/message_of.h"
#include "tests/client/parameter_server/private_daemons.h"

namespace stopped_test {

using parameter_server_test::Add;
using parameter_server_test::FloatServer;
using parameter_server_test::MessageOf;
using parameter_server_test::OnPrivateDaemons;
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
    pid_ = static_cast<pid_t>(server_.Stats()[0].pid);
  }
  void Stop() const { ASSERT_EQ(::kill(pid_, SIGSTOP), 0); }

  FloatServer server_;

 private:
  pid_t pid_ = 0;
};

TEST_F(StoppedShardTest, AReadNamesTheShardThatDoesNotAnswer) {
  Start(ps::Async{});
  Stop();
  EXPECT_EQ(
      MessageOf([&] { server_.Get(); }),
      "shard 0 of 1 did not answer within 2000 ms: its process is starting, busy or stopped; deadline is how long "
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

}  // namespace stopped_test
