#include "raylet/peers/load.h"

#include <gtest/gtest.h>

#include <functional>

#include "tests/harness/node_number.h"

namespace raylet {
namespace {

NodeLoad SomeLoad() {
  NodeLoad load;
  load.lines.push_back({kCpu, 4 * kUnitsPerWhole, 3 * kUnitsPerWhole, 7 * kUnitsPerWhole, kUnitsPerWhole});
  load.lines.push_back({"gpu", kUnitsPerWhole, -kUnitsPerWhole, 0});  // more is in use than there is
  load.queued_tasks = 5;
  load.running_tasks = 2;
  load.store_capacity_bytes = 1000;
  load.store_free_bytes = 400;
  load.held[test::NodeNumber(3)].Accumulate(kCpu, 2 * kUnitsPerWhole);
  return load;
}

TEST(PeerLoad, IsTheSameOnTheOtherSide) {
  const NodeLoad sent = SomeLoad();
  const auto heard = FromWire(ToWire(sent));
  ASSERT_TRUE(heard) << heard.error().message;
  ASSERT_EQ(heard->lines.size(), 2u);
  EXPECT_EQ(heard->lines[0].name, kCpu);
  EXPECT_EQ(heard->lines[0].total_units, 4 * kUnitsPerWhole);
  EXPECT_EQ(heard->lines[0].free_units, 3 * kUnitsPerWhole);
  EXPECT_EQ(heard->lines[0].queued_units, 7 * kUnitsPerWhole);
  EXPECT_EQ(heard->lines[0].leased_units, kUnitsPerWhole);
  EXPECT_EQ(heard->lines[1].free_units, -kUnitsPerWhole);
  EXPECT_EQ(heard->queued_tasks, 5u);
  EXPECT_EQ(heard->running_tasks, 2u);
  EXPECT_EQ(heard->store_capacity_bytes, 1000u);
  EXPECT_EQ(heard->store_free_bytes, 400u);
  ASSERT_EQ(heard->held.size(), 1u);
  ASSERT_EQ(heard->held.begin()->second.amounts().size(), 1u);
  EXPECT_EQ(heard->held.begin()->second.amounts()[0].units, 2 * kUnitsPerWhole);
}

TEST(PeerLoad, ALoadPastTheLimitsIsCutSoThatTheOtherSideTakesIt) {
  NodeLoad load;
  for (size_t i = 0; i < kLoadLinesMax + 1; ++i) load.lines.push_back({"r" + std::to_string(i), 1, 1, 0});
  for (size_t i = 0; i < kLoadHeldMax + 1; ++i) load.held[test::NodeNumber(i)].Accumulate(kCpu, 1);
  load.lines[0].queued_units = kUnitsMax + 1;  // a queue may ask for more than any machine has
  const auto heard = FromWire(ToWire(load));
  ASSERT_TRUE(heard) << heard.error().message;
  EXPECT_EQ(heard->lines.size(), kLoadLinesMax);
  EXPECT_EQ(heard->held.size(), kLoadHeldMax);
  EXPECT_EQ(heard->lines[0].queued_units, kUnitsMax);
}

TEST(PeerLoad, RefusesWhatMakesNoSense) {
  using Damage = std::function<void(wire::PeerHeartbeatT&)>;
  const std::vector<std::pair<std::string, Damage>> damages = {
      {"no name", [](auto& h) { h.lines[0]->name.clear(); }},
      {"a long name", [](auto& h) { h.lines[0]->name.assign(kResourceNameBytesMax + 1, 'n'); }},
      {"less than nothing in total", [](auto& h) { h.lines[0]->total_units = -1; }},
      {"too much in total", [](auto& h) { h.lines[0]->total_units = kUnitsMax + 1; }},
      {"more free than there is", [](auto& h) { h.lines[0]->free_units = h.lines[0]->total_units + 1; }},
      {"too much in use", [](auto& h) { h.lines[0]->free_units = -kUnitsMax - 1; }},
      {"a queue of less than nothing", [](auto& h) { h.lines[0]->queued_units = -1; }},
      {"leases of less than nothing", [](auto& h) { h.lines[0]->leased_units = -1; }},
      {"more leased than there is", [](auto& h) { h.lines[0]->leased_units = h.lines[0]->total_units + 1; }},
      {"a queue that is too long", [](auto& h) { h.lines[0]->queued_units = kUnitsMax + 1; }},
      {"nothing held", [](auto& h) { h.held[0]->resources[0]->units = 0; }},
      {"too much held", [](auto& h) { h.held[0]->resources[0]->units = kUnitsMax + 1; }},
      {"something held without a name", [](auto& h) { h.held[0]->resources[0]->name.clear(); }},
      {"too many resources",
       [](auto& h) {
         while (h.lines.size() <= kLoadLinesMax)
           h.lines.push_back(std::make_unique<wire::PeerResourceLineT>(*h.lines[0]));
       }},
      {"too many resources held",
       [](auto& h) {
         auto& resources = h.held[0]->resources;
         while (resources.size() <= kLoadLinesMax)
           resources.push_back(std::make_unique<wire::ResourceT>(*resources[0]));
       }},
  };
  for (const auto& [what, damage] : damages) {
    wire::PeerHeartbeatT heartbeat = ToWire(SomeLoad());
    damage(heartbeat);
    const auto heard = FromWire(heartbeat);
    ASSERT_FALSE(heard) << what;
    EXPECT_EQ(heard.error().code, ErrorCode::kProtocolError) << what;
  }
}

}  // namespace
}  // namespace raylet
