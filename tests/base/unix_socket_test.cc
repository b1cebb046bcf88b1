#include "base/unix_socket.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <optional>

#include "base/shm_segment.h"
#include "testing.h"
#include "tests/harness/run_folder.h"

namespace raylet {
namespace {

class UnixSocketTest : public testing::Test {
 protected:
  test::RunFolder folder_;
  const std::string path_ = folder_.File("s");
};

bool NonBlockingAndCloseOnExec(int fd) {
  return (::fcntl(fd, F_GETFL) & O_NONBLOCK) != 0 && (::fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0;
}

TEST_F(UnixSocketTest, ListensConnectsAcceptsAndKnowsItsPeer) {
  const auto listening = ListenUnix(path_, 8);
  ASSERT_TRUE(listening) << listening.error().message;
  EXPECT_FALSE(AcceptUnix(listening->get()).value()) << "nobody is there yet";
  const auto client = ConnectUnix(path_);
  ASSERT_TRUE(client) << client.error().message;
  ASSERT_TRUE(WaitReadable(listening->get(), Deadline::AfterMs(30'000)).value());
  const auto server = AcceptUnix(listening->get());
  ASSERT_TRUE(server && *server);
  for (const int fd : {listening->get(), client->get(), server->get()}) EXPECT_TRUE(NonBlockingAndCloseOnExec(fd));
  EXPECT_EQ(GetPeerCredentials(server->get())->pid, ::getpid());
  EXPECT_EQ(GetPeerCredentials(client->get())->uid, ::getuid());
  struct stat status {};
  ASSERT_EQ(::stat(path_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600U);
}

TEST_F(UnixSocketTest, APathOf107BytesServesAndOneOf108IsRefused) {
  const size_t name_bytes = kSocketPathBytesMax - folder_.path().size() - 1;
  const std::string fits = folder_.File(std::string(name_bytes, 'x'));
  ASSERT_EQ(fits.size(), 107U);
  const auto listening = ListenUnix(fits, 8);
  ASSERT_TRUE(listening) << listening.error().message;
  EXPECT_TRUE(ConnectUnix(fits));
  const std::string too_long = fits + "x";
  EXPECT_EQ(ListenUnix(too_long, 8).error().code, ErrorCode::kInvalid);
  EXPECT_EQ(ConnectUnix(too_long).error().code, ErrorCode::kInvalid);
  EXPECT_NE(ListenUnix(too_long, 8).error().message.find("has 108 bytes and the kernel takes 107"), std::string::npos);
}

TEST_F(UnixSocketTest, AnAbstractNameIsServedByOneAndFreeOnceThatHasGone) {
  const std::string name = folder_.File(std::string(kSocketPathBytesMax - folder_.path().size() - 1, 'x'));
  EXPECT_EQ(ConnectAbstract(name).error().code, ErrorCode::kNotRunning);
  auto listening = ListenAbstract(name, 8);
  ASSERT_TRUE(listening) << listening.error().message;
  EXPECT_EQ(ListenAbstract(name, 8).error().code, ErrorCode::kAlreadyExists);
  const auto client = ConnectAbstract(name);
  ASSERT_TRUE(client) << client.error().message;
  const auto server = AcceptUnix(listening->get());
  ASSERT_TRUE(server && *server);
  for (const int fd : {listening->get(), client->get()}) EXPECT_TRUE(NonBlockingAndCloseOnExec(fd));
  EXPECT_EQ(GetPeerCredentials(client->get())->pid, ::getpid());
  EXPECT_FALSE(std::filesystem::exists(name)) << "it is no file";
  listening->Reset();
  EXPECT_TRUE(ListenAbstract(name, 8));
  EXPECT_EQ(ConnectAbstract(name + "x").error().code, ErrorCode::kInvalid);
}

TEST_F(UnixSocketTest, AMissingFolderIsNamed) {
  const auto listening = ListenUnix(folder_.File("absent/s"), 8);
  ASSERT_FALSE(listening);
  EXPECT_EQ(listening.error().code, ErrorCode::kNotFound);
  EXPECT_NE(listening.error().message.find("there is no folder " + folder_.File("absent")), std::string::npos);
}

TEST_F(UnixSocketTest, AServedAddressStaysServed) {
  const auto first = ListenUnix(path_, 8);
  ASSERT_TRUE(first);
  const auto second = ListenUnix(path_, 8);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::kAlreadyExists);
  EXPECT_TRUE(ConnectUnix(path_)) << "the first must still be there";
}

TEST_F(UnixSocketTest, ASocketLeftBehindByAKilledProcessIsReplaced) {
  auto [reading, writing] = Pipe();
  const int out = writing.get();
  Child child([this, out] {
    const auto listening = ListenUnix(path_, 8);
    if (!listening || ::write(out, "x", 1) != 1) return 1;
    for (;;) ::pause();
  });
  char ready = 0;
  ASSERT_EQ(::read(reading.get(), &ready, 1), 1);
  child.Kill();
  ASSERT_TRUE(std::filesystem::exists(path_));
  EXPECT_EQ(ConnectUnix(path_).error().code, ErrorCode::kNotRunning);
  const auto listening = ListenUnix(path_, 8);
  ASSERT_TRUE(listening) << listening.error().message;
  EXPECT_TRUE(ConnectUnix(path_));
}

TEST_F(UnixSocketTest, AFileThatIsNoSocketIsLeftAlone) {
  std::ofstream(path_) << "precious";
  const auto listening = ListenUnix(path_, 8);
  ASSERT_FALSE(listening);
  EXPECT_EQ(listening.error().code, ErrorCode::kAlreadyExists);
  EXPECT_EQ(std::filesystem::file_size(path_), 8U);
}

TEST_F(UnixSocketTest, ASocketFileGoesWithItsServer) {
  const auto listening = ListenUnix(path_, 8);
  ASSERT_TRUE(listening);
  { const SocketFile file(path_); }
  EXPECT_FALSE(std::filesystem::exists(path_));
}

TEST_F(UnixSocketTest, ASocketFileLeavesThatOfALaterServer) {
  const auto first = ListenUnix(path_, 8);
  ASSERT_TRUE(first);
  {
    const SocketFile file(path_);
    std::filesystem::remove(path_);  // somebody cleans up, and starts another daemon
    const auto second = ListenUnix(path_, 8);
    ASSERT_TRUE(second);
  }
  EXPECT_TRUE(std::filesystem::exists(path_));
}

TEST_F(UnixSocketTest, ExactlyOneOfTwoServersThatStartAtOnceServes) {
  for (int round = 0; round < 20; ++round) {
    { const auto stale = ListenUnix(path_, 8); }
    auto [reading, writing] = Pipe();
    auto [done_reading, done_writing] = Pipe();
    const int result = writing.get();
    const int done = done_reading.get();
    const int done_other = done_writing.get();
    const auto body = [&] {
      ::close(done_other);
      const auto listening = ListenUnix(path_, 8);
      const char verdict = listening ? 'y' : listening.error().code == ErrorCode::kAlreadyExists ? 'n' : '?';
      if (::write(result, &verdict, 1) != 1) return 1;
      char ignored = 0;
      return ::read(done, &ignored, 1) == 0 ? 0 : 1;  // serves until the test is over
    };
    Child one(body);
    Child two(body);
    std::string verdicts(2, ' ');
    ASSERT_EQ(::read(reading.get(), &verdicts[0], 1), 1);
    ASSERT_EQ(::read(reading.get(), &verdicts[1], 1), 1);
    EXPECT_TRUE(verdicts == "yn" || verdicts == "ny") << verdicts;
    done_writing.Reset();
    EXPECT_EQ(one.Wait(), 0);
    EXPECT_EQ(two.Wait(), 0);
  }
}

TEST_F(UnixSocketTest, MissingServerIsNotRunning) {
  const auto client = ConnectUnix(path_);
  ASSERT_FALSE(client);
  EXPECT_EQ(client.error().code, ErrorCode::kNotRunning);
}

TEST_F(UnixSocketTest, AFullBacklogIsSaidAndDoesNotBlock) {
  const auto listening = ListenUnix(path_, 1);
  std::vector<UniqueFd> waiting;
  std::optional<ErrorCode> refused;
  for (int i = 0; i < 16 && !refused; ++i) {
    auto client = ConnectUnix(path_);
    if (client) {
      waiting.push_back(*std::move(client));
    } else {
      refused = client.error().code;
    }
  }
  EXPECT_EQ(refused, ErrorCode::kFull);
}

TEST_F(UnixSocketTest, AtTheDescriptorLimitAcceptSaysFullAndGoesOnLater) {
  const auto listening = ListenUnix(path_, 8);
  const auto client = ConnectUnix(path_);
  ASSERT_TRUE(client);
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  UniqueFd probe(::dup(0));
  rlimit tight = before;
  tight.rlim_cur = static_cast<rlim_t>(probe.get());
  probe.Reset();
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &tight), 0);
  const auto refused = AcceptUnix(listening->get());
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kFull);
  EXPECT_TRUE(AcceptUnix(listening->get()).value());
}

TEST(SendReceiveTest, DescriptorsTravelWithTheirBytes) {
  auto [one, two] = SocketPair();
  const auto memory = CreateMemfd("test", 4096, false);
  const int fds[] = {memory->get(), memory->get()};
  ASSERT_EQ(SendSome(one.get(), Bytes("hello"), fds).value(), 5U);
  std::array<std::byte, 64> buffer;
  std::vector<UniqueFd> received_fds;
  const auto received = ReceiveSome(two.get(), buffer, received_fds);
  ASSERT_TRUE(received);
  EXPECT_EQ(received->bytes, 5U);
  ASSERT_EQ(received_fds.size(), 2U);
  EXPECT_EQ(FileSize(received_fds[1].get()).value(), 4096U);
  EXPECT_NE(::fcntl(received_fds[0].get(), F_GETFD) & FD_CLOEXEC, 0);
}

TEST(SendReceiveTest, MoreDescriptorsThanAgreedIsAProtocolErrorAndLeaksNone) {
  auto [one, two] = SocketPair();
  EXPECT_EQ(SendSome(one.get(), Bytes("x"), std::vector<int>(9, one.get())).error().code, ErrorCode::kInvalid);
  // A peer that sends more than agreed.
  std::byte byte{};
  iovec part{&byte, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * 9)] = {};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  cmsghdr* const header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int) * 9);
  const std::vector<int> nine(9, one.get());
  std::memcpy(CMSG_DATA(header), nine.data(), sizeof(int) * 9);
  message.msg_controllen = CMSG_SPACE(sizeof(int) * 9);
  ASSERT_EQ(::sendmsg(one.get(), &message, 0), 1);
  std::array<std::byte, 64> buffer;
  std::vector<UniqueFd> received_fds;
  const auto received = ReceiveSome(two.get(), buffer, received_fds);
  ASSERT_FALSE(received);
  EXPECT_EQ(received.error().code, ErrorCode::kProtocolError);
  EXPECT_EQ(received_fds.size(), 8U) << "owned, so that they are closed";
}

TEST(SendReceiveTest, EmptyFullAndClosedAreToldApart) {
  auto [one, two] = SocketPair();
  std::array<std::byte, 64> buffer;
  std::vector<UniqueFd> fds;
  EXPECT_TRUE(ReceiveSome(two.get(), buffer, fds)->would_block);
  EXPECT_FALSE(WaitReadable(two.get(), Deadline::AfterMs(1)).value());
  const std::vector<std::byte> much(1 << 16);
  while (SendSome(one.get(), much, {}).value() > 0) {}
  EXPECT_FALSE(WaitWritable(one.get(), Deadline::AfterMs(1)).value());
  EXPECT_FALSE(PeerClosed(one.get()));
  EXPECT_FALSE(PeerClosed(two.get()));
  one.Reset();
  EXPECT_TRUE(PeerClosed(two.get())) << "though there are bytes to read";
  EXPECT_EQ(SendSome(two.get(), Bytes("x"), {}).error().code, ErrorCode::kDisconnected);
  for (;;) {
    const auto received = ReceiveSome(two.get(), buffer, fds);
    ASSERT_TRUE(received);
    ASSERT_FALSE(received->would_block);
    if (received->bytes == 0) break;
  }
}

TEST(SendReceiveTest, AReaderSeesTheEndThoughItsOwnBytesWereNeverRead) {
  auto [one, two] = SocketPair();
  ASSERT_EQ(SendSome(two.get(), Bytes("unread"), {}).value(), 6U);
  ASSERT_EQ(SendSome(one.get(), Bytes("bye"), {}).value(), 3U);
  one.Reset();  // the kernel tells `two` of a reset, since "unread" was lost
  std::array<std::byte, 64> buffer;
  std::vector<UniqueFd> fds;
  EXPECT_EQ(ReceiveSome(two.get(), buffer, fds)->bytes, 3U);
  const auto end = ReceiveSome(two.get(), buffer, fds);
  ASSERT_TRUE(end) << end.error().message;
  EXPECT_TRUE(end->bytes == 0 && !end->would_block);
}

}  // namespace
}  // namespace raylet
