#include "raylet/objects/settlements.h"

#include <gtest/gtest.h>

namespace raylet {
namespace {

using namespace std::chrono_literals;

constexpr MachineNumber kMachine{5};
ProcessId Process(uint32_t number) { return ProcessIdOf(kMachine, number); }

class SettlementsTest : public ::testing::Test {
 protected:
  void Open(uint32_t number, ProcessSet asked, std::set<NodeId> machines = {}) {
    Settlements::End end;
    end.processes = {Process(number)};
    end.asked = std::move(asked);
    end.machines = std::move(machines);
    settlements_.Open(Process(number), std::move(end), now_);
  }
  std::set<ProcessId> Settled() {
    std::set<ProcessId> keys;
    for (const auto& [key, end] : settlements_.TakeSettled(now_)) keys.insert(key);
    return keys;
  }

  TimePoint now_{1h};
  Settlements settlements_;
  const NodeId there_ = NodeId::FromRandom();
};

TEST_F(SettlementsTest, AnEndThatNobodyHearsOfIsSettledAtOnce) {
  Open(1, {});
  EXPECT_EQ(Settled(), (std::set<ProcessId>{Process(1)}));
  EXPECT_EQ(settlements_.open(), 0u);
}

TEST_F(SettlementsTest, AnEndIsSettledWhenAllProcessesAndMachinesHaveAnswered) {
  Open(1, {Process(2), Process(3)}, {there_});
  settlements_.Answered(Process(1), Process(2));
  settlements_.MachineAnswered(Process(1), there_);
  EXPECT_TRUE(Settled().empty());
  settlements_.Answered(Process(1), Process(3));
  EXPECT_EQ(Settled().size(), 1u);
}

TEST_F(SettlementsTest, AProcessThatEndsBeforeItAnswersMakesTheOlderEndWaitForItsOwn) {
  Open(1, {Process(2)});
  settlements_.ProcessesEnded({Process(2)}, Process(2));
  Open(2, {Process(3)});
  EXPECT_TRUE(Settled().empty()) << "whoever held something through both has claimed it of neither";
  settlements_.Answered(Process(2), Process(3));
  EXPECT_EQ(Settled(), (std::set<ProcessId>{Process(1), Process(2)}));
}

TEST_F(SettlementsTest, ALostMachineIsNotWaitedForAnyMore) {
  Open(1, {}, {there_});
  EXPECT_TRUE(Settled().empty());
  settlements_.MachineGone(there_);
  EXPECT_EQ(Settled().size(), 1u);
}

TEST_F(SettlementsTest, TheEndsThatALostMachineWasToSettleAreForgotten) {
  Settlements::End end;
  end.processes = {9};
  end.asked = {Process(1)};
  end.settled_by = there_;
  settlements_.Open(9, std::move(end), now_);
  settlements_.MachineGone(there_);
  EXPECT_EQ(settlements_.open(), 0u);
}

TEST_F(SettlementsTest, AProcessThatNeverAnswersIsWaitedForABoundedTime) {
  Open(1, {Process(2)});
  EXPECT_EQ(settlements_.NextTime(), now_ + kSettlePatience);
  now_ += kSettlePatience - 1ms;
  EXPECT_TRUE(Settled().empty());
  now_ += 1ms;
  EXPECT_EQ(Settled().size(), 1u);
  EXPECT_FALSE(settlements_.NextTime());
}

TEST_F(SettlementsTest, AnEndMayHaveAnEarliestTime) {
  Settlements::End end;
  end.processes = {Process(1)};
  end.not_before = now_ + 2s;
  settlements_.Open(Process(1), std::move(end), now_);
  EXPECT_TRUE(Settled().empty());
  EXPECT_EQ(settlements_.NextTime(), now_ + 2s);
  settlements_.Force(Process(1));
  EXPECT_EQ(Settled().size(), 1u);
}

}  // namespace
}  // namespace raylet
