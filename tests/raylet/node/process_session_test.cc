// A session with a process that does not read. The process is behind. Its session ends only when far too much waits,
// and the process learns why.
#include <gtest/gtest.h>
#include <unistd.h>

#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include "base/unix_socket.h"
#include "client/ray/cluster/raylet_link.h"
#include "raylet/node/process_session.h"
#include "tests/harness/loop_thread.h"
#include "tests/harness/run_folder.h"

namespace raylet::test {
namespace {

using client::RayletLink;
using std::chrono::milliseconds;
using std::chrono::seconds;

// A process whose io thread stays in its first message until it is let go.
class Sleeper {
 public:
  void OnMessage() {
    std::unique_lock lock(mutex_);
    ++messages_;
    changed_.notify_all();
    changed_.wait(lock, [this] { return awake_; });
    lock.unlock();
    std::this_thread::sleep_for(pause_);
  }
  void OnRayletGone() {
    const std::lock_guard lock(mutex_);
    gone_ = true;
    changed_.notify_all();
  }
  void Wake() {
    const std::lock_guard lock(mutex_);
    awake_ = true;
    changed_.notify_all();
  }
  // It takes so long for each message. Before the first one.
  void WakeSlowly(std::chrono::microseconds pause) {
    pause_ = pause;
    Wake();
  }
  bool AwaitGone() {
    return Await([this] { return gone_; });
  }
  bool AwaitMessages(int count) {
    return Await([this, count] { return messages_ >= count; });
  }

 private:
  template <class Condition>
  bool Await(Condition condition) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, seconds(20), condition);
  }
  std::mutex mutex_;
  std::condition_variable changed_;
  std::chrono::microseconds pause_{0};
  bool awake_ = false;
  bool gone_ = false;
  int messages_ = 0;
};

class ProcessSessionTest : public ::testing::Test, private ProcessSession::Events {
 protected:
  // Before the destructor, whose first step would race with an event of the loop's thread.
  void TearDown() override {
    sleeper_.Wake();
    if (client_ != nullptr) client_->Stop();
    loop_.Run([this] {
      session_.reset();
      listener_.Cancel();
    });
  }

  void Connect(const SessionLimits& limits) {
    listen_fd_ = *ListenUnix(folder_.File("raylet"), 1);
    loop_.Run([&] {
      listener_ = FdWatcher(loop_.loop(), listen_fd_.get(), [this, limits](FdWatcher::Events) {
        auto fd = AcceptUnix(listen_fd_.get());
        if (!fd || !*fd) return;
        ProcessSession::Events& events = *this;
        session_ = std::make_unique<ProcessSession>(loop_.loop(), 1, *std::move(fd), events, limits);
      });
      listener_.Watch({true, false});
    });
    RayletLink::Options options;
    options.socket = folder_.File("raylet");
    auto client = RayletLink::Connect(std::move(options), Deadline::After(seconds(20)));
    ASSERT_TRUE(client) << client.error().message;
    client_ = *std::move(client);
    client_->Start([this](const Frame&, std::vector<UniqueFd>&) { sleeper_.OnMessage(); },
                   [this] { sleeper_.OnRayletGone(); });
  }

  // Frames of 10,000 bytes.
  void Send(int count) {
    loop_.Run([&] {
      const std::vector<std::byte> body(10'000);
      for (; count > 0; --count) session_->SendBytes(wire::RayletMessage::TaskResult, 0, body);
    });
  }
  std::vector<bool> Behind() {
    std::vector<bool> behind;
    loop_.Run([&] { behind = behind_; });
    return behind;
  }
  bool Closed() {
    bool closed = false;
    loop_.Run([&] { closed = closed_.has_value(); });
    return closed;
  }

  size_t Waiting() {
    size_t waiting = 0;
    loop_.Run([&] { waiting = session_->socket().queued_bytes(); });
    return waiting;
  }
  int Heard() {
    int heard = 0;
    loop_.Run([&] { heard = heard_; });
    return heard;
  }

  void Drop() { session_.reset(); }

  LoopThread loop_;
  RunFolder folder_;
  Sleeper sleeper_;
  std::unique_ptr<RayletLink> client_;
  size_t answer_bytes_ = 0;  // of what a message is answered by; set before the first

 private:
  Result<void> OnRegister(ProcessSession& session, uint64_t request_id, wire::RegisterRequestT request,
                          UniqueFd doorbell) override {
    session.identity.emplace();
    session.identity->kind = request.kind;
    session.identity->doorbell = std::move(doorbell);
    wire::RegisterReplyT reply;
    reply.status = OkStatus();
    reply.process = 1;
    reply.node = std::make_unique<wire::Id20>();
    session.Send(wire::RayletMessage::RegisterReply, request_id, reply);
    return {};
  }
  Result<void> OnMessage(ProcessSession& session, wire::RayletMessage, const Frame&) override {
    ++heard_;
    session.SendBytes(wire::RayletMessage::TaskResult, 0, std::vector<std::byte>(answer_bytes_));
    return {};
  }
  void OnBehind(ProcessSession&, bool behind) override { behind_.push_back(behind); }
  void OnSessionClosed(ProcessSession&, const Error& reason) override { closed_ = reason; }

  UniqueFd listen_fd_;
  FdWatcher listener_;
  std::unique_ptr<ProcessSession> session_;  // loop thread, as those that follow
  std::vector<bool> behind_;
  int heard_ = 0;
  std::optional<Error> closed_;
};

SessionLimits SmallLimits() {
  SessionLimits limits;
  limits.behind_bytes = 1'000'000;
  limits.caught_up_bytes = 100'000;
  limits.stalled_bytes = 2'000'000;
  limits.stalled_for = milliseconds(200);
  limits.full_bytes = 20'000'000;
  limits.full_for = milliseconds(200);
  return limits;
}

TEST_F(ProcessSessionTest, AProcessThatReadsNothingForLongWhileTooMuchWaitsIsEndedAndToldWhy) {
  ASSERT_NO_FATAL_FAILURE(Connect(SmallLimits()));
  Send(400);
  ASSERT_TRUE(sleeper_.AwaitMessages(1));
  const Deadline deadline = Deadline::After(seconds(20));
  while (!Closed() && !deadline.Passed()) ::usleep(1000);
  ASSERT_TRUE(Closed());
  sleeper_.Wake();
  ASSERT_TRUE(sleeper_.AwaitGone());
  const Error why = client_->WhyGone();
  EXPECT_EQ(why.code, ErrorCode::kSlowConsumer);
  EXPECT_NE(why.message.find("took no byte for 0.2 s while 3."), std::string::npos) << why.message;
  EXPECT_NE(why.message.find("has ended the connection of this process"), std::string::npos) << why.message;
}

TEST_F(ProcessSessionTest, AProcessForWhichFarTooMuchWaitsIsEndedSoonerWhereItReadsNothing) {
  SessionLimits limits = SmallLimits();
  limits.stalled_for = seconds(1000);
  limits.full_for = milliseconds(200);
  ASSERT_NO_FATAL_FAILURE(Connect(limits));
  Send(4000);
  const Deadline deadline = Deadline::After(seconds(20));
  while (!Closed() && !deadline.Passed()) ::usleep(1000);
  ASSERT_TRUE(Closed());
  sleeper_.Wake();
  ASSERT_TRUE(sleeper_.AwaitGone());
  EXPECT_EQ(client_->WhyGone().code, ErrorCode::kSlowConsumer) << client_->WhyGone().message;
  EXPECT_NE(client_->WhyGone().message.find("took no byte for 0.2 s"), std::string::npos) << client_->WhyGone().message;
}

// It reads for longer than one may that takes no byte.
TEST_F(ProcessSessionTest, AProcessThatReadsIsNotEndedHoweverMuchWaits) {
  SessionLimits limits = SmallLimits();
  limits.stalled_for = limits.full_for = seconds(1);
  ASSERT_NO_FATAL_FAILURE(Connect(limits));
  sleeper_.WakeSlowly(std::chrono::microseconds(500));
  Send(4000);
  EXPECT_TRUE(sleeper_.AwaitMessages(4000));
  EXPECT_FALSE(client_->Gone()) << client_->WhyGone().message;
}

// Each of its messages of 8 kB has an answer of 100 kB.
TEST_F(ProcessSessionTest, AProcessThatReadsNoAnswersIsNotHeardUntilItHasReadThem) {
  SessionLimits limits = SmallLimits();
  limits.stalled_for = limits.full_for = seconds(1000);
  ASSERT_NO_FATAL_FAILURE(Connect(limits));
  answer_bytes_ = 100'000;
  std::thread asks([this] {
    wire::ClaimNoticeT notice;
    notice.objects.resize(400);
    for (int i = 0; i < 200; ++i) client_->Post(wire::RayletMessage::ClaimObjects, notice);
  });
  ASSERT_TRUE(sleeper_.AwaitMessages(1));
  // The kernel takes a little of what waits, so the limit itself may be passed for a moment only.
  const Deadline deadline = Deadline::After(seconds(20));
  while (Waiting() <= limits.stalled_bytes / 4 * 3 && !deadline.Passed()) ::usleep(1000);
  ASSERT_FALSE(deadline.Passed());
  ::usleep(50'000);  // the time itself must not matter
  EXPECT_LT(Heard(), 100);
  sleeper_.Wake();
  EXPECT_TRUE(sleeper_.AwaitMessages(200));
  asks.join();
  EXPECT_EQ(Heard(), 200);
}

TEST_F(ProcessSessionTest, AProcessThatReadsNothingIsBehindAndLivesWhileNotTooMuchWaits) {
  SessionLimits limits = SmallLimits();
  limits.stalled_for = milliseconds(10);
  ASSERT_NO_FATAL_FAILURE(Connect(limits));
  Send(150);
  ASSERT_TRUE(sleeper_.AwaitMessages(1));
  ::usleep(100'000);  // the time itself must not matter
  EXPECT_FALSE(Closed());
  EXPECT_EQ(Behind(), std::vector<bool>{true});
  sleeper_.Wake();
  EXPECT_TRUE(sleeper_.AwaitMessages(150));
  EXPECT_EQ(Behind(), (std::vector<bool>{true, false}));
  EXPECT_FALSE(client_->Gone());
}

TEST_F(ProcessSessionTest, ARayletThatEndsIsGoneAndLeavesNoWord) {
  ASSERT_NO_FATAL_FAILURE(Connect(SmallLimits()));
  loop_.Run([this] { Drop(); });
  ASSERT_TRUE(sleeper_.AwaitGone());
  EXPECT_EQ(client_->WhyGone().code, ErrorCode::kDisconnected);
  EXPECT_NE(client_->WhyGone().message.find("is gone"), std::string::npos) << client_->WhyGone().message;
}

}  // namespace
}  // namespace raylet::test
