#include "raylet/actors/remote_actors.h"

#include <gtest/gtest.h>

#include <atomic>
#include <set>

#include "raylet/actors/actor_directory.h"

namespace raylet {
namespace {

constexpr ProcessId kAsker = 11, kOther = 12;
constexpr MachineNumber kHome{5}, kOtherHome{6};

ActorId ActorOf(MachineNumber home) {
  static std::atomic<uint64_t> next{1};
  return NewActorId(ProcessIdOf(home, 1), next);
}
const ActorId kActor = ActorOf(kHome);

TEST(RemoteActors, AnAnswerIsForItsAskerAndCountsOnce) {
  RemoteActors actors;
  ASSERT_TRUE(actors.Open(kActor, kAsker, 1).has_value());
  EXPECT_FALSE(actors.Answered(kActor, kOther, 1));
  EXPECT_FALSE(actors.Answered(ActorId::FromRandom(), kAsker, 1));
  EXPECT_TRUE(actors.Answered(kActor, kAsker, 1));
  EXPECT_FALSE(actors.Answered(kActor, kAsker, 1));
}

TEST(RemoteActors, WaitersAndWatchersHearOfALostHome) {
  RemoteActors actors;
  ASSERT_TRUE(actors.Open(kActor, kAsker, 1).has_value());
  ASSERT_TRUE(actors.Open(kActor, kAsker, 2).has_value());
  EXPECT_TRUE(actors.Answered(kActor, kAsker, 1));
  actors.Watch(kActor, kOther);
  ASSERT_TRUE(actors.Open(ActorOf(kOtherHome), kAsker, 3).has_value());
  actors.HomeLost(kHome);
  EXPECT_EQ(actors.size(), 1u);
  EXPECT_FALSE(actors.Answered(kActor, kAsker, 2));
  const auto lost = actors.TakeLost(kHome, 10);
  ASSERT_EQ(lost.asks.size(), 1u);
  EXPECT_EQ(lost.asks[0].request_id, 2u);
  EXPECT_EQ(lost.watchers.size(), 2u);
  EXPECT_TRUE(actors.TakeLost(kHome, 10).watchers.empty());
  EXPECT_TRUE(actors.TakeLost(kOtherHome, 10).watchers.empty());
}

TEST(RemoteActors, ManyWatchersHearOfALostHomeSomeAtATimeAndNewOnesDoNot) {
  RemoteActors actors;
  std::set<ActorId> watched;
  for (int i = 0; i < 10; ++i) {
    const ActorId actor = ActorOf(kHome);
    watched.insert(actor);
    actors.Watch(actor, kAsker);
    actors.Watch(actor, kOther);
  }
  actors.HomeLost(kHome);
  actors.Watch(*watched.begin(), kAsker);  // the machine is there again
  std::vector<std::pair<ActorId, ProcessId>> told;
  for (auto lost = actors.TakeLost(kHome, 3); !lost.watchers.empty(); lost = actors.TakeLost(kHome, 3)) {
    EXPECT_LE(lost.watchers.size(), 4u);
    for (const auto& watcher : lost.watchers) told.emplace_back(watcher.actor, watcher.process);
  }
  EXPECT_EQ(told.size(), 20u);
  EXPECT_EQ(std::set(told.begin(), told.end()).size(), 20u);
  EXPECT_EQ(actors.size(), 1u);
}

TEST(RemoteActors, WatchersThatHaveGoneOrHeardOfTheDeathAreForgotten) {
  RemoteActors actors;
  ASSERT_TRUE(actors.Open(kActor, kAsker, 1).has_value());
  actors.Watch(kActor, kOther);
  actors.ProcessGone(kAsker);
  EXPECT_FALSE(actors.Answered(kActor, kAsker, 1));
  actors.Dead(kActor, kOther);
  EXPECT_EQ(actors.size(), 0u);
}

TEST(RemoteActors, QuestionAboutADeadActorIsStillAnswered) {
  RemoteActors actors;
  ASSERT_TRUE(actors.Open(kActor, kAsker, 1).has_value());
  actors.Dead(kActor, kAsker);
  EXPECT_EQ(actors.size(), 1u);
  EXPECT_TRUE(actors.Answered(kActor, kAsker, 1));
  EXPECT_EQ(actors.size(), 0u);
}

TEST(RemoteActors, ChannelThatCannotBeMadeIsAskedForABoundedNumberOfTimes) {
  RemoteActors actors;
  ASSERT_TRUE(actors.Open(kActor, kAsker, 1).has_value());
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
  for (uint64_t i = 0; i < kOpensPerCallerMax; ++i) ASSERT_TRUE(actors.Open(kActor, kAsker, i + 1).has_value());
  EXPECT_EQ(actors.Open(kActor, kAsker, 999).error().code, ErrorCode::kFull);
  EXPECT_TRUE(actors.Open(kActor, kOther, 1).has_value());
}

}  // namespace
}  // namespace raylet
