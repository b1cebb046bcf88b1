// The raylet's memory of dead actors stays within its bounds.
#include "raylet/actors/dead_actors.h"

#include <gtest/gtest.h>

namespace raylet {
namespace {

wire::FailureT FailureOf(const std::string& message) {
  wire::FailureT failure;
  failure.kind = wire::FailureKind::ActorDied;
  failure.message = message;
  failure.pid = 4711;
  failure.may_have_run = true;
  return failure;
}

TEST(DeadActors, RememberTheWholeFailure) {
  DeadActors dead;
  const ActorId id = ActorId::FromRandom();
  dead.Add(id, FailureOf("it was killed"));
  const auto why = dead.WhyDead(id);
  ASSERT_TRUE(why.has_value());
  EXPECT_EQ(Encode(*why), Encode(FailureOf("it was killed")));
  EXPECT_FALSE(dead.WhyDead(ActorId::FromRandom()).has_value());
}

TEST(DeadActors, ForgetTheOldestWhenThereAreTooMany) {
  DeadActors dead;
  std::vector<ActorId> ids;
  for (size_t i = 0; i < kDeadActorsMax + 100; ++i) {
    ids.push_back(ActorId::FromRandom());
    dead.Add(ids.back(), FailureOf("it was killed"));
  }
  EXPECT_EQ(dead.size(), kDeadActorsMax);
  EXPECT_FALSE(dead.Contains(ids[99]));
  EXPECT_TRUE(dead.Contains(ids[100]));
  EXPECT_LE(dead.bytes() / dead.size(), 160u) << "bytes of a record";
}

TEST(DeadActors, ForgetTheOldestWhenTheyTakeTooMuch) {
  DeadActors dead;
  const ActorId first = ActorId::FromRandom();
  dead.Add(first, FailureOf("it was killed"));
  for (size_t i = 0; i < 9'000; ++i) {
    auto failure = FailureOf(std::string(100'000, 'm'));
    failure.what = std::string(50'000, 'w');
    dead.Add(ActorId::FromRandom(), failure);
    ASSERT_LE(dead.bytes(), kDeadActorBytesMax);
  }
  EXPECT_FALSE(dead.Contains(first));
  EXPECT_GT(dead.size(), 1'000u);
}

TEST(DeadActors, ShortenALongTextBetweenTwoCharacters) {
  DeadActors dead;
  const ActorId id = ActorId::FromRandom();
  std::string text(kDeadActorTextMax - 1, 'x');
  text += "é and more";
  dead.Add(id, FailureOf(text));
  EXPECT_EQ(dead.WhyDead(id)->message, std::string(kDeadActorTextMax - 1, 'x') + "…");
}

}  // namespace
}  // namespace raylet
