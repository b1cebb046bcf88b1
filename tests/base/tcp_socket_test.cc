#include "base/tcp_socket.h"

#include "base/unix_socket.h"
#include "testing.h"

namespace raylet {
namespace {

TEST(TcpAddress, TellsHostAndPortAndWhetherItLeavesTheMachine) {
  const auto v4 = ParseTcpAddress("10.0.0.1:7000");
  ASSERT_TRUE(v4) << v4.error().message;
  EXPECT_EQ(v4->text(), "10.0.0.1:7000");
  EXPECT_EQ(v4->host(), "10.0.0.1");
  EXPECT_EQ(v4->port(), 7000);
  EXPECT_FALSE(v4->loopback());
  const auto v6 = ParseTcpAddress("[::1]:80");
  ASSERT_TRUE(v6) << v6.error().message;
  EXPECT_EQ(v6->text(), "[::1]:80");
  EXPECT_TRUE(v6->loopback());
  EXPECT_TRUE(ParseTcpAddress("127.1.2.3:1")->loopback());
  EXPECT_TRUE(ParseTcpAddress("0.0.0.0:1")->wildcard());
  EXPECT_TRUE(MakeTcpAddress("::", 1)->wildcard());
}

TEST(TcpAddress, BadAddressIsRefusedWithAnExample) {
  for (const char* text : {"", ":", "10.0.0.1", "10.0.0.1:", ":7000", "10.0.0.1:70000", "10.0.0.1:7x", "fe80::1:7000",
                           "10.0.0.1:-1", "10.0.0.1: 7"}) {
    const auto address = ParseTcpAddress(text);
    ASSERT_FALSE(address) << text;
    EXPECT_EQ(address.error().code, ErrorCode::kInvalid);
    EXPECT_NE(address.error().message.find("10.0.0.1:7000"), std::string::npos) << address.error().message;
  }
  EXPECT_FALSE(ParseTcpAddress("localhost:7000")) << "a name";
  EXPECT_EQ(ResolveTcpAddress("127.0.0.1:7000")->text(), "127.0.0.1:7000");
  EXPECT_EQ(ResolveTcpHost("127.0.0.1", 7000)->text(), "127.0.0.1:7000");
  EXPECT_TRUE(ResolveTcpHost("localhost", 0)->loopback());
}

TEST(TcpSocket, ConnectsToWhoListensAndCarriesBytes) {
  const auto listener = ListenTcp(*ParseTcpAddress("127.0.0.1:0"), 8);
  ASSERT_TRUE(listener) << listener.error().message;
  const auto address = LocalAddressOf(listener->get());
  EXPECT_FALSE(AcceptTcp(listener->get())->get() >= 0) << "nobody has come yet";
  const auto dialed = ConnectTcp(*address);
  ASSERT_TRUE(dialed);
  ASSERT_TRUE(*WaitWritable(dialed->get(), Deadline::AfterMs(30'000)));
  EXPECT_TRUE(ConnectOutcome(dialed->get(), *address));
  ASSERT_TRUE(*WaitReadable(listener->get(), Deadline::AfterMs(30'000)));
  const auto accepted = AcceptTcp(listener->get());
  ASSERT_TRUE(accepted && *accepted);
  EXPECT_EQ(RemoteAddressOf(accepted->get())->text(), LocalAddressOf(dialed->get())->text());
  EXPECT_EQ(*SendSome(dialed->get(), Bytes("hello"), {}), 5U);
  ASSERT_TRUE(*WaitReadable(accepted->get(), Deadline::AfterMs(30'000)));
  std::byte buffer[16];
  std::vector<UniqueFd> no_fds;
  EXPECT_EQ(ReceiveSome(accepted->get(), buffer, no_fds)->bytes, 5U);
}

TEST(TcpSocket, ARefusedConnectionIsToldFromOtherFailures) {
  auto listener = ListenTcp(*ParseTcpAddress("127.0.0.1:0"), 8);
  const auto address = LocalAddressOf(listener->get());
  const auto again = ListenTcp(*address, 8);
  EXPECT_EQ(again.error().code, ErrorCode::kAlreadyExists);
  listener->Reset();
  const auto dialed = ConnectTcp(*address);
  if (dialed) {
    ASSERT_TRUE(*WaitWritable(dialed->get(), Deadline::AfterMs(30'000)));
    EXPECT_EQ(ConnectOutcome(dialed->get(), *address).error().code, ErrorCode::kNotRunning);
  } else {
    EXPECT_EQ(dialed.error().code, ErrorCode::kNotRunning);
  }
  const auto elsewhere = ListenTcp(*ParseTcpAddress("192.0.2.1:0"), 8);
  ASSERT_FALSE(elsewhere);
  EXPECT_NE(elsewhere.error().message.find("no such address"), std::string::npos) << elsewhere.error().message;
}

}  // namespace
}  // namespace raylet
