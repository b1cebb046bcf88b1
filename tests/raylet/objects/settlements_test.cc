#include "raylet/objects/settlements.h"

#include <gtest/gtest.h>

#include <deque>
#include <random>

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

// Process 2 may hold something through 1 that only 1 holds through 3.
TEST_F(SettlementsTest, AYoungerEndWaitsForTheAnswersOfTheOlderOnes) {
  Open(1, {Process(2)});
  Open(3, {});
  EXPECT_TRUE(Settled().empty());
  settlements_.Answered(Process(1), Process(2));
  EXPECT_EQ(Settled(), (std::set<ProcessId>{Process(1), Process(3)}));
}

TEST_F(SettlementsTest, AYoungerEndWaitsForWhatComesInThePlaceOfAnAnswer) {
  Open(1, {Process(2)});
  Open(3, {});
  settlements_.ProcessesEnded({Process(2)}, Process(2));
  Open(2, {Process(4)});
  EXPECT_TRUE(Settled().empty());
  settlements_.Answered(Process(2), Process(4));
  EXPECT_EQ(Settled(), (std::set<ProcessId>{Process(1), Process(2), Process(3)}));
}

TEST_F(SettlementsTest, AnOlderEndDoesNotWaitForTheAnswersOfAYoungerOne) {
  Open(1, {});
  Open(3, {Process(2)});
  EXPECT_EQ(Settled(), (std::set<ProcessId>{Process(1)}));
}

TEST_F(SettlementsTest, AYoungerEndWaitsForTheAnswersToAnEndThatItsLostMachineWillNotSettle) {
  Settlements::End end;
  end.processes = {9};
  end.asked = {Process(1)};
  end.settled_by = there_;
  settlements_.Open(9, std::move(end), now_);
  Open(3, {});
  settlements_.MachineGone(there_);
  EXPECT_TRUE(Settled().empty());
  EXPECT_EQ(settlements_.NextTime(), now_ + kSettlePatience);
  settlements_.Answered(9, Process(1));
  EXPECT_EQ(Settled(), (std::set<ProcessId>{Process(3)}));
}

TEST_F(SettlementsTest, AYoungerEndWaitsForTheAnswersToAnEndThatIsForced) {
  Open(1, {Process(2)});
  Open(3, {});
  settlements_.Force(Process(1));
  EXPECT_EQ(Settled(), (std::set<ProcessId>{Process(1)}));
  EXPECT_TRUE(Settled().empty());
  now_ += kSettlePatience;
  EXPECT_EQ(Settled(), (std::set<ProcessId>{Process(3)}));
  EXPECT_FALSE(settlements_.NextTime());
}

// To ask only those whom an end concerns settles every end exactly when it would be settled if all were asked, each
// answered in the order in which it was asked, and those whom an end does not concern answered at once.
TEST_F(SettlementsTest, ToAskOnlyThoseWhomAnEndConcernsChangesNothing) {
  for (uint32_t seed = 1; seed <= 300; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    Settlements few, all;
    struct Question {
      ProcessId key = 0;
      bool concerned = false;
    };
    std::map<ProcessId, std::deque<Question>> living;  // what each has still to answer to `all`
    for (uint32_t number = 1; number <= 8; ++number) living[Process(number)];
    const auto answer_unconcerned = [&](ProcessId by) {
      auto& questions = living[by];
      for (; !questions.empty() && !questions.front().concerned; questions.pop_front())
        all.Answered(questions.front().key, by);
    };
    const auto some = [&] { return std::next(living.begin(), static_cast<std::ptrdiff_t>(random() % living.size())); };
    for (int step = 0; step < 40 && living.size() > 1; ++step) {
      if (random() % 3 == 0) {
        const ProcessId dead = some()->first;
        living.erase(dead);
        few.ProcessesEnded({dead}, dead);
        all.ProcessesEnded({dead}, dead);
        Settlements::End to_few, to_all;
        to_few.processes = to_all.processes = {dead};
        for (auto& [process, questions] : living) {
          const bool concerned = random() % 3 == 0;
          if (concerned) to_few.asked.insert(process);
          to_all.asked.insert(process);
          questions.push_back({dead, concerned});
        }
        few.Open(dead, std::move(to_few), now_);
        all.Open(dead, std::move(to_all), now_);
        for (const auto& [process, questions] : std::map(living)) answer_unconcerned(process);
      } else if (auto& [by, questions] = *some(); !questions.empty()) {
        few.Answered(questions.front().key, by);
        all.Answered(questions.front().key, by);
        questions.pop_front();
        answer_unconcerned(by);
      }
      const auto keys = [&](Settlements& settlements) {
        std::set<ProcessId> settled;
        for (const auto& [key, end] : settlements.TakeSettled(now_)) settled.insert(key);
        return settled;
      };
      ASSERT_EQ(keys(few), keys(all)) << "at step " << step;
      ASSERT_EQ(few.open(), all.open());
    }
  }
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
