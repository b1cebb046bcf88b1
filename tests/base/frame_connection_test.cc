#include "base/frame_connection.h"

#include <thread>

#include "base/unix_socket.h"
#include "testing.h"
#include "tests/harness/run_folder.h"

namespace raylet {
namespace {

TEST(FrameConnectionTest, SendsAndReceivesWholeFramesOfAnySize) {
  auto [one, two] = SocketPair();
  FrameConnection here(std::move(one));
  FrameConnection there(std::move(two));
  std::mt19937_64 random(1);
  const auto large = RandomBytes(random, 3 << 20);  // far more than the kernel holds
  std::thread sender([&] {
    EXPECT_TRUE(here.Send(1, 10, {}, Deadline::AfterMs(20000)));
    EXPECT_TRUE(here.Send(2, 20, large, Deadline::AfterMs(20000)));
  });
  const auto first = there.Receive(Deadline::AfterMs(20000));
  const auto second = there.Receive(Deadline::AfterMs(20000));
  sender.join();
  ASSERT_TRUE(first && *first && second && *second);
  EXPECT_EQ((*first)->header.request_id, 10U);
  EXPECT_TRUE((*first)->body.empty());
  EXPECT_EQ((*second)->header.type, 2U);
  EXPECT_TRUE((*second)->body == large);
  EXPECT_EQ(here.bytes_sent(), there.bytes_received());
  EXPECT_EQ(here.bytes_sent(), 2 * sizeof(FrameHeader) + large.size());
}

TEST(FrameConnectionTest, SilenceUntilTheDeadlineIsNoError) {
  auto [one, two] = SocketPair();
  FrameConnection here(std::move(one));
  FrameConnection there(std::move(two));
  EXPECT_FALSE(there.Receive(Deadline::AfterMs(1)).value());
  ASSERT_TRUE(here.Send(1, 5, Bytes("late"), Deadline::AfterMs(1000)));
  EXPECT_EQ(there.Receive(Deadline::AfterMs(0)).value()->header.request_id, 5U) << "a passed deadline still looks";
}

TEST(FrameConnectionTest, AReaderThatStopsMidFrameCostsTheSenderOnlyTheDeadline) {
  auto [one, two] = SocketPair();
  FrameConnection here(std::move(one));
  const auto sent = here.Send(1, 1, std::vector<std::byte>(8 << 20), Deadline::AfterMs(20));
  ASSERT_FALSE(sent);
  EXPECT_EQ(sent.error().code, ErrorCode::kTimedOut);
  // The stream is spoiled, and stays so.
  EXPECT_EQ(here.Send(1, 2, {}, Deadline::AfterMs(20)).error().code, ErrorCode::kDisconnected);
  EXPECT_TRUE(PeerClosed(two.get()));
}

TEST(FrameConnectionTest, TheRestOfAMessageThatIsTakenInPartGoesAheadOfTheNext) {
  auto [one, two] = SocketPair();
  FrameConnection here(std::move(one)), there(std::move(two));
  const std::vector<std::byte> body(100'000, std::byte{7});
  uint64_t sent = 0;
  while (here.TrySend(1, sent, body).value_or(false)) ++sent;
  ASSERT_GT(sent, 1U);
  ASSERT_FALSE(*here.Flush()) << "a part of a message is left";
  EXPECT_FALSE(*here.TrySend(2, 9, {})) << "nothing passes it";
  for (uint64_t next = 0; next < sent; ++next) {
    const auto frame = there.Receive(Deadline::AfterMs(20));
    ASSERT_TRUE(frame) << frame.error().message;
    if (!frame->has_value()) {
      ASSERT_EQ(next, sent - 1);
      EXPECT_TRUE(*here.Flush());
      --next;
      continue;
    }
    EXPECT_EQ((*frame)->header.request_id, next);
    EXPECT_EQ((*frame)->body.size(), body.size());
  }
  EXPECT_TRUE(here.Send(2, 9, {}, Deadline::AfterMs(100)));
  EXPECT_EQ(there.Receive(Deadline::AfterMs(100)).value()->header.request_id, 9U);
}

TEST(FrameConnectionTest, AFrameThatIsTooLargeIsRefusedBeforeAByteGoes) {
  auto [one, two] = SocketPair();
  FrameConnection here(std::move(one));
  const auto sent = here.Send(1, 1, std::vector<std::byte>(kFrameBodyBytesMax + 1), Deadline::AfterMs(20));
  EXPECT_EQ(sent.error().code, ErrorCode::kTooLarge);
  EXPECT_EQ(here.bytes_sent(), 0U);
}

TEST(FrameConnectionTest, DescriptorsAreKeptUntilTaken) {
  auto [one, two] = SocketPair();
  FrameConnection here(std::move(one));
  FrameConnection there(std::move(two));
  const int fds[] = {0, 1};
  ASSERT_TRUE(here.Send(1, 1, Bytes("two"), Deadline::AfterMs(1000), fds));
  ASSERT_TRUE(there.Receive(Deadline::AfterMs(1000)).value());
  EXPECT_EQ(there.fds().size(), 2U);
  FrameConnection moved = std::move(there);
  EXPECT_EQ(moved.fds().size(), 2U);
  EXPECT_TRUE(there.PeerGone());  // NOLINT(bugprone-use-after-move): a moved-from connection is closed
}

TEST(FrameConnectionTest, TheOtherSidesEndIsDisconnectedAfterItsLastFrame) {
  auto [one, two] = SocketPair();
  FrameConnection there(std::move(two));
  {
    FrameConnection here(std::move(one));
    ASSERT_TRUE(here.Send(1, 1, Bytes("last"), Deadline::AfterMs(1000)));
    EXPECT_FALSE(there.PeerGone());
  }
  EXPECT_TRUE(there.PeerGone());
  EXPECT_TRUE(there.Receive(Deadline::AfterMs(1000)).value());
  EXPECT_EQ(there.Receive(Deadline::AfterMs(1000)).error().code, ErrorCode::kDisconnected);
  EXPECT_EQ(FrameConnection().Receive(Deadline::Never()).error().code, ErrorCode::kDisconnected);
  EXPECT_EQ(FrameConnection().Send(1, 1, {}, Deadline::Never()).error().code, ErrorCode::kDisconnected);
}

TEST(FrameConnectionTest, NonsenseFromTheOtherSideEndsTheConnection) {
  auto [one, two] = SocketPair();
  FrameConnection here(std::move(one));
  ASSERT_TRUE(SendSome(two.get(), std::vector<std::byte>(16, std::byte{0xff}), {}));
  EXPECT_EQ(here.Receive(Deadline::AfterMs(1000)).error().code, ErrorCode::kProtocolError);
  EXPECT_TRUE(PeerClosed(two.get()));
}

TEST(FrameConnectionTest, ConnectWaitsForADaemonOnlyWhenAsked) {
  const test::RunFolder folder;
  const std::string path = folder.File("s");
  EXPECT_EQ(FrameConnection::Connect(path, Deadline::AfterMs(30'000), false).error().code, ErrorCode::kNotRunning);
  EXPECT_EQ(FrameConnection::Connect(path, Deadline::AfterMs(5), true).error().code, ErrorCode::kNotRunning);
  std::thread daemon([&] {
    const auto listening = ListenUnix(path, 8);
    ASSERT_TRUE(listening);
    ASSERT_TRUE(WaitReadable(listening->get(), Deadline::AfterMs(20000)).value());
    FrameConnection session(AcceptUnix(listening->get()).value());
    const auto frame = session.Receive(Deadline::AfterMs(20000));
    ASSERT_TRUE(frame && *frame);
    EXPECT_TRUE(session.Send(2, (*frame)->header.request_id, {}, Deadline::AfterMs(20000)));
  });
  auto connection = FrameConnection::Connect(path, Deadline::AfterMs(20000), true);
  ASSERT_TRUE(connection) << connection.error().message;
  ASSERT_TRUE(connection->Send(1, 77, {}, Deadline::AfterMs(20000)));
  EXPECT_EQ(connection->Receive(Deadline::AfterMs(20000)).value()->header.request_id, 77U);
  daemon.join();
}

}  // namespace
}  // namespace raylet
