#include "raylet/actors/remote_actors.h"

#include <gtest/gtest.h>

#include "raylet/actors/actor_directory.h"

namespace raylet {
namespace {

constexpr ProcessId kAsker = 11, kOther = 12;
const NodeId kHome = NodeId::FromRandom();
const ActorId kActor = ActorId::FromRandom();

TEST(RemoteActors, AnAnswerIsForItsAskerAndCountsOnce) {
  RemoteActors actors;
  ASSERT_TRUE(actors.Open(kHome, kActor, kAsker, 1).has_value());
  EXPECT_FALSE(actors.Answered(kActor, kOther, 1));
  EXPECT_FALSE(actors.Answered(ActorId::FromRandom(), kAsker, 1));
  EXPECT_TRUE(actors.Answered(kActor, kAsker, 1));
  EXPECT_FALSE(actors.Answered(kActor, kAsker, 1));
}

TEST(RemoteActors, WaitersAndWatchersHearOfALostHome) {
  RemoteActors actors;
  ASSERT_TRUE(actors.Open(kHome, kActor, kAsker, 1).has_value());
  ASSERT_TRUE(actors.Open(kHome, kActor, kAsker, 2).has_value());
  EXPECT_TRUE(actors.Answered(kActor, kAsker, 1));
  actors.Watch(kHome, kActor, kOther);
  ASSERT_TRUE(actors.Open(NodeId::FromRandom(), ActorId::FromRandom(), kAsker, 3).has_value());
  const auto lost = actors.HomeGone(kHome);
  ASSERT_EQ(lost.asks.size(), 1u);
  EXPECT_EQ(lost.asks[0].request_id, 2u);
  EXPECT_EQ(lost.watchers.size(), 2u);
  EXPECT_EQ(actors.size(), 1u);
  EXPECT_TRUE(actors.HomeGone(kHome).watchers.empty());
}

TEST(RemoteActors, WatchersThatHaveGoneOrHeardOfTheDeathAreForgotten) {
  RemoteActors actors;
  ASSERT_TRUE(actors.Open(kHome, kActor, kAsker, 1).has_value());
  actors.Watch(kHome, kActor, kOther);
  actors.ProcessGone(kAsker);
  EXPECT_FALSE(actors.Answered(kActor, kAsker, 1));
  actors.Dead(kActor, kOther);
  EXPECT_EQ(actors.size(), 0u);
}

TEST(RemoteActors, QuestionAboutADeadActorIsStillAnswered) {
  RemoteActors actors;
  ASSERT_TRUE(actors.Open(kHome, kActor, kAsker, 1).has_value());
  actors.Dead(kActor, kAsker);
  EXPECT_EQ(actors.size(), 1u);
  EXPECT_TRUE(actors.Answered(kActor, kAsker, 1));
  EXPECT_EQ(actors.size(), 0u);
}

TEST(RemoteActors, ChannelThatCannotBeMadeIsAskedForABoundedNumberOfTimes) {
  RemoteActors actors;
  ASSERT_TRUE(actors.Open(kHome, kActor, kAsker, 1).has_value());
  const TimePoint start{};
  for (size_t i = 1; i < kAsksMax; ++i) {
    ASSERT_TRUE(actors.AskAgain(kActor, kAsker, 1, start + kAskAgainAfter));
    EXPECT_TRUE(actors.AnyToAskAgain());
    EXPECT_TRUE(actors.TakeDue(start).empty());
    ASSERT_EQ(actors.TakeDue(start + kAskAgainAfter).size(), 1u);
    EXPECT_FALSE(actors.AnyToAskAgain());
  }
  EXPECT_FALSE(actors.AskAgain(kActor, kAsker, 1, start));
  EXPECT_FALSE(actors.Answered(kActor, kAsker, 1));
}

TEST(RemoteActors, BoundsTheRequestsOfOneCaller) {
  RemoteActors actors;
  for (uint64_t i = 0; i < kOpensPerCallerMax; ++i) ASSERT_TRUE(actors.Open(kHome, kActor, kAsker, i + 1).has_value());
  EXPECT_EQ(actors.Open(kHome, kActor, kAsker, 999).error().code, ErrorCode::kFull);
  EXPECT_TRUE(actors.Open(kHome, kActor, kOther, 1).has_value());
}

}  // namespace
}  // namespace raylet
