#include "client/ray/cluster/outbox.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <atomic>
#include <thread>

namespace raylet::client {
namespace {

using std::chrono::milliseconds;

class OutboxTest : public ::testing::Test {
 protected:
  OutboxTest() {
    int fds[2] = {-1, -1};
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    ours_ = FrameConnection(UniqueFd(fds[0]));
    daemon_ = FrameConnection(UniqueFd(fds[1]));
  }
  // Until the socket takes none before the deadline. Returns how many it took.
  uint64_t SendUntilFull(Outbox& outbox) {
    uint64_t sent = 0;
    for (;; ++sent) {
      const auto taken = outbox.Send(1, sent + 1, body_, Deadline::After(milliseconds(20)));
      if (taken) continue;
      EXPECT_EQ(taken.error().code, ErrorCode::kTimedOut) << taken.error().message;
      return sent;
    }
  }
  Frame Next() {
    auto frame = daemon_.Receive(Deadline::After(std::chrono::seconds(20)));
    EXPECT_TRUE(frame && frame->has_value()) << (frame ? "nothing came" : frame.error().message);
    return frame && frame->has_value() ? **std::move(frame) : Frame();
  }

  const std::vector<std::byte> body_ = std::vector<std::byte>(10'000, std::byte{7});
  FrameConnection ours_, daemon_;
};

TEST_F(OutboxTest, MessagesPostedToAStoppedDaemonComeLaterInOrder) {
  Outbox outbox(ours_);
  const uint64_t sent = SendUntilFull(outbox);
  for (const uint16_t type : {2, 3, 4}) EXPECT_TRUE(outbox.Post(type, body_, Deadline::After(milliseconds(20))));
  EXPECT_EQ(outbox.Send(5, 99, body_, Deadline::After(milliseconds(20))).error().code, ErrorCode::kTimedOut);
  for (uint64_t i = 0; i < sent; ++i) {
    const Frame frame = Next();
    EXPECT_EQ(frame.header.request_id, i + 1);
    EXPECT_EQ(frame.body, body_);
  }
  for (const uint16_t type : {2, 3, 4}) EXPECT_EQ(Next().header.type, type);
  EXPECT_TRUE(outbox.Send(6, 100, body_, Deadline::After(std::chrono::seconds(20))));
  EXPECT_EQ(Next().header.type, 6);
}

TEST_F(OutboxTest, ASenderWaitsForWhatWasPostedBefore) {
  Outbox outbox(ours_);
  uint64_t before = SendUntilFull(outbox);
  EXPECT_TRUE(outbox.Post(2, body_, Deadline::AfterMs(0)));
  std::thread sender([&] { EXPECT_TRUE(outbox.Send(3, 1, body_, Deadline::After(std::chrono::seconds(20)))); });
  for (; before > 0; --before) Next();
  EXPECT_EQ(Next().header.type, 2);
  EXPECT_EQ(Next().header.type, 3);
  sender.join();
}

TEST_F(OutboxTest, NobodyWaitsBehindAThreadThatWaitsForRoom) {
  Outbox outbox(ours_);
  const uint64_t before = SendUntilFull(outbox);
  std::thread patient([&] { EXPECT_TRUE(outbox.Send(3, 1, body_, Deadline::After(std::chrono::seconds(60)))); });
  const Deadline soon = Deadline::After(std::chrono::seconds(20));
  // The other thread waits by the last of these.
  for (int i = 0; i < 20; ++i) {
    const auto sent = outbox.Send(4, 2, body_, Deadline::After(milliseconds(20)));
    ASSERT_FALSE(sent);
    EXPECT_EQ(sent.error().code, ErrorCode::kTimedOut);
  }
  EXPECT_TRUE(outbox.Post(2, body_, Deadline::After(std::chrono::seconds(60))));
  EXPECT_FALSE(soon.Passed()) << "it has waited behind the other thread";
  for (uint64_t i = 0; i < before; ++i) Next();
  EXPECT_EQ(Next().header.type, 2);
  EXPECT_EQ(Next().header.type, 3);
  patient.join();
}

TEST_F(OutboxTest, ThoseThatPostVeryMuchWaitForASlowDaemonAndNotForOneThatStandsStill) {
  Outbox outbox(ours_);
  SendUntilFull(outbox);
  const size_t crowd = Outbox::kCrowdedBytes / body_.size() + 1;
  for (size_t i = 0; i < crowd; ++i) ASSERT_TRUE(outbox.Post(2, body_, Deadline::Never()));
  std::atomic<bool> posted{false};
  std::thread poster([&] {
    EXPECT_TRUE(outbox.Post(3, body_, Deadline::Never()));
    posted = true;
  });
  EXPECT_FALSE(posted) << "as it has to wait";
  while (Next().header.type != 3) continue;
  poster.join();
  SendUntilFull(outbox);
  for (size_t i = 0; i < crowd; ++i) ASSERT_TRUE(outbox.Post(2, body_, Deadline::Never()));
  ASSERT_TRUE(outbox.Post(2, body_, Deadline::After(milliseconds(20))));
  EXPECT_TRUE(outbox.Post(2, body_, Deadline::Never())) << "one has waited in vain";
}

TEST_F(OutboxTest, AThreadThatWaitsHearsThatItIsStopped) {
  Outbox outbox(ours_);
  SendUntilFull(outbox);
  std::thread sender([&] { EXPECT_FALSE(outbox.Send(3, 1, body_, Deadline::Never())); });
  ::shutdown(ours_.fd(), SHUT_RDWR);
  outbox.Stop();
  sender.join();
}

TEST_F(OutboxTest, AThreadThatWaitsHearsThatTheConnectionHasEnded) {
  Outbox outbox(ours_, /*kept_bytes_max=*/15'000);
  SendUntilFull(outbox);
  EXPECT_TRUE(outbox.Post(2, body_, Deadline::AfterMs(0)));
  std::thread sender([&] { EXPECT_FALSE(outbox.Send(3, 1, body_, Deadline::Never())); });
  EXPECT_EQ(outbox.Post(2, body_, Deadline::AfterMs(0)).error().code, ErrorCode::kSlowConsumer);
  sender.join();
}

TEST_F(OutboxTest, EndsTheConnectionAndSaysWhyOnceTooMuchWaits) {
  Outbox outbox(ours_, /*kept_bytes_max=*/25'000);
  SendUntilFull(outbox);
  for (int i = 0; i < 2; ++i) EXPECT_TRUE(outbox.Post(2, body_, Deadline::AfterMs(0)));
  EXPECT_FALSE(outbox.WhyEnded());
  const auto posted = outbox.Post(2, body_, Deadline::AfterMs(0));
  ASSERT_FALSE(posted);
  EXPECT_EQ(posted.error().code, ErrorCode::kSlowConsumer);
  ASSERT_TRUE(outbox.WhyEnded());
  EXPECT_NE(outbox.WhyEnded()->message.find("wait for it"), std::string::npos) << outbox.WhyEnded()->message;
  EXPECT_FALSE(ours_.Receive(Deadline::After(std::chrono::seconds(20))));
}

TEST_F(OutboxTest, StopsWhileMessagesWait) {
  Outbox outbox(ours_);
  SendUntilFull(outbox);
  EXPECT_TRUE(outbox.Post(2, body_, Deadline::AfterMs(0)));
  outbox.Stop();
  EXPECT_EQ(outbox.Post(2, body_, Deadline::AfterMs(0)).error().code, ErrorCode::kCancelled);
  EXPECT_EQ(outbox.Send(2, 1, body_, Deadline::AfterMs(0)).error().code, ErrorCode::kCancelled);
}

}  // namespace
}  // namespace raylet::client
