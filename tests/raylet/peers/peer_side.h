// PeerSide: the links of one raylet. PeerLinksTest: several of them on real sockets in one process and one thread. The
// test turns their clock, so that three seconds of silence take no time. Only the wires between them (TcpProxy) have
// threads of their own. Owned by a test.
#pragma once

#include <gtest/gtest.h>
#include <uv.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "base/unix_socket.h"
#include "raylet/peers/links.h"
#include "tests/harness/manual_clock.h"
#include "tests/harness/node_number.h"
#include "tests/harness/tcp_proxy.h"

namespace raylet::test {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr uint16_t kPeerType = 40;

// The links of one raylet, and the events that they reported.
class PeerSide final : public PeerLinks::Handler {
 public:
  PeerSide(Loop& loop, const Clock& clock, PeerLinksOptions options)
      : view(options.own.node), random_(options.own.node.data()[0]) {
    links.emplace(loop, clock, std::move(options), view, *this, [this] { return random_(); });
  }

  void OnPeerUp(const NodeId& node) override {
    last_number_[node] = 0;
    events.push_back("up " + std::to_string(node.data()[0]));
  }
  Result<void> OnPeerMessage(const NodeId& node, const Frame& frame) override {
    if (frame.body.empty()) return Fail(ErrorCode::kProtocolError, "an empty message makes no sense");
    uint64_t number = 0;
    std::memcpy(&number, frame.body.data(), sizeof number);
    taken.push_back(number);
    in_order = in_order && frame.header.request_id == ++last_number_[node];
    return {};
  }
  void OnPeerRoom(const NodeId&) override { ++rooms; }
  void OnPeerChanged(const NodeId& node) override {
    if (view.Find(node)->state == NodeState::kSilent)
      events.push_back("silent " + std::to_string(node.data()[0]));
    else
      ++heard;
  }
  void OnPeerVouched(const NodeId&, TimePoint until) override { vouched_until = until; }
  void OnPeerDead(const NodeId& node, const Error& why, TimePoint until) override {
    serves_until = until;
    events.push_back("dead " + std::to_string(node.data()[0]));
    why_dead = why.message;
  }
  NodeLoad OwnLoad() override {
    NodeLoad load;
    load.lines.push_back({kCpu, 4 * kUnitsPerWhole, 3 * kUnitsPerWhole});
    return load;
  }
  void OnBulk(const NodeId&, UniqueFd fd) override { bulk.push_back(std::move(fd)); }

  bool Has(const std::string& event) const { return std::find(events.begin(), events.end(), event) != events.end(); }
  bool Connected(uint8_t node) const {
    for (const PeerStatus& status : links->Status())
      if (status.node == NodeNumber(node)) return status.connected && status.state == NodeState::kUp;
    return false;
  }
  PeerStatus StatusOf(uint8_t node) const {
    for (const PeerStatus& status : links->Status())
      if (status.node == NodeNumber(node)) return status;
    return {};
  }
  bool Send(uint8_t node, uint64_t number, size_t padding = 0) {
    Bytes body(sizeof number + padding);
    std::memcpy(body.data(), &number, sizeof number);
    return links->Send(NodeNumber(node), kPeerType, body).has_value();
  }

  ClusterView view;
  std::vector<std::string> events;
  std::string why_dead;
  TimePoint vouched_until, serves_until;
  std::vector<uint64_t> taken;
  bool in_order = true;  // the messages of every session are 1, 2, 3 …
  int rooms = 0, heard = 0;
  std::vector<UniqueFd> bulk;
  std::optional<PeerLinks> links;

 private:
  std::mt19937_64 random_;
  std::map<NodeId, uint64_t> last_number_;
};

class PeerLinksTest : public ::testing::Test {
 protected:
  PeerLinksTest() : watchdog_(loop_, milliseconds(20'000), milliseconds(0), [this] { timed_out_ = true; }) {}

  PeerLinksOptions OptionsOf(uint8_t node, const std::string& token = "a token of the cluster") {
    PeerLinksOptions options;
    options.own.node = NodeNumber(node);
    options.own.epoch = 1000u + node;
    options.own.machine = MachineNumber{2000u + node};
    options.token = *PeerToken::FromBytes(token);
    options.limits.heartbeat_every = milliseconds(25);  // of the manual clock; also the period of the real timer
    return options;
  }
  PeerSide& Make(PeerLinksOptions options, const std::string& address = "127.0.0.1:0") {
    PeerSide& side = *sides_.emplace_back(std::make_unique<PeerSide>(loop_, clock_, std::move(options)));
    const auto listening = side.links->Listen(*ParseTcpAddress(address));
    EXPECT_TRUE(listening) << listening.error().message;
    return side;
  }
  PeerSide& Make(uint8_t node) { return Make(OptionsOf(node)); }
  // Makes a raylet that others reach through `proxy`.
  PeerSide& MakeBehind(TcpProxy& proxy, PeerLinksOptions options) {
    options.advertised = proxy.address().text();
    PeerSide& side = Make(std::move(options));
    proxy.SetTarget(side.links->listening());
    return side;
  }
  static void Seek(PeerSide& from, const PeerSide& to) {
    ASSERT_TRUE(from.links->Seek(*ParseTcpAddress(to.links->own().address)));
  }
  template <class Condition>
  testing::AssertionResult RunUntil(Condition condition) {
    while (!condition() && !timed_out_) uv_run(loop_.raw(), UV_RUN_ONCE);
    return timed_out_ ? testing::AssertionFailure() << "20 s are over" : testing::AssertionSuccess();
  }
  // As RunUntil, and the clock goes on meanwhile: redialing takes its pauses.
  template <class Condition>
  testing::AssertionResult RunOnUntil(Condition condition) {
    const Timer steps(loop_, milliseconds(1), milliseconds(1), [this] { clock_.Advance(milliseconds(10)); });
    return RunUntil(condition);
  }
  static std::vector<uint64_t> Range(uint64_t first, uint64_t last) {
    std::vector<uint64_t> numbers;
    for (; first <= last; ++first) numbers.push_back(first);
    return numbers;
  }
  UniqueFd Stranger(const PeerSide& side) {
    auto fd = ConnectTcp(side.links->listening());
    EXPECT_TRUE(fd);
    EXPECT_TRUE(*WaitWritable(fd->get(), Deadline::AfterMs(30'000)));
    return std::move(*fd);
  }
  static void Say(const UniqueFd& fd, const std::string& text) {
    (void)SendSome(fd.get(), {reinterpret_cast<const std::byte*>(text.data()), text.size()}, {});
  }
  testing::AssertionResult Meet(PeerSide& a, PeerSide& b) {
    const uint8_t an = a.links->own().node.data()[0], bn = b.links->own().node.data()[0];
    return RunOnUntil([&] { return a.Connected(bn) && b.Connected(an); });
  }

  Loop loop_;
  ManualClock clock_;
  bool timed_out_ = false;
  Timer watchdog_;
  std::vector<std::unique_ptr<PeerSide>> sides_;
};

}  // namespace raylet::test
