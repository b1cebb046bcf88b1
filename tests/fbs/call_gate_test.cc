#include "fbs/call_gate.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace raylet {
namespace {

TEST(CallGateTest, CallsBeginInOrderUntilTheGateIsShut) {
  CallGate gate;
  EXPECT_FALSE(BeginCall(gate, 2));  // not its turn
  EXPECT_TRUE(BeginCall(gate, 1));
  EXPECT_TRUE(BeginCall(gate, 2));
  EXPECT_EQ(LastBegun(gate), 2u);
  EXPECT_FALSE(IsShut(gate));
  EXPECT_EQ(ShutGate(gate), 2u);
  EXPECT_TRUE(IsShut(gate));
  EXPECT_FALSE(BeginCall(gate, 3));
  EXPECT_EQ(ShutGate(gate), 2u);  // as often as one likes
  EXPECT_EQ(LastBegun(gate), 2u);
}

TEST(CallGateTest, EverybodyWhoShutsItLearnsTheSameLastCall) {
  for (int round = 0; round < 300; ++round) {
    CallGate gate;
    uint64_t begun = 0;
    std::vector<uint64_t> seen(2);
    std::vector<std::thread> threads;
    threads.emplace_back([&] {
      while (BeginCall(gate, begun + 1)) ++begun;
    });
    for (uint64_t& each : seen)
      threads.emplace_back([&] {
        while (LastBegun(gate) < 20) std::this_thread::yield();
        each = ShutGate(gate);
      });
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(seen[0], begun);
    EXPECT_EQ(seen[1], begun);
  }
}

}  // namespace
}  // namespace raylet
