#include "raylet/control/published.h"

#include <gtest/gtest.h>

#include <random>

#include "base/strings.h"
#include "raylet/control/control_rules.h"

namespace raylet {
namespace {

template <class IdType>
IdType IdOf(uint8_t number) {
  IdType id;
  id.mutable_data()[0] = number;
  return id;
}

NameEntry Name(const std::string& name) { return {"space", name, IdOf<ActorId>(1), 1, IdOf<NodeId>(1)}; }
ActorPlacement Placed(uint8_t actor, wire::ActorState state) {
  return {IdOf<ActorId>(actor), IdOf<NodeId>(1), 1, state};
}

class PublishedTest : public ::testing::Test {
 protected:
  PublishedTest() { EXPECT_FALSE(published_.Renewed(true, 1, now_)); }  // the first lease is no loss
  void TellAll(const Result<void>& outcome) {
    for (const auto& telling : published_.TakeDue(1000)) EXPECT_FALSE(published_.Told(telling.ticket, outcome));
  }

  TimePoint now_{};
  Published published_;
};

TEST_F(PublishedTest, NewsIsToldOnceAndAgainWhileTheStoreIsAway) {
  published_.Tell(Placed(1, wire::ActorState::Alive), now_);
  auto tellings = published_.TakeDue(10);
  ASSERT_EQ(tellings.size(), 1u);
  EXPECT_TRUE(published_.TakeDue(10).empty());
  published_.Told(tellings[0].ticket, Fail(ErrorCode::kUnavailable, "away"));
  tellings = published_.TakeDue(10);
  ASSERT_EQ(tellings.size(), 1u);
  EXPECT_FALSE(tellings[0].again);
  published_.Told(tellings[0].ticket, {});
  EXPECT_EQ(published_.due(), 0u);
  EXPECT_EQ(published_.size(), 1u);
}

TEST_F(PublishedTest, AllIsToldAgainAfterALossAndNothingOtherwise) {
  published_.Keep(Name("a"), now_);
  published_.Keep(KeyValue{"key", "value", 3, false}, now_);
  EXPECT_FALSE(published_.Renewed(false, 1, now_));
  EXPECT_EQ(published_.due(), 0u);
  EXPECT_TRUE(published_.Renewed(true, 1, now_));  // the lease was gone
  EXPECT_EQ(published_.due(), 2u);
  TellAll({});
  EXPECT_TRUE(published_.Renewed(false, 2, now_));  // it may have started with an older file
  EXPECT_EQ(published_.due(), 2u);
  EXPECT_TRUE(published_.TakeDue(1)[0].again);
  EXPECT_EQ(published_.losses(), 2u);
}

TEST_F(PublishedTest, NewsUnderWayWhenTheStoreLostItsMemoryIsToldAgain) {
  published_.Tell(Name("a"), now_);
  const auto telling = published_.TakeDue(1).front();
  published_.Renewed(true, 1, now_);
  EXPECT_EQ(published_.due(), 0u);  // one telling at a time
  published_.Told(telling.ticket, {});
  EXPECT_EQ(published_.due(), 1u);
}

TEST_F(PublishedTest, ANewerItemOvertakesTheOlderOne) {
  published_.Tell(Placed(1, wire::ActorState::Pending), now_);
  const auto old = published_.TakeDue(1).front();
  published_.Tell(Placed(1, wire::ActorState::Alive), now_);
  EXPECT_FALSE(
      published_.Told(old.ticket, Fail(ErrorCode::kWrongState, "too late")));  // no loss: it is not ours any more
  const auto telling = published_.TakeDue(1).front();
  EXPECT_EQ(std::get<ActorPlacement>(telling.item).state, wire::ActorState::Alive);
}

TEST_F(PublishedTest, ItemThatAnotherOwnsIsLostOnce) {
  published_.Keep(Name("a"), now_);
  published_.Renewed(true, 1, now_);
  const auto telling = published_.TakeDue(1).front();
  const auto lost = published_.Told(telling.ticket, Fail(ErrorCode::kAlreadyExists, "another's"));
  ASSERT_TRUE(lost);
  EXPECT_EQ(std::get<NameEntry>(lost->item).name, "a");
  EXPECT_EQ(lost->why.message, "another's");
  EXPECT_EQ(published_.size(), 0u);
  EXPECT_FALSE(published_.Told(telling.ticket, {}));
}

TEST_F(PublishedTest, WithdrawnItemIsKeptUntilTheStoreHasLetGoOfIt) {
  published_.Keep(Name("a"), now_);
  published_.Withdraw(Name("a"), now_);
  auto telling = published_.TakeDue(1).front();
  EXPECT_TRUE(telling.withdraw);
  published_.Told(telling.ticket, Fail(ErrorCode::kUnavailable, "away"));
  EXPECT_EQ(published_.size(), 1u);
  telling = published_.TakeDue(1).front();
  published_.Told(telling.ticket, {});
  EXPECT_EQ(published_.size(), 0u);
  // Taken again before that: it stays.
  published_.Withdraw(Name("b"), now_);
  telling = published_.TakeDue(1).front();
  published_.Keep(Name("b"), now_);
  published_.Told(telling.ticket, {});
  EXPECT_EQ(published_.size(), 1u);
}

TEST_F(PublishedTest, DeathsAndDeletionsAreForgottenWithTime) {
  published_.Tell(Placed(1, wire::ActorState::Dead), now_);
  published_.Keep(KeyValue{"key", "", 2, true}, now_);
  published_.Keep(Name("a"), now_);
  TellAll({});
  now_ += kDeathKept - std::chrono::seconds(1);
  published_.Renewed(false, 1, now_);
  EXPECT_EQ(published_.size(), 3u);
  now_ += std::chrono::seconds(1);
  published_.Renewed(false, 1, now_);
  EXPECT_EQ(published_.size(), 1u);
}

TEST_F(PublishedTest, EverythingIsCheckedInTurn) {
  for (int i = 0; i < 10; ++i) published_.Keep(Name(StrCat("name", i)), now_);
  std::set<std::string> checked;
  for (int round = 0; round < 4; ++round) {
    for (const auto& telling : published_.TakeToCheck(3)) {
      checked.insert(std::get<NameEntry>(telling.item).name);
      published_.Told(telling.ticket, {});
    }
  }
  EXPECT_EQ(checked.size(), 10u);
  EXPECT_EQ(published_.TakeToCheck(100).size(), 10u);
  EXPECT_TRUE(published_.TakeToCheck(100).empty());  // all under way
}

TEST_F(PublishedTest, PairsAreCountedAndBounded) {
  EXPECT_TRUE(published_.HasRoom(kPublishedBytesMax));
  EXPECT_FALSE(published_.HasRoom(kPublishedBytesMax + 1));
  published_.Keep(KeyValue{"key", std::string(1000, 'x'), 1, false}, now_);
  published_.Keep(KeyValue{"key", std::string(10, 'x'), 2, false}, now_);
  EXPECT_TRUE(published_.HasRoom(kPublishedBytesMax - 13));
  const auto full = published_.HasRoom(kPublishedBytesMax - 12);
  ASSERT_FALSE(full);
  EXPECT_EQ(full.error().code, ErrorCode::kFull);
}

// Random histories: a store that forgets, fails and is taken over has all our items in the end, once the faults stop.
TEST_F(PublishedTest, AfterAnyHistoryTheStoreHasWhatWeHave) {
  for (uint32_t seed = 1; seed <= 200; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    Published published;
    published.Renewed(true, 1, now_);
    std::map<std::string, uint64_t> store, ours;  // epochs of names
    std::vector<Published::Telling> under_way;
    uint64_t epoch = 1;
    const auto answer = [&](bool fails) {
      const auto telling = under_way.front();
      under_way.erase(under_way.begin());
      const auto& entry = std::get<NameEntry>(telling.item);
      if (fails) {
        // It may have happened, or not.
        published.Told(telling.ticket, Fail(ErrorCode::kUnavailable, "away"));
        if (random() % 2 == 0) return;
      }
      if (!telling.withdraw && store[entry.name] <= entry.epoch) store[entry.name] = entry.epoch;
      if (telling.withdraw && store[entry.name] <= entry.epoch) store.erase(entry.name);
      if (!fails) published.Told(telling.ticket, {});
    };
    const auto take = [&] {
      for (auto& telling : published.TakeDue(2)) under_way.push_back(std::move(telling));
    };
    for (int step = 0; step < 100; ++step) {
      NameEntry entry = Name(StrCat("name", random() % 5));
      entry.epoch = ++epoch;
      switch (random() % 6) {
        case 0:
          published.Tell(entry, now_);
          ours[entry.name] = entry.epoch;
          break;
        case 1:
          published.Withdraw(entry, now_);
          ours.erase(entry.name);
          break;
        case 2: take(); break;
        case 3:
          if (!under_way.empty()) answer(random() % 3 == 0);
          break;
        case 4:
          if (random() % 4 == 0) store.clear();
          break;
        case 5: published.Renewed(random() % 4 == 0, 1, now_); break;
      }
    }
    published.Renewed(true, 1, now_);
    for (take(); !under_way.empty(); take()) answer(false);
    EXPECT_EQ(store, ours);
    EXPECT_EQ(published.size(), ours.size());
    EXPECT_EQ(published.due(), 0u);
  }
}

}  // namespace
}  // namespace raylet
