// Four raylets behind wires that are cut, frozen and refused at random. The raylets die and start again. Each message
// is handed out once and in order within its session, and in the end all raylets have met again. The faults come from a
// seed; the threads and the kernel add their own.
#include <map>

#include "base/log.h"
#include "tests/raylet/peers/peer_side.h"

namespace raylet::test {
namespace {

constexpr uint8_t kSides = 4;

class PeerLinksChaos : public PeerLinksTest {
 protected:
  void Start(uint8_t node) {
    auto options = OptionsOf(node);
    options.own.epoch = ++epochs_;
    options.own.machine = MachineNumber{static_cast<uint32_t>(epochs_)};
    PeerSide& side = MakeBehind(*proxies_.at(node), options);
    current_[node] = &side;
    // Half of the pairs are known to one of the two only.
    for (uint8_t other = 1; other <= kSides; ++other) {
      if (other > node && (other + node) % 2 != 0) continue;
      EXPECT_TRUE(side.links->Seek(proxies_.at(other)->address()));
    }
  }
  void Talk() {
    for (const auto& [node, side] : current_) {
      for (uint8_t other = 1; other <= kSides; ++other) {
        const PeerStatus status = side->StatusOf(other);
        if (other == node || status.state == NodeState::kDead) continue;
        side->Send(other, status.counters.messages_sent + status.unacked_messages, random_() % 200);
      }
    }
  }
  void Fault() {
    const auto node = static_cast<uint8_t>(1 + random_() % kSides);
    TcpProxy& proxy = *proxies_.at(node);
    switch (random_() % 8) {
      case 0:
      case 1: return proxy.Cut();
      case 2: return proxy.CutAfter(random_() % 3000);
      case 3: return proxy.Freeze(random_() % 2 == 0, random_() % 2 == 0);
      case 4: return proxy.Refuse(random_() % 2 == 0);
      case 5: return clock_.Advance(milliseconds(random_() % 2000));
      case 6:
        if (random_() % 4 != 0) return;
        current_.at(node)->links.reset();  // killed
        return Start(node);
      default: return Heal(proxy);
    }
  }
  static void Heal(TcpProxy& proxy) {
    proxy.CutAfter(0);
    proxy.Freeze(false, false);
    proxy.Refuse(false);
  }
  bool AllConnected() const {
    for (const auto& [node, side] : current_)
      for (uint8_t other = 1; other <= kSides; ++other)
        if (other != node && !side->Connected(other)) return false;
    return true;
  }

  std::mt19937_64 random_;
  uint64_t epochs_ = 0;
  std::map<uint8_t, std::unique_ptr<TcpProxy>> proxies_;
  std::map<uint8_t, PeerSide*> current_;
};

TEST_F(PeerLinksChaos, RayletsMeetAgainAfterAnyFaultAndNoMessageComesTwice) {
  SetLogLevel(LogLevel::kError);
  for (const uint64_t seed : {1, 2, 3}) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    random_.seed(seed);
    sides_.clear();
    proxies_.clear();
    current_.clear();
    for (uint8_t node = 1; node <= kSides; ++node) proxies_[node] = std::make_unique<TcpProxy>();
    for (uint8_t node = 1; node <= kSides; ++node) Start(node);
    int faults = 0;
    {
      const Timer trouble(loop_, milliseconds(2), milliseconds(2), [&] {
        Talk();
        Fault();
        ++faults;
      });
      ASSERT_TRUE(RunOnUntil([&] { return faults >= 200; }));
    }
    for (const auto& [node, proxy] : proxies_) Heal(*proxy);
    ASSERT_TRUE(RunOnUntil([&] { return AllConnected(); }));
    // In the sessions that there are now everything arrives.
    ASSERT_TRUE(RunOnUntil([&] {
      for (const auto& [node, side] : current_)
        for (const PeerStatus& status : side->links->Status())
          if (status.state != NodeState::kDead && status.unacked_messages > 0) return false;
      return true;
    }));
    for (const auto& [node, side] : current_) {
      for (uint8_t other = 1; other <= kSides; ++other) {
        if (other == node) continue;
        EXPECT_EQ(side->StatusOf(other).counters.messages_sent,
                  current_.at(other)->StatusOf(node).counters.messages_received)
            << int{node} << " to " << int{other};
      }
    }
    for (const auto& side : sides_) EXPECT_TRUE(side->in_order) << "a message came twice, or before another";
  }
  SetLogLevel(LogLevel::kWarning);
}

}  // namespace
}  // namespace raylet::test
