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

TEST(ObjectDirectory, FreedAndOrphanedObjectsNameTheirCopies) {
  ObjectDirectory directory;
  const ObjectId a = ObjectOf(7), b = ObjectOf(7), c = ObjectOf(8);
  directory.SealedElsewhere(a, NodeNumber(2));
  directory.SealedElsewhere(b, NodeNumber(3));
  directory.SealedElsewhere(c, NodeNumber(3));
  EXPECT_EQ(directory.Freed(a), std::vector<NodeId>{NodeNumber(2)});
  EXPECT_TRUE(directory.Freed(a).empty());
  EXPECT_EQ(directory.OwnerGone(7), (std::vector<std::pair<ObjectId, NodeId>>{{b, NodeNumber(3)}}));
  EXPECT_EQ(directory.objects(), 1u);
  EXPECT_EQ(directory.NodeGone(NodeNumber(3)), std::vector<ObjectId>{c});
  EXPECT_EQ(directory.objects(), 0u);
}

TEST(ObjectDirectory, AgreesWithAPlainMapUnderRandomEvents) {
  std::mt19937 random(11);
  ObjectDirectory directory;
  std::map<ObjectId, std::set<NodeId>> holders;
  std::map<ObjectId, std::set<NodeId>> locating;
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
        told(directory.SealedElsewhere(object, node));
        break;
      case 3:
      case 4:
      case 5:
        EXPECT_EQ(directory.Locating(object, node), locating[object].empty());
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
        break;
      }
      case 9: {
        const ProcessId owner = OwnerOf(object);
        std::set<std::pair<ObjectId, NodeId>> wanted;
        for (const ObjectId& each : objects) {
          if (OwnerOf(each) != owner) continue;
          for (const NodeId& at : holders[each]) wanted.emplace(each, at);
          holders.erase(each);
          locating.erase(each);
        }
        const auto gone = directory.OwnerGone(owner);
        EXPECT_EQ((std::set<std::pair<ObjectId, NodeId>>(gone.begin(), gone.end())), wanted);
        break;
      }
      case 10: {
        std::set<ObjectId> wanted;
        for (auto& [each, at] : holders)
          if (at.erase(node) > 0 && at.empty()) wanted.insert(each);
        for (auto& [each, at] : locating) at.erase(node);
        const auto lost = directory.NodeGone(node);
        EXPECT_EQ((std::set<ObjectId>(lost.begin(), lost.end())), wanted);
        break;
      }
      default: {
        const NodeId holder = directory.Holder(object);
        EXPECT_EQ(holder.IsNil(), holders[object].empty());
        EXPECT_TRUE(holder.IsNil() || holders[object].contains(holder));
      }
    }
    std::erase_if(holders, [](const auto& entry) { return entry.second.empty(); });
    std::erase_if(locating, [](const auto& entry) { return entry.second.empty(); });
    std::set<ObjectId> known;
    for (const auto& entry : holders) known.insert(entry.first);
    for (const auto& entry : locating) known.insert(entry.first);
    ASSERT_EQ(directory.objects(), known.size());
  }
}

}  // namespace
}  // namespace raylet
