// Which gradients a door lets in, before, during and after a Resize.
#include "client/parameter_server/door.h"

#include <gtest/gtest.h>

#include <vector>

namespace door_test {

using ray::ps::internal::Door;
using ray::ps::internal::Entry;
using ray::ps::internal::RecentSequences;
using ray::ps::internal::Server;

std::vector<uint64_t> SequencesOf(const std::vector<Door<float>::Waiting>& waiting) {
  std::vector<uint64_t> sequences;
  for (const auto& one : waiting) sequences.push_back(one.arguments.sequence);
  return sequences;
}

void Refuse(Door<float>& door, uint64_t sequence) { door.Refuse({0, 0, sequence, 1, true}, {}); }

TEST(DoorTest, AGradientThatCountsIsKnown) {
  Door<float> door;
  EXPECT_EQ(door.Ask(7), Entry::kEnters);
  door.Took(7);
  EXPECT_EQ(door.Ask(7), Entry::kKnown);
  door.Close(1);
  EXPECT_EQ(door.Ask(7), Entry::kKnown) << "its worker did not hear the answer";
}

TEST(DoorTest, AClosedDoorLetsInWhatOthersHave) {
  Door<float> door;
  door.Took(1);
  door.Close(1);
  EXPECT_EQ(door.Ask(2), Entry::kClosed);
  EXPECT_TRUE(door.Admit({1, 2, 3}).empty());
  EXPECT_EQ(door.missing(), 2U);
  EXPECT_EQ(door.Ask(2), Entry::kEnters);
  EXPECT_EQ(door.Ask(4), Entry::kClosed);
  door.Took(2);
  EXPECT_EQ(door.missing(), 1U);
  door.Settle();
  EXPECT_EQ(door.missing(), 0U);
  EXPECT_EQ(door.Ask(3), Entry::kClosed) << "nothing enters while the shard is copied";
}

TEST(DoorTest, GradientsThatWaitEnterInTheOrderInWhichTheyCame) {
  Door<float> door;
  door.Close(1);
  for (const uint64_t sequence : {5, 3, 4, 5, 9}) Refuse(door, sequence);
  EXPECT_EQ(SequencesOf(door.Admit({3, 4, 5, 6})), (std::vector<uint64_t>{5, 3, 4}));
  EXPECT_TRUE(door.Admit({3, 4, 5, 6}).empty()) << "it is let in once";
  EXPECT_EQ(SequencesOf(door.Admit({9})), (std::vector<uint64_t>{9}));
}

TEST(DoorTest, ADroppedGradientIsNotMissing) {
  Door<float> door;
  door.Dropped(2);
  EXPECT_EQ(door.Lacks({1, 2}), 1U);
  door.Close(1);
  door.Admit({2});
  EXPECT_EQ(door.missing(), 0U);
}

TEST(DoorTest, AnOpenDoorForgetsWhatItRefused) {
  Door<float> door;
  door.Close(1);
  Refuse(door, 1);
  door.Settle();
  door.Open();
  EXPECT_EQ(door.Ask(1), Entry::kEnters);
  door.Close(1);
  EXPECT_TRUE(door.Admit({1}).empty());
  EXPECT_EQ(door.Ask(1), Entry::kEnters) << "a door that closes again is not settled";
  EXPECT_TRUE(door.Move(Server<float>{}).empty());
}

TEST(DoorTest, AMovedDoorTellsWhatItRefusedAndStaysClosed) {
  Door<float> door;
  door.Took(1);
  door.Close(1);
  Refuse(door, 2);
  door.Settle();
  Refuse(door, 3);
  EXPECT_EQ(door.Move(Server<float>{}), (std::vector<uint64_t>{2, 3}));
  EXPECT_TRUE(door.moved());
  Refuse(door, 4);
  EXPECT_EQ(door.Move(Server<float>{}), (std::vector<uint64_t>{2, 3})) << "its worker knows where to go";
  EXPECT_EQ(door.Ask(1), Entry::kKnown);
  EXPECT_EQ(door.Ask(5), Entry::kClosed);
  Door<float> after;
  after.Restore(door.state());
  EXPECT_TRUE(after.moved());
}

TEST(DoorTest, AGradientForWhichNobodyWaitsIsKeptAndNotWaitedFor) {
  Door<float> door;
  door.Close(1);
  for (const uint64_t sequence : {2, 3}) door.Refuse({0, 0, sequence, 1, false}, {});
  Refuse(door, 3);
  EXPECT_EQ(SequencesOf(door.Admit({2, 3})), (std::vector<uint64_t>{2, 3}));
  EXPECT_EQ(door.Move(Server<float>{}), (std::vector<uint64_t>{3}));
}

TEST(DoorTest, AHomeThatMovesOnTellsWhatItRefusedOnce) {
  Door<float> door;
  door.Close(1);
  Refuse(door, 2);
  Server<float> to;
  to.epoch = 1;
  EXPECT_EQ(door.Move(to), (std::vector<uint64_t>{2}));
  EXPECT_EQ(door.Move(to), (std::vector<uint64_t>{2})) << "its owner asks again";
  to.epoch = 2;
  EXPECT_TRUE(door.Move(to).empty()) << "the shards of the layout between have answered it";
}

TEST(DoorTest, AGradientOfSomeShardsAloneDoesNotCount) {
  Door<float> door;
  door.set_recent(RecentSequences({1, 2}));
  door.set_partial({2});
  EXPECT_EQ(door.Ask(1), Entry::kKnown);
  EXPECT_EQ(door.Ask(2), Entry::kPartial);
}

TEST(DoorTest, TheGradientsThatWaitAreBounded) {
  Door<float> door;
  door.Close(1);
  std::vector<uint64_t> all;
  for (uint64_t sequence = 0; sequence < Door<float>::kWaitingMax + 5; ++sequence) {
    Refuse(door, sequence);
    all.push_back(sequence);
  }
  EXPECT_EQ(door.Admit(all).size(), Door<float>::kWaitingMax);
  EXPECT_EQ(door.Ask(all.back()), Entry::kEnters) << "its worker sends it again";
}

}  // namespace door_test
