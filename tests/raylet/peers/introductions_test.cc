// Which peer hears of which raylet, and which addresses follow.
#include "raylet/peers/introductions.h"

#include <gtest/gtest.h>

#include <map>

#include "base/strings.h"
#include "tests/harness/node_number.h"

namespace raylet::test {
namespace {

PeerIdentity Identity(int number, uint64_t epoch = 1) {
  return {NodeNumber(number), epoch, MachineNumber{static_cast<uint32_t>(number)}, StrCat("10.0.0.", number, ":7000")};
}
wire::PeerIntroductionT Introducing(const std::vector<int>& nodes, bool all = false) {
  wire::PeerIntroductionT message;
  message.all = all;
  for (const int node : nodes) {
    auto introduced = std::make_unique<wire::PeerIntroducedT>();
    introduced->node = std::make_unique<wire::Id20>(ToWire(NodeNumber(node)));
    introduced->epoch = 1;
    introduced->address = Identity(node).address;
    message.introduced.push_back(std::move(introduced));
  }
  return message;
}
wire::PeerIntroductionT TakingBack(const std::vector<int>& nodes) {
  wire::PeerIntroductionT message;
  for (const int node : nodes) message.gone.push_back(ToWire(NodeNumber(node)));
  return message;
}

class PeerIntroductionsTest : public ::testing::Test {
 protected:
  // "all +2 +3 -4", or "" for nothing.
  std::string Told(int to) {
    const auto message = own_.TakeFor(NodeNumber(to));
    if (!message) return "";
    std::string text = message->all ? "all" : "";
    for (const auto& each : message->introduced) {
      text += StrCat(" +", int{each->node->bytes()->Get(0)});
      EXPECT_EQ(each->address, Identity(each->node->bytes()->Get(0)).address);
    }
    for (const auto& each : message->gone) text += StrCat(" -", int{each.bytes()->Get(0)});
    return text;
  }
  std::string News() {
    std::string text;
    for (const auto& news : own_.TakeNews()) text += StrCat(news.introduced ? " +" : " -", news.place.address);
    return text;
  }

  PeerIntroductions own_{NodeNumber(1)};
};

TEST_F(PeerIntroductionsTest, EachPeerHearsOnceOfAllOthersAndNotOfItself) {
  own_.Connected(Identity(2));
  EXPECT_EQ(Told(2), "") << "there is nobody else";
  own_.Connected(Identity(3));
  own_.Connected(Identity(4));
  EXPECT_EQ(Told(2), "all +3 +4");
  EXPECT_EQ(Told(3), "all +2 +4");
  EXPECT_EQ(Told(2), "");
  EXPECT_EQ(Told(9), "") << "it is no peer";
  own_.Connected(Identity(5));
  EXPECT_EQ(Told(2), " +5");
  EXPECT_EQ(Told(2), "");
}

TEST_F(PeerIntroductionsTest, ANewConnectionHearsEverythingAgainAlsoAnEmptyList) {
  own_.Connected(Identity(2));
  own_.Connected(Identity(3));
  EXPECT_EQ(Told(2), "all +3");
  own_.Connected(Identity(2));
  EXPECT_EQ(Told(2), "all +3");
  own_.Dead(NodeNumber(3));
  own_.Connected(Identity(2));
  EXPECT_EQ(Told(2), "all");
  EXPECT_EQ(Told(2), "");
}

TEST_F(PeerIntroductionsTest, WithdrawsADeadRayletAndIntroducesItsNextLife) {
  own_.Connected(Identity(2));
  own_.Connected(Identity(3));
  EXPECT_EQ(Told(2), "all +3");
  own_.Dead(NodeNumber(3));
  EXPECT_EQ(Told(2), " -3");
  EXPECT_EQ(Told(2), "");
  own_.Connected(Identity(3));
  EXPECT_EQ(Told(2), " +3");
  own_.Dead(NodeNumber(3));
  own_.Connected(Identity(3, 2));
  EXPECT_EQ(Told(2), " +3");
  own_.Connected(Identity(4));
  own_.Dead(NodeNumber(4));
  EXPECT_EQ(Told(2), "") << "it never heard of it";
}

TEST_F(PeerIntroductionsTest, NeverIntroducesARayletToThePeerThatIntroducedIt) {
  own_.Connected(Identity(2));
  ASSERT_TRUE(own_.Hear(NodeNumber(2), Introducing({3}, true)));
  EXPECT_EQ(News(), " +10.0.0.3:7000");
  own_.Connected(Identity(3));
  EXPECT_EQ(Told(2), "");
  ASSERT_TRUE(own_.Hear(NodeNumber(2), TakingBack({3})));
  EXPECT_EQ(Told(2), "all +3");
}

TEST_F(PeerIntroductionsTest, AnAddressComesWithTheFirstPeerThatNamesItAndGoesWithTheLast) {
  for (const int node : {2, 3}) own_.Connected(Identity(node));
  ASSERT_TRUE(own_.Hear(NodeNumber(2), Introducing({4})));
  ASSERT_TRUE(own_.Hear(NodeNumber(3), Introducing({4})));
  ASSERT_TRUE(own_.Hear(NodeNumber(3), Introducing({4})));
  EXPECT_EQ(News(), " +10.0.0.4:7000");
  ASSERT_TRUE(own_.Hear(NodeNumber(2), TakingBack({4, 5})));
  EXPECT_EQ(News(), "");
  own_.Dead(NodeNumber(3));
  EXPECT_EQ(News(), " -10.0.0.4:7000");
  ASSERT_TRUE(own_.Hear(NodeNumber(2), Introducing({4, 5})));
  EXPECT_EQ(News(), " +10.0.0.4:7000 +10.0.0.5:7000");
  ASSERT_TRUE(own_.Hear(NodeNumber(2), Introducing({5}, true)));
  EXPECT_EQ(News(), " -10.0.0.4:7000 -10.0.0.5:7000 +10.0.0.5:7000");
}

TEST_F(PeerIntroductionsTest, IgnoresIntroductionsOfItselfOfTheSpeakerAndByStrangers) {
  own_.Connected(Identity(2));
  ASSERT_TRUE(own_.Hear(NodeNumber(2), Introducing({1, 2})));
  ASSERT_TRUE(own_.Hear(NodeNumber(9), Introducing({3})));
  auto long_one = Introducing({4});
  long_one.introduced[0]->address.assign(kAddressBytesMax + 1, 'x');
  ASSERT_TRUE(own_.Hear(NodeNumber(2), long_one));
  EXPECT_EQ(News(), "");
  EXPECT_EQ(own_.Hear(NodeNumber(2), Introducing({0})).error().code, ErrorCode::kProtocolError);
}

TEST_F(PeerIntroductionsTest, MessagesAndMemoryAreBounded) {
  own_.Connected(Identity(2));
  std::vector<int> many;
  for (int node = 3; node < 3 + static_cast<int>(kIntroducedPerMessageMax) + 1; ++node) many.push_back(node);
  EXPECT_EQ(own_.Hear(NodeNumber(2), Introducing(many)).error().code, ErrorCode::kProtocolError);
  EXPECT_EQ(own_.Hear(NodeNumber(2), TakingBack(many)).error().code, ErrorCode::kProtocolError);
  size_t heard = 0;
  for (int first = 1000; first < 3000; first += 50) {
    many.clear();
    for (int node = first; node < first + 50; ++node) many.push_back(node);
    ASSERT_TRUE(own_.Hear(NodeNumber(2), Introducing(many)));
    heard += own_.TakeNews().size();
  }
  EXPECT_EQ(heard, kIntroducedByPeerMax);

  for (int node = 3; node < 203; ++node) own_.Connected(Identity(node));
  size_t told = 0;
  for (int messages = 0; messages < 4; ++messages) {
    const auto message = own_.TakeFor(NodeNumber(3));
    ASSERT_TRUE(message);
    EXPECT_EQ(message->all, messages == 0);
    EXPECT_LE(message->introduced.size(), kIntroducedPerMessageMax);
    told += message->introduced.size();
  }
  EXPECT_EQ(told, 200u);
  EXPECT_FALSE(own_.TakeFor(NodeNumber(3)));
  for (int node = 4; node < 203; ++node) own_.Dead(NodeNumber(node));
  size_t gone = 0;
  while (const auto message = own_.TakeFor(NodeNumber(3))) {
    EXPECT_LE(message->gone.size(), kIntroducedPerMessageMax);
    gone += message->gone.size();
  }
  EXPECT_EQ(gone, 199u);
}

}  // namespace
}  // namespace raylet::test
