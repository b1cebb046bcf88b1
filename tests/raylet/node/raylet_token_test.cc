// A real raylet without a --token-file believes raylets that have its user's token, and nobody else
// on this machine.
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sys/stat.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/tcp_socket.h"
#include "base/unix_socket.h"
#include "raylet/peers/handshake.h"
#include "tests/harness/tcp_proxy.h"
#include "tests/raylet/node/node.h"

namespace raylet::test {
namespace {

using nlohmann::json;

// A raylet and its store, of a user whose home is `home`.
class HomeRaylet {
 public:
  HomeRaylet(const std::string& home, std::vector<std::string> flags) {
    ProcessOptions options;
    options.environment = {{"HOME", home}, {"XDG_CONFIG_HOME", ""}};
    auto store = DaemonProcess::Start("plasma_store", {"-m", "16M", "-s", folder_.File("store")}, options);
    if (!store) throw std::runtime_error(store.error().message);
    store_.emplace(std::move(*store));
    flags.insert(flags.end(), {"--socket", socket(), "--store-socket", folder_.File("store"), "--num-cpus", "1"});
    auto daemon = DaemonProcess::StartPlain("raylet", std::move(flags), options);
    if (!daemon) throw std::runtime_error(daemon.error().message);
    daemon_.emplace(std::move(*daemon));
  }
  std::string socket() const { return folder_.File("raylet"); }
  DaemonProcess& daemon() { return *daemon_; }
  // The address at which other raylets reach it, once it serves.
  std::string Address() {
    const std::string mark = "other raylets at ";
    EXPECT_TRUE(Says(mark)) << daemon_->Output();
    const std::string output = daemon_->Output();
    const size_t at = output.find(mark) + mark.size();
    return output.substr(at, output.find('\n', at) - at);
  }
  bool Says(const std::string& words) {
    return test::Eventually(kPatience, [&] { return daemon_->Output().find(words) != std::string::npos; });
  }
  json Status() const {
    auto driver = WireProcess::Register(socket(), Driver());
    return driver ? json::parse(driver->StatusJson()) : json::object();
  }
  size_t PeersUp() const {
    size_t up = 0;
    const json status = Status();
    for (const json& each : status["peers"]) up += each["state"] == "up" ? 1 : 0;
    return up;
  }

 private:
  static WireOptions Driver() {
    WireOptions options;
    options.executable = FakeWorkerPath();
    options.arguments = {"fake"};
    return options;
  }
  RunFolder folder_;
  std::optional<DaemonProcess> store_, daemon_;
};

class RayletToken : public ::testing::Test {
 protected:
  std::string TokenPath() const { return home_.File(".config/raylet/token"); }

  RunFolder home_;
};

// A connection to a raylet's port that sends any bytes.
class Stranger {
 public:
  explicit Stranger(const std::string& address) {
    auto fd = ConnectTcp(*ParseTcpAddress(address));
    if (!fd || !*WaitWritable(fd->get(), Deadline::After(kPatience))) throw std::runtime_error("no connection");
    fd_ = std::move(*fd);
  }
  void Say(std::span<const std::byte> bytes) {
    std::vector<int> none;
    (void)SendSome(fd_.get(), bytes, none);
  }
  // The next frame, or nothing when the raylet has closed.
  std::optional<std::pair<wire::PeerMessage, Bytes>> Hear() {
    FrameHeader header;
    if (!ReadAll(reinterpret_cast<std::byte*>(&header), sizeof header)) return std::nullopt;
    Bytes body(header.body_bytes);
    if (!ReadAll(body.data(), body.size())) return std::nullopt;
    return std::pair(static_cast<wire::PeerMessage>(header.type), std::move(body));
  }
  // Carries a handshake on to its end, and keeps the bytes that it sent.
  Bytes Converse(PeerHandshake& handshake) {
    Bytes said;
    for (;;) {
      const Bytes out = handshake.TakeOutput();
      said.insert(said.end(), out.begin(), out.end());
      Say(out);
      if (handshake.Wanted() == 0) return said;
      Bytes in(handshake.Wanted());
      if (!ReadAll(in.data(), in.size())) return said;
      handshake.Feed(in);
    }
  }

 private:
  bool ReadAll(std::byte* to, size_t bytes) {
    std::vector<UniqueFd> none;
    while (bytes > 0) {
      if (!*WaitReadable(fd_.get(), Deadline::After(kPatience))) return false;
      const auto got = ReceiveSome(fd_.get(), {to, bytes}, none);
      if (!got || got->bytes == 0) return false;
      to += got->bytes;
      bytes -= got->bytes;
    }
    return true;
  }
  UniqueFd fd_;
};

PeerHandshake DialerWith(PeerToken token, uint8_t nonce) {
  PeerHandshake::Options options;
  options.own.node.mutable_data()[0] = 1;
  options.own.epoch = 1;
  options.own.machine = MachineNumber{1};
  options.own.address = "127.0.0.1:9";
  options.token = std::move(token);
  PeerHandshake::Nonce bytes;
  bytes.fill(nonce);
  return PeerHandshake(std::move(options), bytes, SteadyClock().Now());
}

// The proof of a dialer that has no token.
Bytes ProofUnderAnEmptyKey(const Bytes& own_hello, const Bytes& peer_hello) {
  std::string text = "raylet peer proof 1D";
  for (const Bytes* each : {&own_hello, &peer_hello}) {
    const auto size = static_cast<uint32_t>(each->size());
    text.append(reinterpret_cast<const char*>(&size), sizeof size);
    text.append(reinterpret_cast<const char*>(each->data()), each->size());
  }
  wire::PeerProofT proof;
  proof.mac.resize(kMacBytes);
  ::HMAC(EVP_sha256(), "", 0, reinterpret_cast<const uint8_t*>(text.data()), text.size(), proof.mac.data(), nullptr);
  Bytes frame;
  AppendFrame(frame, static_cast<uint16_t>(wire::PeerMessage::Proof), 0, Encode(proof));
  return frame;
}

TEST_F(RayletToken, StrangerOnLoopbackProvesNothingAndRunsNothing) {
  HomeRaylet raylet(home_.path(), {"--port", "0"});
  const std::string address = raylet.Address();
  // A dialer with the token is believed, so the others fail only because they lack it.
  const auto token = ReadTokenFile(TokenPath());
  ASSERT_TRUE(token) << token.error().message;
  Bytes recorded;
  {
    Stranger friendly(address);
    PeerHandshake handshake = DialerWith(*token, 1);
    recorded = friendly.Converse(handshake);
    ASSERT_EQ(handshake.state(), PeerHandshake::State::kProven) << handshake.failure().message;
  }
  // A raylet of the cluster would take these bytes for messages of the session.
  Bytes behind;
  for (uint16_t type = 1; type < 100; ++type) AppendFrame(behind, type, 1, Bytes(64));

  Stranger with_another(address);
  PeerHandshake another = DialerWith(PeerToken(), 2);
  with_another.Converse(another);
  EXPECT_EQ(another.state(), PeerHandshake::State::kFailed);
  EXPECT_FALSE(another.proven());
  EXPECT_NE(another.failure().message.find("different tokens"), std::string::npos) << another.failure().message;
  with_another.Say(behind);
  EXPECT_FALSE(with_another.Hear());

  Stranger with_none(address);
  PeerHandshake none = DialerWith(PeerToken(), 3);
  const Bytes hello = none.TakeOutput();
  with_none.Say(hello);
  const auto answer = with_none.Hear();
  ASSERT_TRUE(answer && answer->first == wire::PeerMessage::Hello);
  with_none.Say(ProofUnderAnEmptyKey(Bytes(hello.begin() + sizeof(FrameHeader), hello.end()), answer->second));
  with_none.Say(behind);
  const auto verdict = with_none.Hear();
  ASSERT_TRUE(verdict);
  EXPECT_EQ(verdict->first, wire::PeerMessage::Refused);
  EXPECT_FALSE(with_none.Hear());

  Stranger with_a_recording(address);
  with_a_recording.Say(recorded);
  with_a_recording.Say(behind);
  const auto greeting = with_a_recording.Hear();
  ASSERT_TRUE(greeting && greeting->first == wire::PeerMessage::Hello);
  const auto refusal = with_a_recording.Hear();
  ASSERT_TRUE(refusal);
  EXPECT_EQ(refusal->first, wire::PeerMessage::Refused);
  EXPECT_FALSE(with_a_recording.Hear());

  EXPECT_TRUE(raylet.Says("the token of " + address + " is that in " + TokenPath())) << raylet.daemon().Output();
  EXPECT_TRUE(raylet.Status()["peers"].empty()) << raylet.Status()["peers"].dump();
  EXPECT_TRUE(raylet.Status()["workers"].empty()) << raylet.Status()["workers"].dump();
}

TEST_F(RayletToken, StrangerThatPassesTheHandshakeOnGetsNoProof) {
  HomeRaylet a(home_.path(), {"--port", "0"});
  TcpProxy stranger;
  stranger.SetTarget(*ParseTcpAddress(a.Address()));
  const std::string dialed = stranger.address().text();
  HomeRaylet b(home_.path(), {"--peers", dialed});
  EXPECT_TRUE(b.Says("the listener at " + dialed + " says that its address is " + a.Address())) << b.daemon().Output();
  EXPECT_TRUE(a.Status()["peers"].empty());
  EXPECT_TRUE(b.Status()["peers"].empty());
}

TEST_F(RayletToken, RayletsThatStartTogetherInAnEmptyHomeAgreeOnOneToken) {
  HomeRaylet a(home_.path(), {"--port", "0"});
  HomeRaylet b(home_.path(), {"--port", "0"});
  HomeRaylet c(home_.path(), {"--peers", a.Address() + "," + b.Address()});
  c.Address();
  EXPECT_TRUE(test::Eventually(kPatience, [&] { return c.PeersUp() == 2; })) << c.daemon().Output();
  struct stat status {};
  ASSERT_EQ(::stat(TokenPath().c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0600u);
}

TEST_F(RayletToken, UnsafeTokenFileIsRefusedByNameWithTheRemedy) {
  const auto refuses = [&](int exit_code, const std::string& words) {
    HomeRaylet raylet(home_.path(), {"--port", "0"});
    const auto end = raylet.daemon().Wait(Deadline::After(kPatience));
    ASSERT_TRUE(end) << raylet.daemon().Output();
    const std::string output = raylet.daemon().Output();
    EXPECT_EQ(end->exit_code, exit_code) << output;
    EXPECT_NE(output.find(TokenPath()), std::string::npos) << output;
    EXPECT_NE(output.find(words), std::string::npos) << output;
  };
  std::filesystem::create_directories(home_.File(".config/raylet"));
  ::chmod(home_.File(".config/raylet").c_str(), 0700);
  const auto write = [&](const std::string& text, mode_t mode) {
    std::ofstream(TokenPath()) << text;
    ::chmod(TokenPath().c_str(), mode);
  };
  write("a token of the cluster\n", 0644);
  refuses(4, "run chmod 600 " + TokenPath());
  write("", 0600);
  refuses(2, "has 0 bytes");
  write("too short\n", 0600);
  refuses(2, "head -c 32 /dev/urandom");
  std::filesystem::rename(TokenPath(), home_.File("elsewhere"));
  std::filesystem::create_symlink(home_.File("elsewhere"), TokenPath());
  refuses(4, "symbolic link");
}

}  // namespace
}  // namespace raylet::test
