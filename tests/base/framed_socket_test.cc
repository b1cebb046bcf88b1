#include "base/framed_socket.h"

#include <uv.h>

#include <optional>

#include "base/frame_connection.h"
#include "base/shm_segment.h"
#include "base/unix_socket.h"
#include "testing.h"

namespace raylet {
namespace {

using std::chrono::milliseconds;

class Recorder : public FramedSocket::Handler {
 public:
  void OnFrame(const Frame& frame, std::vector<UniqueFd>& fds) override {
    frames.push_back(frame);
    if (on_frame) on_frame(frame, fds);
  }
  void OnClosed(const Error& reason) override {
    closed.push_back(reason);
    if (on_closed) on_closed();
  }
  void OnBehind(bool now) override { behind.push_back(now); }
  void OnClosing(const Error& reason) override { closing.push_back(reason); }
  std::vector<Frame> frames;
  std::vector<Error> closed, closing;
  std::vector<bool> behind;
  std::function<void(const Frame&, std::vector<UniqueFd>&)> on_frame;
  std::function<void()> on_closed;
};

class FramedSocketTest : public testing::Test {
 protected:
  FramedSocketTest() : watchdog_(loop_, milliseconds(20000), milliseconds(0), [this] { timed_out_ = true; }) {
    auto [ours, theirs] = SocketPair();
    fd_ = std::move(ours);
    peer_ = FrameConnection(std::move(theirs));
  }
  void Open(FramedSocketLimits limits = {}) { socket_.emplace(loop_, std::move(fd_), limits, recorder_); }
  template <class Condition>
  testing::AssertionResult RunUntil(Condition condition) {
    while (!condition() && !timed_out_) uv_run(loop_.raw(), UV_RUN_ONCE);
    if (timed_out_) return testing::AssertionFailure() << "20 s are over";
    return testing::AssertionSuccess();
  }
  // Everything that is ready now, and close callbacks.
  void Settle() {
    for (int i = 0; i < 10; ++i) uv_run(loop_.raw(), UV_RUN_NOWAIT);
  }
  bool SendFromPeer(const std::string& body, std::span<const int> fds = {}) {
    return peer_.Send(1, 1, Bytes(body), Deadline::AfterMs(0), fds).has_value();
  }

  Loop loop_;
  bool timed_out_ = false;
  Timer watchdog_;
  UniqueFd fd_;
  FrameConnection peer_;
  Recorder recorder_;
  std::optional<FramedSocket> socket_;
};

TEST_F(FramedSocketTest, EchoesFramesOfAllSizesInOrder) {
  Open();
  recorder_.on_frame = [this](const Frame& frame, std::vector<UniqueFd>&) {
    socket_->Send(frame.header.type, frame.header.request_id, frame.body);
  };
  std::mt19937_64 random(1);
  for (uint64_t i = 0; i < 200; ++i) {
    const auto body = RandomBytes(random, i % 5 == 0 ? 0 : random() % 60000);
    ASSERT_TRUE(peer_.Send(static_cast<uint16_t>(i), i, body, Deadline::AfterMs(0)));
    std::optional<Frame> back;
    ASSERT_TRUE(RunUntil([&] { return (back = peer_.Receive(Deadline::AfterMs(0)).value()).has_value(); }));
    EXPECT_EQ(back->header.request_id, i);
    EXPECT_EQ(back->header.type, i);
    ASSERT_EQ(back->body, body);
  }
  EXPECT_EQ(socket_->bytes_received(), peer_.bytes_sent());
  EXPECT_EQ(socket_->bytes_sent(), peer_.bytes_received());
}

TEST_F(FramedSocketTest, FramesThatTheKernelDoesNotTakeArriveLaterInOrderWithTheirDescriptors) {
  Open();
  const auto memory = CreateMemfd("test", 4096, false);
  std::mt19937_64 random(2);
  std::vector<std::vector<std::byte>> sent;
  for (uint64_t i = 0; i < 300; ++i) {
    sent.push_back(RandomBytes(random, random() % 20000));
    const int fds[] = {memory->get()};
    socket_->Send(1, i, sent.back(), i % 50 == 0 ? std::span<const int>(fds) : std::span<const int>());
  }
  ASSERT_LT(socket_->bytes_sent(), 300U * 10000) << "the kernel took all: nothing waits, nothing is tested";
  size_t received = 0;
  size_t fds_received = 0;
  ASSERT_TRUE(RunUntil([&] {
    uv_run(loop_.raw(), UV_RUN_NOWAIT);
    while (auto frame = peer_.Receive(Deadline::AfterMs(0)).value()) {
      if (frame->header.request_id != received || frame->body != sent[received]) return true;
      if (received++ % 50 == 0) {
        if (peer_.fds().empty() || FileSize(peer_.fds().front().get()).value() != 4096) return true;
        peer_.fds().erase(peer_.fds().begin());
        ++fds_received;
      }
    }
    return received == sent.size();
  }));
  EXPECT_EQ(received, sent.size());
  EXPECT_EQ(fds_received, 6U);
  EXPECT_TRUE(peer_.fds().empty());
}

TEST_F(FramedSocketTest, PeerThatNeverReadsIsClosedAsASlowConsumer) {
  FramedSocketLimits limits;
  limits.queued_bytes_max = 1 << 20;
  Open(limits);
  const std::vector<std::byte> body(100000);
  int sends = 0;
  while (!socket_->closed() && sends < 1000) {
    socket_->Send(1, 0, body);
    ++sends;
  }
  EXPECT_TRUE(socket_->closed());
  EXPECT_LT(sends, 30);
  EXPECT_TRUE(recorder_.closed.empty()) << "never from inside Send";
  ASSERT_TRUE(RunUntil([&] { return !recorder_.closed.empty(); }));
  EXPECT_EQ(recorder_.closed[0].code, ErrorCode::kSlowConsumer);
  socket_->Send(1, 0, body);
  socket_->Close({ErrorCode::kCancelled, "again"});
  Settle();
  EXPECT_EQ(recorder_.closed.size(), 1U);
}

TEST_F(FramedSocketTest, HearsNoFrameWhileItDoesNotRead) {
  Open();
  recorder_.on_frame = [this](const Frame&, std::vector<UniqueFd>&) { socket_->SetReading(false); };
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(SendFromPeer("in one read"));
  ASSERT_TRUE(RunUntil([&] { return !recorder_.frames.empty(); }));
  ASSERT_TRUE(SendFromPeer("in another one"));
  Settle();
  EXPECT_EQ(recorder_.frames.size(), 1U);
  recorder_.on_frame = nullptr;
  socket_->SetReading(true);
  EXPECT_TRUE(RunUntil([&] { return recorder_.frames.size() == 4; }));
}

TEST_F(FramedSocketTest, NoticesTheEndOfAPeerForWhichBytesWaitWhileItDoesNotRead) {
  Open();
  socket_->SetReading(false);
  for (int i = 0; i < 20; ++i) socket_->Send(1, 0, std::vector<std::byte>(100'000));
  Settle();
  ASSERT_GT(socket_->queued_bytes(), 0U);
  peer_ = FrameConnection();
  EXPECT_TRUE(RunUntil([&] { return !recorder_.closed.empty(); }));
}

TEST_F(FramedSocketTest, AReaderIsBehindUntilItHasCaughtUp) {
  FramedSocketLimits limits;
  limits.behind_bytes = 1 << 20;
  limits.caught_up_bytes = 1 << 18;
  Open(limits);
  const std::vector<std::byte> body(10000);
  size_t sent = 0;
  for (; recorder_.behind.empty() && sent < 1000; ++sent) socket_->Send(1, 0, body);
  EXPECT_EQ(recorder_.behind, std::vector<bool>{true});
  EXPECT_GT(socket_->queued_bytes(), limits.behind_bytes);
  EXPECT_LT(socket_->queued_bytes(), limits.behind_bytes + 2 * body.size());
  for (; sent < 1000; ++sent) socket_->Send(1, 0, body);
  EXPECT_EQ(recorder_.behind.size(), 1U) << "it is told once";
  size_t received = 0;
  ASSERT_TRUE(RunUntil([&] {
    uv_run(loop_.raw(), UV_RUN_NOWAIT);
    while (recorder_.behind.size() < 2 && peer_.Receive(Deadline::AfterMs(0)).value()) {
      ++received;
      uv_run(loop_.raw(), UV_RUN_NOWAIT);
    }
    return recorder_.behind.size() > 1;
  }));
  EXPECT_EQ(recorder_.behind, (std::vector<bool>{true, false}));
  EXPECT_LE(socket_->queued_bytes(), limits.caught_up_bytes);
  ASSERT_TRUE(RunUntil([&] {
    uv_run(loop_.raw(), UV_RUN_NOWAIT);
    while (peer_.Receive(Deadline::AfterMs(0)).value()) ++received;
    return received == sent;
  }));
  EXPECT_TRUE(recorder_.closing.empty());
}

TEST_F(FramedSocketTest, TheHandlerHearsOfTheEndBeforeTheOtherSideSeesIt) {
  Open();
  socket_->Close({ErrorCode::kCancelled, "because"});
  ASSERT_EQ(recorder_.closing.size(), 1U);
  EXPECT_EQ(recorder_.closing[0].message, "because");
  socket_->Close({ErrorCode::kCancelled, "again"});
  Settle();
  EXPECT_EQ(recorder_.closing.size(), 1U);
  EXPECT_EQ(recorder_.closed.size(), 1U);
}

TEST_F(FramedSocketTest, AnOversizeFrameClosesWithProtocolErrorAndNothingAfterItIsHeard) {
  FramedSocketLimits limits;
  limits.body_bytes_max = 100;
  Open(limits);
  ASSERT_TRUE(SendFromPeer(std::string(100, 'a')));
  ASSERT_TRUE(SendFromPeer(std::string(101, 'b')));
  ASSERT_TRUE(SendFromPeer("c"));
  ASSERT_TRUE(RunUntil([&] { return !recorder_.closed.empty(); }));
  EXPECT_EQ(recorder_.frames.size(), 1U);
  EXPECT_EQ(recorder_.closed[0].code, ErrorCode::kProtocolError);
  EXPECT_TRUE(peer_.PeerGone());
}

TEST_F(FramedSocketTest, ALastWordBeforeCloseArrives) {
  Open();
  recorder_.on_frame = [this](const Frame&, std::vector<UniqueFd>&) {
    socket_->Send(7, 0, Bytes("because"));
    socket_->Close({ErrorCode::kProtocolError, "because"});
  };
  ASSERT_TRUE(SendFromPeer("nonsense"));
  ASSERT_TRUE(SendFromPeer("more that is never read"));
  ASSERT_TRUE(RunUntil([&] { return !recorder_.closed.empty(); }));
  EXPECT_EQ(recorder_.frames.size(), 1U);
  const auto last = peer_.Receive(Deadline::AfterMs(1000));
  ASSERT_TRUE(last && last->has_value());
  EXPECT_EQ((*last)->header.type, 7U);
  EXPECT_EQ(peer_.Receive(Deadline::AfterMs(1000)).error().code, ErrorCode::kDisconnected);
}

TEST_F(FramedSocketTest, DescriptorsComeWithTheirFrame) {
  Open();
  std::vector<size_t> sizes;
  recorder_.on_frame = [&](const Frame&, std::vector<UniqueFd>& fds) {
    for (const UniqueFd& each : fds) sizes.push_back(FileSize(each.get()).value());
    fds.clear();
  };
  for (size_t i = 1; i <= 20; ++i) {
    const auto memory = CreateMemfd("test", i * 4096, false);
    const int fds[] = {memory->get()};
    ASSERT_TRUE(SendFromPeer("here", fds));
  }
  ASSERT_TRUE(RunUntil([&] { return recorder_.frames.size() == 20; }));
  ASSERT_EQ(sizes.size(), 20U);
  for (size_t i = 0; i < 20; ++i) EXPECT_EQ(sizes[i], (i + 1) * 4096);
}

TEST_F(FramedSocketTest, DescriptorsThatNobodyTakesEndTheConnection) {
  FramedSocketLimits limits;
  limits.received_fds_max = 3;
  Open(limits);
  const int fds[] = {0, 1};
  ASSERT_TRUE(SendFromPeer("two", fds));
  ASSERT_TRUE(RunUntil([&] { return recorder_.frames.size() == 1; }));
  EXPECT_FALSE(socket_->closed());
  ASSERT_TRUE(SendFromPeer("four", fds));
  ASSERT_TRUE(RunUntil([&] { return !recorder_.closed.empty(); }));
  EXPECT_EQ(recorder_.closed[0].code, ErrorCode::kProtocolError);
}

TEST_F(FramedSocketTest, AHalfSentFrameBlocksNobodyAndItsSendersEndIsNoticed) {
  Open();
  std::vector<std::byte> bytes;
  AppendFrame(bytes, 1, 1, Bytes("half of this"));
  ASSERT_EQ(SendSome(peer_.fd(), std::span(bytes).first(20), {}).value(), 20U);
  Settle();
  EXPECT_TRUE(recorder_.frames.empty());
  EXPECT_FALSE(socket_->closed());
  peer_ = FrameConnection();
  ASSERT_TRUE(RunUntil([&] { return !recorder_.closed.empty(); }));
  EXPECT_EQ(recorder_.closed[0].code, ErrorCode::kDisconnected);
  EXPECT_TRUE(recorder_.frames.empty());
}

TEST_F(FramedSocketTest, FramesSentBeforeAnEndAreHeardFirst) {
  Open();
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(SendFromPeer("frame"));
  peer_ = FrameConnection();
  ASSERT_TRUE(RunUntil([&] { return !recorder_.closed.empty(); }));
  EXPECT_EQ(recorder_.frames.size(), 100U);
}

TEST_F(FramedSocketTest, MayBeDestroyedWhileItHandsOutAFrame) {
  Open();
  recorder_.on_frame = [this](const Frame& frame, std::vector<UniqueFd>& fds) {
    socket_.reset();
    EXPECT_EQ(frame.body, Bytes("one"));  // frame and descriptors outlive the call
    EXPECT_TRUE(fds.empty());
  };
  ASSERT_TRUE(SendFromPeer("one"));
  ASSERT_TRUE(SendFromPeer("two"));
  ASSERT_TRUE(RunUntil([&] { return !socket_; }));
  Settle();
  EXPECT_EQ(recorder_.frames.size(), 1U);
  EXPECT_TRUE(recorder_.closed.empty());
  EXPECT_TRUE(peer_.PeerGone());
}

TEST_F(FramedSocketTest, MayBeDestroyedInOnClosed) {
  Open();
  recorder_.on_closed = [this] { socket_.reset(); };
  peer_ = FrameConnection();
  ASSERT_TRUE(RunUntil([&] { return !socket_; }));
  EXPECT_EQ(recorder_.closed.size(), 1U);
}

TEST_F(FramedSocketTest, DestroyedAfterCloseItSaysNothingMore) {
  Open();
  socket_->Close({ErrorCode::kCancelled, "enough"});
  EXPECT_TRUE(socket_->closed());
  EXPECT_TRUE(recorder_.closed.empty()) << "never from inside Close";
  socket_.reset();
  Settle();
  EXPECT_TRUE(recorder_.closed.empty());
}

TEST_F(FramedSocketTest, AFloodOfFramesLeavesTheLoopItsOtherWork) {
  Open();
  std::vector<std::byte> flood;
  for (int i = 0; i < 100; ++i) AppendFrame(flood, 1, 1, Bytes(std::string(1000, 'x')));
  // Refills the socket from inside every frame: without a bound one turn would never end.
  recorder_.on_frame = [&](const Frame&, std::vector<UniqueFd>&) {
    recorder_.frames.clear();
    (void)SendSome(peer_.fd(), std::span(flood).first(10160), {});
  };
  ASSERT_TRUE(SendSome(peer_.fd(), flood, {}));
  bool fired = false;
  Timer timer(loop_, milliseconds(1), milliseconds(0), [&] { fired = true; });
  EXPECT_TRUE(RunUntil([&] { return fired; }));
  EXPECT_FALSE(socket_->closed());
}

}  // namespace
}  // namespace raylet
