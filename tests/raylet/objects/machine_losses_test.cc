#include "raylet/objects/machine_losses.h"

#include <gtest/gtest.h>

namespace raylet {
namespace {

constexpr MachineNumber kLostMachine{9};

ObjectId ObjectOn(MachineNumber machine, uint64_t number) {
  std::atomic<uint64_t> counter{number};
  return NewObjectId(ProcessIdOf(machine, 1), counter);
}

TEST(MachineLosses, EachLossSeesEachPartOnceAndThenNamesWhatIsLost) {
  const ObjectId first = ObjectOn(kLostMachine, 5), second = ObjectOn(MachineNumber{10}, 5);
  MachineLosses losses(3);
  EXPECT_FALSE(losses.looks());
  losses.Add({NodeId::FromRandom(), kLostMachine, {}, 10});
  losses.Add({NodeId::FromRandom(), MachineNumber{10}, {}, 10});
  std::vector<std::pair<MachineNumber, size_t>> seen;
  while (losses.looks()) {
    EXPECT_FALSE(losses.empty());
    losses.LookThroughNext([&](const MachineLosses::Loss& loss, size_t part) {
      seen.emplace_back(loss.machine, part);
      if (part != 2) return std::vector<ObjectId>();
      return std::vector<ObjectId>{loss.machine == kLostMachine ? first : second};
    });
  }
  ASSERT_EQ(seen.size(), 6u);
  for (size_t i = 0; i < 6; ++i) EXPECT_EQ(seen[i], (std::pair(i < 3 ? kLostMachine : MachineNumber{10}, i % 3)));
  for (const MachineNumber machine : {kLostMachine, MachineNumber{10}}) {
    const auto lost = losses.TakeLost();
    ASSERT_TRUE(lost);
    EXPECT_EQ(lost->first, machine == kLostMachine ? first : second);
    EXPECT_EQ(lost->second->machine, machine);
  }
  EXPECT_FALSE(losses.TakeLost());
  EXPECT_TRUE(losses.empty());
}

TEST(MachineLosses, OnlyWhatWasWantedBeforeIsLost) {
  MachineLosses losses(1);
  losses.Add({NodeId::FromRandom(), kLostMachine, {}, 10});
  EXPECT_NE(losses.Of(ObjectOn(kLostMachine, 1), 9), nullptr);
  EXPECT_EQ(losses.Of(ObjectOn(kLostMachine, 1), 10), nullptr);
  EXPECT_EQ(losses.Of(ObjectOn(MachineNumber{10}, 1), 9), nullptr);
  losses.LookThroughNext([](const auto&, size_t) { return std::vector<ObjectId>(); });
  EXPECT_FALSE(losses.TakeLost());
  EXPECT_EQ(losses.Of(ObjectOn(kLostMachine, 1), 9), nullptr) << "it is over";
}

}  // namespace
}  // namespace raylet
