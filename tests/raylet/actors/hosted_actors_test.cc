#include "raylet/actors/hosted_actors.h"

#include <gtest/gtest.h>

namespace raylet {
namespace {

TaskPtr CreationFrom(const NodeId& home) {
  auto task = std::make_shared<Task>();
  task->id = TaskId::FromRandom();
  task->from = home;
  task->actor = ActorSettings{};
  task->actor->id = ActorId::FromRandom();
  return task;
}

TEST(HostedActors, ActorIsHostedFromItsCreationUntilItsWorkerHasGone) {
  HostedActors actors;
  const NodeId home = NodeId::FromRandom();
  const auto creation = CreationFrom(home);
  const ActorId id = creation->actor->id;
  EXPECT_EQ(actors.Find(id), nullptr);
  actors.Came(creation);
  ASSERT_NE(actors.Find(id), nullptr);
  EXPECT_EQ(actors.Find(id)->worker, 0u);
  actors.Runs(id, 5);
  actors.Constructed(id);
  EXPECT_FALSE(actors.WorkerGone(id, 4).has_value()) << "another worker's end is none of its";
  const auto ended = actors.WorkerGone(id, 5);
  ASSERT_TRUE(ended.has_value());
  EXPECT_EQ(ended->home(), home);
  EXPECT_TRUE(ended->constructed);
  EXPECT_FALSE(actors.WorkerGone(id, 5).has_value());
}

TEST(HostedActors, AHomesDeathForgetsItsActorsAndNoOthers) {
  HostedActors actors;
  const NodeId home = NodeId::FromRandom();
  const auto theirs = CreationFrom(home), anothers = CreationFrom(NodeId::FromRandom());
  actors.Came(theirs);
  actors.Came(anothers);
  actors.HomeLost(home);
  EXPECT_EQ(actors.Find(theirs->actor->id), nullptr);
  EXPECT_NE(actors.Find(anothers->actor->id), nullptr);
  EXPECT_TRUE(actors.Take(anothers->actor->id).has_value());
  EXPECT_TRUE(actors.actors().empty());
}

TEST(HostedActors, ActorThatComesAgainBeginsAnew) {
  HostedActors actors;
  const auto creation = CreationFrom(NodeId::FromRandom());
  actors.Came(creation);
  actors.Runs(creation->actor->id, 5);
  EXPECT_TRUE(actors.WorkerGone(creation->actor->id, 5).has_value());
  actors.Came(creation);
  EXPECT_EQ(actors.Find(creation->actor->id)->worker, 0u);
  EXPECT_FALSE(actors.Find(creation->actor->id)->constructed);
}

}  // namespace
}  // namespace raylet
