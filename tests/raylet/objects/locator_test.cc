#include "raylet/objects/locator.h"

#include <gtest/gtest.h>

#include <set>

#include "tests/harness/node_number.h"

namespace raylet {
namespace {

using test::NodeNumber;

class ObjectLocatorTest : public testing::Test, public ObjectLocator::Machine {
 protected:
  std::optional<uint64_t> SealedBytes(const ObjectId& object) const override {
    const auto found = sealed_.find(object);
    return found == sealed_.end() ? std::nullopt : std::optional<uint64_t>(found->second);
  }
  bool IsLost(const ObjectId& object) const override { return lost_here_.contains(object); }
  bool OwnerLives(ProcessId owner) const override { return !dead_.contains(owner); }
  bool IsKept(const ObjectId& object) const override { return kept_.contains(object); }

  ObjectId Object(ProcessId owner = 7) { return NewObjectId(owner, next_); }
  void Locate(const NodeId& node_locating, const ObjectId& object, std::vector<NodeId> without = {}) {
    wire::LocateRequestT request;
    request.objects = {ToWire(object)};
    for (const NodeId& node : without) request.without.emplace_back(ToWire(object), ToWire(node), 0);
    locator_.OnLocate(node_locating, request);
  }
  void SealedElsewhere(const NodeId& node, const ObjectId& object, uint64_t bytes) {  // a result
    locator_.SealedElsewhere(node, object, bytes);
  }
  void CopySealed(const NodeId& node, const ObjectId& object) {
    wire::CopiesSealedNoticeT notice;
    notice.objects = {wire::SizedObject(ToWire(object), 500)};
    locator_.OnCopiesSealed(node, notice);
  }
  // Whether the last copy that was reported is to go.
  bool FreesCopyAt(const NodeId& node) { return locator_.TakeMessages().free.contains(node); }
  // The nodes that an answer names, in order.
  static std::vector<NodeId> Holders(const wire::LocatedNoticeT& found) {
    std::vector<NodeId> nodes;
    for (const wire::CopyAt& copy : found.copies) nodes.push_back(FromWire<NodeId>(copy.node()));
    return nodes;
  }

  static std::vector<NodeId> LostWith(const wire::LocatedNoticeT& found) {
    std::vector<NodeId> nodes;
    for (const wire::CopyAt& copy : found.lost_with) nodes.push_back(FromWire<NodeId>(copy.node()));
    return nodes;
  }

  // All that is lost with it.
  std::vector<ObjectId> Lose(const NodeId& node) {
    locator_.MachineLost(node);
    std::vector<ObjectId> lost;
    while (locator_.loses())
      for (const auto& [object, with] : locator_.LoseSome(1)) {
        EXPECT_EQ(with, node);
        lost.push_back(object);
      }
    return lost;
  }

  std::atomic<uint64_t> next_{1};
  std::map<ObjectId, uint64_t> sealed_;
  std::set<ProcessId> dead_;
  std::set<ObjectId> kept_, lost_here_;
  ObjectLocator locator_{NodeNumber(1), *this};
};

TEST_F(ObjectLocatorTest, ObjectWhoseBytesAreLostHereIsLostUnlessAnotherMachineHasACopy) {
  const ObjectId alone = Object(), copied = Object();
  lost_here_ = {alone, copied};
  SealedElsewhere(NodeNumber(3), copied, 500);
  Locate(NodeNumber(2), alone);
  Locate(NodeNumber(2), copied);
  const auto messages = locator_.TakeMessages();
  EXPECT_EQ(messages.located.at(NodeNumber(2)).lost.size(), 1u);
  EXPECT_EQ(FromWire<ObjectId>(messages.located.at(NodeNumber(2)).lost.front()), alone);
  EXPECT_EQ(Holders(messages.located.at(NodeNumber(2))), std::vector{NodeNumber(3)});
  EXPECT_TRUE(messages.watch.empty()) << "it does not come";
}

TEST_F(ObjectLocatorTest, LossThatTheStoreFindsLaterReachesThoseThatLocate) {
  const ObjectId object = Object();
  Locate(NodeNumber(2), object);
  static_cast<void>(locator_.TakeMessages());
  lost_here_ = {object};
  locator_.SealedHere(object);
  const auto messages = locator_.TakeMessages();
  EXPECT_EQ(messages.located.at(NodeNumber(2)).lost.size(), 1u);
  EXPECT_TRUE(messages.located.at(NodeNumber(2)).copies.empty());
}

TEST_F(ObjectLocatorTest, AnAnswerNamesEveryCopyButTheReceiversOwn) {
  const ObjectId object = Object();
  sealed_[object] = 500;
  SealedElsewhere(NodeNumber(2), object, 500);
  SealedElsewhere(NodeNumber(3), object, 500);
  Locate(NodeNumber(3), object);
  const auto messages = locator_.TakeMessages();
  EXPECT_EQ(Holders(messages.located.at(NodeNumber(3))), (std::vector<NodeId>{NodeNumber(1), NodeNumber(2)}));
  EXPECT_EQ(messages.located.at(NodeNumber(3)).copies[0].bytes(), 500u);
  EXPECT_TRUE(messages.watch.empty());
}

TEST_F(ObjectLocatorTest, ACopyThatIsNotThereIsForgotten) {
  const ObjectId object = Object();
  SealedElsewhere(NodeNumber(2), object, 500);
  SealedElsewhere(NodeNumber(3), object, 500);
  Locate(NodeNumber(4), object, {NodeNumber(2)});
  EXPECT_EQ(Holders(locator_.TakeMessages().located.at(NodeNumber(4))), std::vector<NodeId>{NodeNumber(3)});
  wire::CopiesDroppedNoticeT dropped;
  dropped.objects = {ToWire(object)};
  locator_.OnCopiesDropped(NodeNumber(3), dropped);
  EXPECT_EQ(locator_.directory().objects(), 0u);
}

TEST_F(ObjectLocatorTest, ARayletThatMissesTheLastCopyBeforeItsMachineIsDeadHearsThatTheObjectIsLost) {
  const ObjectId object = Object();
  SealedElsewhere(NodeNumber(2), object, 500);
  Locate(NodeNumber(4), object, {NodeNumber(2)});
  EXPECT_EQ(locator_.TakeMessages().located.at(NodeNumber(4)).none_yet.size(), 1u);
  EXPECT_EQ(Lose(NodeNumber(2)), std::vector<ObjectId>{object});
  EXPECT_EQ(LostWith(locator_.TakeMessages().located.at(NodeNumber(4))), std::vector<NodeId>{NodeNumber(2)});
  Locate(NodeNumber(3), object);
  EXPECT_EQ(LostWith(locator_.TakeMessages().located.at(NodeNumber(3))), std::vector<NodeId>{NodeNumber(2)});
  // Another copy, and all is well.
  const ObjectId found_again = Object();
  SealedElsewhere(NodeNumber(5), found_again, 500);
  Locate(NodeNumber(4), found_again, {NodeNumber(5)});
  SealedElsewhere(NodeNumber(6), found_again, 500);
  EXPECT_TRUE(Lose(NodeNumber(5)).empty());
}

TEST_F(ObjectLocatorTest, ARayletThatLocatesTooEarlyHearsOnceOfTheFirstCopy) {
  const ObjectId here = Object(), elsewhere = Object();
  for (const ObjectId& object : {here, elsewhere}) {
    Locate(NodeNumber(2), object);
    Locate(NodeNumber(3), object);
  }
  auto messages = locator_.TakeMessages();
  EXPECT_EQ(messages.located.at(NodeNumber(2)).none_yet.size(), 2u);
  EXPECT_EQ(messages.watch, (std::vector<ObjectId>{here, elsewhere}));
  sealed_[here] = 10;
  locator_.SealedHere(here);
  SealedElsewhere(NodeNumber(3), elsewhere, 20);
  messages = locator_.TakeMessages();
  EXPECT_EQ(Holders(messages.located.at(NodeNumber(2))), (std::vector<NodeId>{NodeNumber(1), NodeNumber(3)}));
  EXPECT_EQ(Holders(messages.located.at(NodeNumber(3))), std::vector<NodeId>{NodeNumber(1)});
  locator_.SealedHere(here);
  EXPECT_TRUE(locator_.TakeMessages().located.empty());
}

TEST_F(ObjectLocatorTest, AnObjectIsUnwatchedOnceNobodyLocatesIt) {
  const ObjectId freed = Object(), elsewhere = Object(), left = Object(), kept = Object();
  for (const ObjectId& object : {freed, elsewhere, left, kept}) Locate(NodeNumber(2), object);
  Locate(NodeNumber(3), kept);
  EXPECT_EQ(locator_.TakeMessages().watch.size(), 4u);
  locator_.Freed(std::span(&freed, 1));
  EXPECT_EQ(locator_.TakeMessages().unwatch, std::vector{freed});
  SealedElsewhere(NodeNumber(3), elsewhere, 20);
  EXPECT_EQ(locator_.TakeMessages().unwatch, std::vector{elsewhere});
  locator_.LocatedNoLonger(NodeNumber(2), left);
  locator_.LocatedNoLonger(NodeNumber(2), kept);
  EXPECT_EQ(locator_.TakeMessages().unwatch, std::vector{left});
  Lose(NodeNumber(3));
  EXPECT_EQ(locator_.TakeMessages().unwatch, std::vector{kept});
}

TEST_F(ObjectLocatorTest, AnObjectThatIsLocatedAgainInOneTurnStaysWatched) {
  const ObjectId object = Object();
  Locate(NodeNumber(2), object);
  locator_.TakeMessages();
  locator_.LocatedNoLonger(NodeNumber(2), object);
  Locate(NodeNumber(2), object);
  const auto messages = locator_.TakeMessages();
  EXPECT_EQ(messages.watch, std::vector{object});
  EXPECT_TRUE(messages.unwatch.empty());
}

TEST_F(ObjectLocatorTest, FreedObjectsGoEverywhereAndAreLostToWaitingRaylets) {
  const ObjectId copied = Object(), awaited = Object();
  SealedElsewhere(NodeNumber(2), copied, 1);
  Locate(NodeNumber(3), awaited);
  locator_.TakeMessages();
  locator_.Freed(std::vector<ObjectId>{copied, awaited});
  const auto messages = locator_.TakeMessages();
  EXPECT_EQ(messages.free.at(NodeNumber(2)).objects.size(), 1u);
  EXPECT_EQ(messages.located.at(NodeNumber(3)).lost.size(), 1u);
  EXPECT_EQ(locator_.directory().objects(), 0u);
}

TEST_F(ObjectLocatorTest, AKeptObjectIsLocatedAfterItsOwnersEndUntilItIsFreed) {
  const ObjectId copied = Object(), unmade = Object();
  SealedElsewhere(NodeNumber(2), copied, 1);
  Locate(NodeNumber(3), unmade);
  locator_.TakeMessages();
  dead_.insert(7);
  kept_ = {copied, unmade};
  locator_.OwnerGone(7);
  Locate(NodeNumber(4), copied);
  Locate(NodeNumber(4), unmade);
  auto messages = locator_.TakeMessages();
  EXPECT_EQ(messages.located.at(NodeNumber(3)).lost.size(), 1u) << "nobody makes it any more";
  EXPECT_EQ(Holders(messages.located.at(NodeNumber(4))), std::vector<NodeId>{NodeNumber(2)});
  EXPECT_EQ(messages.located.at(NodeNumber(4)).lost.size(), 1u);
  EXPECT_TRUE(messages.free.empty());
  kept_.clear();
  locator_.Freed({&copied, 1});
  EXPECT_EQ(locator_.TakeMessages().free.at(NodeNumber(2)).objects.size(), 1u);
  EXPECT_EQ(locator_.directory().objects(), 0u);
}

TEST_F(ObjectLocatorTest, LosesTheObjectsOfAnEndedOwnerBitByBit) {
  const ObjectId copied = Object();
  SealedElsewhere(NodeNumber(2), copied, 1);
  for (int i = 0; i < 4; ++i) Locate(NodeNumber(3), Object());
  locator_.TakeMessages();
  dead_.insert(7);
  kept_ = {copied};
  size_t lost = 0, steps = 0;
  for (std::optional<ObjectId> last = ObjectId(); last && steps < 10; ++steps) {
    last = locator_.OwnerGone(7, *last, 2);
    const auto messages = locator_.TakeMessages();
    const auto located = messages.located.find(NodeNumber(3));
    const size_t now = located == messages.located.end() ? 0 : located->second.lost.size();
    EXPECT_LE(now, 2u);
    lost += now;
  }
  EXPECT_EQ(lost, 4u);
  EXPECT_EQ(steps, 3u);
  EXPECT_EQ(locator_.directory().Holders(copied), std::vector<NodeId>{NodeNumber(2)});
  EXPECT_EQ(locator_.directory().objects(), 1u);
}

TEST_F(ObjectLocatorTest, ACopyThatWasMadeWhileItsObjectWasFreedIsFreedToo) {
  const ObjectId object = Object();
  sealed_[object] = 500;
  Locate(NodeNumber(2), object);
  static_cast<void>(locator_.TakeMessages());
  locator_.Freed({&object, 1});
  CopySealed(NodeNumber(2), object);  // while the store still shows it here
  EXPECT_TRUE(FreesCopyAt(NodeNumber(2)));
  sealed_.clear();
  for (size_t i = 0; i < FreedObjects::kMax; ++i) {
    const ObjectId other = Object();
    locator_.Freed({&other, 1});
  }
  CopySealed(NodeNumber(2), object);  // after very many others were freed
  EXPECT_TRUE(FreesCopyAt(NodeNumber(2)));
  EXPECT_EQ(locator_.directory().objects(), 0U);
}

TEST_F(ObjectLocatorTest, ACopyStaysWhoseObjectIsHereOrElsewhereOrWasLost) {
  const ObjectId here = Object(), elsewhere = Object(), lost = Object(), lost_here = Object();
  sealed_[here] = 500;
  lost_here_ = {lost_here};
  for (const ObjectId& object : {elsewhere, lost}) SealedElsewhere(NodeNumber(3), object, 500);
  SealedElsewhere(NodeNumber(4), elsewhere, 500);
  EXPECT_EQ(Lose(NodeNumber(3)), std::vector{lost});
  for (const ObjectId& object : {here, elsewhere, lost, lost_here}) {
    CopySealed(NodeNumber(2), object);
    EXPECT_FALSE(FreesCopyAt(NodeNumber(2)));
    EXPECT_EQ(locator_.directory().Holders(object).back(), NodeNumber(2));
  }
  EXPECT_EQ(locator_.directory().lost(), 0U);
}

TEST_F(ObjectLocatorTest, AnObjectIsLostWithItsOwnerAndALateCopyGoes) {
  const ObjectId copied = Object(), awaited = Object(), others = Object(8);
  SealedElsewhere(NodeNumber(2), copied, 1);
  SealedElsewhere(NodeNumber(2), others, 1);
  Locate(NodeNumber(3), awaited);
  locator_.TakeMessages();
  dead_.insert(7);
  locator_.OwnerGone(7);
  locator_.Freed({&copied, 1});
  Locate(NodeNumber(4), copied);
  CopySealed(NodeNumber(5), copied);
  const auto messages = locator_.TakeMessages();
  EXPECT_EQ(messages.free.at(NodeNumber(2)).objects.size(), 1u);
  EXPECT_EQ(messages.free.at(NodeNumber(5)).objects.size(), 1u);
  EXPECT_EQ(messages.located.at(NodeNumber(3)).lost.size(), 1u);
  EXPECT_EQ(messages.located.at(NodeNumber(4)).lost.size(), 1u);
  EXPECT_EQ(locator_.directory().objects(), 1u);
}

TEST_F(ObjectLocatorTest, ADeadNodeGetsNoAnswerAndItsLastCopiesAreNamed) {
  const ObjectId last = Object(), awaited = Object();
  SealedElsewhere(NodeNumber(2), last, 1);
  Locate(NodeNumber(2), awaited);
  EXPECT_EQ(Lose(NodeNumber(2)), std::vector<ObjectId>{last});
  sealed_[awaited] = 1;
  locator_.SealedHere(awaited);
  EXPECT_TRUE(locator_.TakeMessages().located.empty());
}

TEST_F(ObjectLocatorTest, AnObjectWhoseLastCopyWentWithItsMachineIsLostUntilItsOwnerLetsItGo) {
  const ObjectId gone = Object(), here = Object();
  sealed_[here] = 5;
  SealedElsewhere(NodeNumber(2), gone, 100);
  SealedElsewhere(NodeNumber(2), here, 5);
  EXPECT_EQ(locator_.directory().Bytes(gone), 100u);
  EXPECT_EQ(Lose(NodeNumber(2)), std::vector<ObjectId>{gone});
  EXPECT_EQ(locator_.directory().Bytes(gone), 0u);
  Locate(NodeNumber(3), gone);
  EXPECT_EQ(LostWith(locator_.TakeMessages().located.at(NodeNumber(3))), std::vector<NodeId>{NodeNumber(2)});
  locator_.Freed(std::span(&gone, 1));
  Locate(NodeNumber(3), gone);
  EXPECT_EQ(locator_.TakeMessages().located.at(NodeNumber(3)).none_yet.size(), 1u);
}

// Events that come while the loss of a machine takes its turns.
TEST_F(ObjectLocatorTest, ALostObjectIsAnsweredForBeforeTheTurnOfItsLoss) {
  const ObjectId gone = Object(), sealed_again = Object(), freed = Object(), doubted = Object(), awaited = Object();
  for (const ObjectId& object : {gone, sealed_again, freed, doubted}) SealedElsewhere(NodeNumber(2), object, 100);
  Locate(NodeNumber(3), doubted, {NodeNumber(2)});
  Locate(NodeNumber(2), awaited);
  locator_.TakeMessages();
  locator_.MachineLost(NodeNumber(2));
  SealedElsewhere(NodeNumber(4), sealed_again, 100);
  Locate(NodeNumber(3), gone);
  Locate(NodeNumber(3), sealed_again);
  locator_.Freed(std::vector<ObjectId>{freed, awaited});
  auto messages = locator_.TakeMessages();
  EXPECT_EQ(LostWith(messages.located.at(NodeNumber(3))), std::vector<NodeId>{NodeNumber(2)});
  EXPECT_EQ(Holders(messages.located.at(NodeNumber(3))), std::vector<NodeId>{NodeNumber(4)});
  EXPECT_TRUE(messages.free.empty()) << "nobody frees at a lost machine";
  EXPECT_FALSE(messages.located.contains(NodeNumber(2)));
  EXPECT_EQ(messages.unwatch, std::vector{awaited});
  std::set<ObjectId> lost;
  while (locator_.loses())
    for (const auto& [object, with] : locator_.LoseSome(1)) lost.insert(object);
  EXPECT_EQ(lost, (std::set<ObjectId>{gone, doubted}));
  messages = locator_.TakeMessages();
  EXPECT_EQ(LostWith(messages.located.at(NodeNumber(3))), std::vector<NodeId>{NodeNumber(2)}) << "the doubted one";
  EXPECT_EQ(messages.unwatch, std::vector{doubted});
  locator_.Freed(std::vector<ObjectId>{gone, doubted, sealed_again});
  EXPECT_EQ(locator_.directory().objects(), 0u);
}

TEST_F(ObjectLocatorTest, NothingIsLeftOfALostObjectOnceItsOwnerHasEnded) {
  const ObjectId gone = Object(), doubted = Object();
  for (const ObjectId& object : {gone, doubted}) SealedElsewhere(NodeNumber(2), object, 100);
  Locate(NodeNumber(3), doubted, {NodeNumber(2)});
  EXPECT_EQ(Lose(NodeNumber(2)).size(), 2u);
  dead_.insert(7);
  locator_.OwnerGone(7);
  EXPECT_EQ(locator_.directory().objects(), 0u);
}

}  // namespace
}  // namespace raylet
