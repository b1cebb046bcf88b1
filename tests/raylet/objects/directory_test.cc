#include "raylet/objects/directory.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

#include "tests/harness/node_number.h"

namespace raylet {
namespace {

using test::NodeNumber;

std::atomic<uint64_t> next_object{1};

ObjectId ObjectOf(ProcessId owner) { return NewObjectId(owner, next_object); }

TEST(ObjectDirectory, LocatingRayletsAreToldOnceThereIsACopy) {
  ObjectDirectory directory;
  const ObjectId object = ObjectOf(7);
  EXPECT_TRUE(directory.Locating(object, NodeNumber(2)));
  EXPECT_FALSE(directory.Locating(object, NodeNumber(3)));
  EXPECT_TRUE(directory.Holder(object).IsNil());
  EXPECT_EQ(directory.SealedElsewhere(object, NodeNumber(4)), (std::vector<NodeId>{NodeNumber(2), NodeNumber(3)}));
  EXPECT_EQ(directory.Holder(object), NodeNumber(4));
  EXPECT_TRUE(directory.SealedElsewhere(object, NodeNumber(2)).empty());
  EXPECT_EQ(directory.Holders(object), (std::vector<NodeId>{NodeNumber(4), NodeNumber(2)}));
  directory.Dropped(object, NodeNumber(4));
  EXPECT_EQ(directory.Holder(object), NodeNumber(2));
}

TEST(ObjectDirectory, AnObjectThatIsSealedHereNeedsNoEntry) {
  ObjectDirectory directory;
  const ObjectId object = ObjectOf(7);
  directory.Locating(object, NodeNumber(2));
  EXPECT_EQ(directory.SealedHere(object), std::vector<NodeId>{NodeNumber(2)});
  EXPECT_EQ(directory.objects(), 0u);
}

TEST(ObjectDirectory, FreedObjectsNameTheirCopies) {
  ObjectDirectory directory;
  const ObjectId a = ObjectOf(7), b = ObjectOf(8);
  directory.SealedElsewhere(a, NodeNumber(2), 500);
  directory.SealedElsewhere(b, NodeNumber(3));
  EXPECT_EQ(directory.Bytes(a), 500u);
  EXPECT_EQ(directory.Freed(a), std::vector<NodeId>{NodeNumber(2)});
  EXPECT_TRUE(directory.Freed(a).empty());
  EXPECT_EQ(directory.objects(), 1u);
}

// Everything that is still to be done for machines that have gone.
std::vector<std::pair<ObjectId, NodeId>> ForgetAll(ObjectDirectory& directory) {
  std::vector<std::pair<ObjectId, NodeId>> lost;
  while (directory.forgets()) {
    const auto some = directory.ForgetLost(1).lost;
    lost.insert(lost.end(), some.begin(), some.end());
  }
  return lost;
}

TEST(ObjectDirectory, ALostMachineHasNoCopiesBeforeItsEntriesAreForgotten) {
  ObjectDirectory directory;
  const ObjectId last = ObjectOf(7), copied = ObjectOf(7), awaited = ObjectOf(7);
  for (const ObjectId& object : {last, copied}) directory.SealedElsewhere(object, NodeNumber(2), 10);
  directory.SealedElsewhere(copied, NodeNumber(3), 10);
  directory.Locating(awaited, NodeNumber(2));
  directory.MachineLost(NodeNumber(2));
  EXPECT_TRUE(directory.Holders(last).empty());
  EXPECT_EQ(directory.Bytes(last), 0u);
  EXPECT_EQ(directory.LostWith(last), NodeNumber(2));
  EXPECT_EQ(directory.Holders(copied), std::vector<NodeId>{NodeNumber(3)});
  EXPECT_TRUE(directory.LostWith(copied).IsNil());
  EXPECT_TRUE(directory.SealedHere(awaited).empty());
  EXPECT_EQ(ForgetAll(directory), (std::vector<std::pair<ObjectId, NodeId>>{{last, NodeNumber(2)}}));
  EXPECT_EQ(directory.objects(), 1u);
}

TEST(ObjectDirectory, KeepsWhatAMachineSaysThatIsThereAgainBeforeItsLossIsDone) {
  ObjectDirectory directory;
  const ObjectId again = ObjectOf(7), not_again = ObjectOf(7), awaited = ObjectOf(7);
  for (const ObjectId& object : {again, not_again}) directory.SealedElsewhere(object, NodeNumber(2));
  directory.Locating(awaited, NodeNumber(2));
  directory.MachineLost(NodeNumber(2));
  directory.SealedElsewhere(again, NodeNumber(2));
  directory.Locating(awaited, NodeNumber(2));
  EXPECT_EQ(ForgetAll(directory), (std::vector<std::pair<ObjectId, NodeId>>{{not_again, NodeNumber(2)}}));
  EXPECT_EQ(directory.Holders(again), std::vector<NodeId>{NodeNumber(2)});
  EXPECT_EQ(directory.SealedHere(awaited), std::vector<NodeId>{NodeNumber(2)});
}

TEST(ObjectDirectory, TheLossOfManyCopiesTakesManySmallSteps) {
  ObjectDirectory directory;
  constexpr size_t kMany = 6'400;
  for (size_t i = 0; i < kMany; ++i) directory.SealedElsewhere(ObjectOf(7), NodeNumber(2));
  directory.MachineLost(NodeNumber(2));
  size_t lost = 0, most = 0;
  while (directory.forgets()) {
    const size_t some = directory.ForgetLost(100).lost.size();
    lost += some;
    most = std::max(most, some);
  }
  EXPECT_EQ(lost, kMany);
  EXPECT_LT(most, 400u);  // a part has 100 on average
}

TEST(ObjectDirectory, AgreesWithAPlainMapUnderRandomEvents) {
  std::mt19937 random(11);
  ObjectDirectory directory;
  std::map<ObjectId, std::set<NodeId>> holders;
  std::map<ObjectId, std::set<NodeId>> locating;
  std::set<ObjectId> lost;
  std::vector<ObjectId> objects;
  for (int i = 0; i < 40; ++i) objects.push_back(ObjectOf(1 + random() % 4));
  for (int step = 0; step < 20'000; ++step) {
    const ObjectId& object = objects[random() % objects.size()];
    const NodeId node = NodeNumber(static_cast<uint8_t>(2 + random() % 4));
    const auto told = [&](const std::vector<NodeId>& nodes) {
      EXPECT_EQ(std::set<NodeId>(nodes.begin(), nodes.end()), locating[object]);
      locating.erase(object);
    };
    switch (random() % 12) {
      case 0:
      case 1:
      case 2:
        holders[object].insert(node);
        lost.erase(object);
        told(directory.SealedElsewhere(object, node));
        break;
      case 3:
      case 4:
      case 5:
        // One that has gone may still be named, which keeps the store's watch.
        EXPECT_TRUE(!directory.Locating(object, node) || locating[object].empty());
        locating[object].insert(node);
        break;
      case 6:
        holders[object].erase(node);
        directory.Dropped(object, node);
        break;
      case 7: told(directory.SealedHere(object)); break;
      case 8: {
        const auto freed = directory.Freed(object);
        EXPECT_EQ(std::set<NodeId>(freed.begin(), freed.end()), holders[object]);
        holders.erase(object);
        lost.erase(object);
        break;
      }
      case 9:
        if (random() % 4 > 0) break;
        for (auto& [each, at] : holders)
          if (at.erase(node) > 0 && at.empty()) lost.insert(each);
        for (auto& [each, at] : locating) at.erase(node);
        directory.MachineLost(node);
        break;
      case 10:
        for (const auto& [each, with] : directory.ForgetLost(1).lost) {
          EXPECT_TRUE(lost.contains(each));
          directory.Lost(each, with);
        }
        break;
      default: {
        const NodeId holder = directory.Holder(object);
        EXPECT_EQ(holder.IsNil(), holders[object].empty());
        EXPECT_TRUE(holder.IsNil() || holders[object].contains(holder));
      }
    }
    std::erase_if(holders, [](const auto& entry) { return entry.second.empty(); });
    std::erase_if(locating, [](const auto& entry) { return entry.second.empty(); });
    EXPECT_EQ(directory.LostWith(object).IsNil(), !lost.contains(object));
    if (directory.forgets()) continue;
    std::set<ObjectId> known = lost;
    for (const auto& entry : holders) known.insert(entry.first);
    for (const auto& entry : locating) known.insert(entry.first);
    ASSERT_EQ(directory.objects(), known.size());
  }
}

}  // namespace
}  // namespace raylet
