#include "raylet/objects/settlements.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <deque>
#include <random>
#include <utility>
#include <vector>

namespace raylet {
namespace {

using namespace std::chrono_literals;

constexpr MachineNumber kMachine{5};
ProcessId Process(uint32_t number) { return ProcessIdOf(kMachine, number); }

using Keys = Settlements::Keys;
using Step = Settlements::Step;

class SettlementsTest : public ::testing::Test {
 protected:
  void Open(uint32_t number, ProcessSet asked, std::set<NodeId> machines = {}) {
    Settlements::End end;
    end.processes = {Process(number)};
    end.asked = std::move(asked);
    end.machines = std::move(machines);
    settlements_.Open(Process(number), std::move(end), now_);
  }
  // An end of the other machine.
  void OpenElsewhere(ProcessId key, ProcessSet asked) {
    Settlements::End end;
    end.processes = {key};
    end.asked = std::move(asked);
    end.settled_by = there_;
    settlements_.Open(key, std::move(end), now_);
  }
  void OpenLossOfTheMachine(ProcessSet asked, Duration grace = {}) {
    Settlements::End end;
    end.processes = {kLoss};
    end.asked = std::move(asked);
    end.not_before = now_ + grace;
    settlements_.Open(kLoss, std::move(end), now_);
  }
  // Takes all steps. The keys of those of one kind.
  Keys Taken(Step::Kind kind) {
    for (Step& step : settlements_.TakeSteps(now_)) taken_.push_back(std::move(step));
    Keys keys;
    std::erase_if(taken_, [&](const Step& step) {
      if (step.kind != kind) return false;
      keys.insert(step.key);
      waited_for_ = step.waits_for;
      return true;
    });
    return keys;
  }
  Keys Settled() { return Taken(Step::kSettled); }
  Keys Claimed() { return Taken(Step::kClaimed); }
  Keys ClaimedHere() { return Taken(Step::kClaimedHere); }

  static constexpr MachineNumber kThere{6};
  static constexpr ProcessId kOther = ProcessIdOf(kThere, 9);  // of the other machine
  static constexpr ProcessId kLoss = AllProcessesOf(kThere);
  TimePoint now_{1h};
  Settlements settlements_;
  const NodeId there_ = NodeId::FromRandom();
  std::vector<Step> taken_;
  Keys waited_for_;  // of the last step
};

TEST_F(SettlementsTest, AnEndThatNobodyHearsOfIsSettledAtOnce) {
  Open(1, {});
  EXPECT_EQ(Settled(), Keys{Process(1)});
  EXPECT_EQ(settlements_.open(), 0u);
  EXPECT_TRUE(taken_.empty()) << "to settle it says that it is claimed";
}

TEST_F(SettlementsTest, AnEndIsSettledWhenAllProcessesHaveAnsweredAndAllMachinesHaveClaimed) {
  Open(1, {Process(2), Process(3)}, {there_});
  settlements_.Answered(Process(1), Process(2));
  settlements_.MachineClaimed(Process(1), there_);
  EXPECT_EQ(Settled(), Keys{});
  settlements_.Answered(Process(1), Process(3));
  EXPECT_EQ(Settled(), Keys{Process(1)});
}

TEST_F(SettlementsTest, AProcessThatEndsBeforeItAnswersMakesTheOlderEndWaitForItsOwn) {
  Open(1, {Process(2)});
  settlements_.ProcessesEnded({Process(2)});
  Open(2, {Process(3)});
  EXPECT_EQ(Settled(), Keys{}) << "whoever held something through both has claimed it of neither";
  settlements_.Answered(Process(2), Process(3));
  EXPECT_EQ(Settled(), (Keys{Process(1), Process(2)}));
}

// Process 2 may hold something through 1 that only 1 holds through 3.
TEST_F(SettlementsTest, AnEndWaitsForTheOtherEndsOfItsMachineToBeClaimed) {
  Open(1, {Process(2)});
  Open(3, {});
  EXPECT_EQ(Settled(), Keys{});
  settlements_.Answered(Process(1), Process(2));
  EXPECT_EQ(Settled(), (Keys{Process(1), Process(3)}));
}

TEST_F(SettlementsTest, AnEndDoesNotWaitForAnEndThatCameAfterItWasClaimed) {
  Open(1, {}, {there_});
  EXPECT_EQ(Settled(), Keys{});
  Open(3, {Process(2)});
  EXPECT_EQ(Settled(), Keys{});
  settlements_.MachineClaimed(Process(1), there_);
  EXPECT_EQ(Settled(), Keys{Process(1)});
}

TEST_F(SettlementsTest, TwoEndsThatWaitForEachOtherAreSettledTogether) {
  Open(1, {}, {there_});
  Open(2, {}, {there_});
  EXPECT_EQ(Settled(), Keys{});
  settlements_.MachineClaimed(Process(1), there_);
  EXPECT_EQ(Settled(), Keys{});
  settlements_.MachineClaimed(Process(2), there_);
  EXPECT_EQ(Settled(), (Keys{Process(1), Process(2)}));
}

TEST_F(SettlementsTest, AMachineThatClaimsAnEndMakesItWaitForItsOwnEnds) {
  Open(1, {}, {there_});
  EXPECT_EQ(Settled(), Keys{});
  OpenElsewhere(kOther, {Process(2)});
  settlements_.MachineClaimed(Process(1), there_);
  EXPECT_EQ(Claimed(), Keys{Process(1)}) << "the others hear what it waits for";
  EXPECT_EQ(waited_for_, Keys{kOther});
  EXPECT_EQ(Claimed(), Keys{}) << "once";
  settlements_.Answered(kOther, Process(2));
  EXPECT_EQ(ClaimedHere(), Keys{kOther});
  EXPECT_EQ(ClaimedHere(), Keys{}) << "once";
  EXPECT_EQ(Settled(), Keys{}) << "a third machine may have to claim it still";
  settlements_.ClaimedElsewhere(kOther, {});
  EXPECT_EQ(Settled(), Keys{Process(1)});
}

TEST_F(SettlementsTest, AnEndWaitsForWhatThoseThatItWaitsForWaitFor) {
  Open(1, {}, {there_});
  EXPECT_EQ(Settled(), Keys{});
  OpenElsewhere(kOther, {});
  settlements_.MachineClaimed(Process(1), there_);
  constexpr ProcessId kUnheard = ProcessIdOf(MachineNumber{7}, 3);
  settlements_.ClaimedElsewhere(kOther, {kUnheard, Process(1)});
  EXPECT_EQ(Settled(), Keys{}) << "of another machine, which this one has not heard of yet";
  settlements_.ClaimedElsewhere(kUnheard, {kOther});
  EXPECT_EQ(Settled(), Keys{Process(1)});
}

TEST_F(SettlementsTest, AnEndThatIsOverIsNotWaitedForAgain) {
  OpenElsewhere(kOther, {});
  settlements_.SettledElsewhere(kOther);
  Open(1, {}, {there_});
  constexpr ProcessId kThird = ProcessIdOf(MachineNumber{7}, 3);
  const NodeId third = NodeId::FromRandom();
  Settlements::End end;
  end.processes = {kThird};
  end.settled_by = third;
  settlements_.Open(kThird, end, now_);
  settlements_.MachineClaimed(Process(1), there_);
  Open(2, {}, {third});
  settlements_.MachineClaimed(Process(2), third);
  EXPECT_EQ(Settled(), Keys{});
  settlements_.ClaimedElsewhere(kThird, {kOther});
  EXPECT_EQ(Settled(), (Keys{Process(1), Process(2)}));
}

TEST_F(SettlementsTest, TheEndOfALostMachineStandsForWhatItHasNotClaimed) {
  Open(1, {}, {there_});
  EXPECT_EQ(Settled(), Keys{});
  settlements_.LossTold(there_, kLoss);
  OpenLossOfTheMachine({Process(2)}, 2s);
  EXPECT_EQ(Settled(), Keys{});
  settlements_.Answered(kLoss, Process(2));
  EXPECT_EQ(Settled(), Keys{}) << "the other machines hear of the loss later";
  EXPECT_EQ(settlements_.NextTime(), now_ + 2s);
  now_ += 2s;
  EXPECT_EQ(Settled(), (Keys{Process(1), kLoss}));
}

TEST_F(SettlementsTest, TheEndOfALostMachineStandsForThoseOfItsProcesses) {
  OpenElsewhere(kOther, {Process(2)});
  Open(1, {}, {there_});
  settlements_.MachineClaimed(Process(1), there_);
  EXPECT_EQ(Settled(), Keys{});
  settlements_.LossTold(there_, kLoss);
  OpenLossOfTheMachine({Process(2)});
  EXPECT_EQ(settlements_.open(), 2u) << "the lost machine settles nothing any more";
  EXPECT_EQ(Settled(), Keys{});
  settlements_.Answered(kLoss, Process(2));
  EXPECT_EQ(Settled(), (Keys{Process(1), kLoss}));
  settlements_.ClaimedElsewhere(kOther, {});  // late; it does no harm
}

TEST_F(SettlementsTest, AnEndThatBeginsWhileALossIsToldWaitsForTheLoss) {
  settlements_.MachineLost(there_);
  Open(1, {});
  EXPECT_EQ(Settled(), Keys{});
  settlements_.LossTold(there_, kLoss);
  OpenLossOfTheMachine({Process(2)});
  EXPECT_EQ(Settled(), Keys{}) << "the other process may claim what it had through both";
  settlements_.Answered(kLoss, Process(2));
  EXPECT_EQ(Settled(), (Keys{Process(1), kLoss}));
  Open(4, {});
  EXPECT_EQ(Settled(), Keys{Process(4)});
}

TEST_F(SettlementsTest, ALostMachineIsNotWaitedForWhereAThirdOneNamesItsProcesses) {
  constexpr ProcessId kThird = ProcessIdOf(MachineNumber{7}, 3);
  const NodeId third = NodeId::FromRandom();
  Settlements::End end;
  end.processes = {kThird};
  end.settled_by = third;
  settlements_.Open(kThird, end, now_);
  Open(1, {}, {third});
  settlements_.MachineClaimed(Process(1), third);
  settlements_.LossTold(there_, kLoss);
  OpenLossOfTheMachine({});
  EXPECT_EQ(Settled(), Keys{});
  settlements_.ClaimedElsewhere(kThird, {kOther});
  EXPECT_EQ(Settled(), (Keys{Process(1), kLoss}));
}

TEST_F(SettlementsTest, AProcessThatNeverAnswersIsWaitedForABoundedTime) {
  Open(1, {Process(2)});
  EXPECT_EQ(settlements_.NextTime(), now_ + kSettlePatience);
  now_ += kSettlePatience - 1ms;
  EXPECT_EQ(Settled(), Keys{});
  now_ += 1ms;
  EXPECT_EQ(Settled(), Keys{Process(1)});
  EXPECT_FALSE(settlements_.NextTime());
}

TEST_F(SettlementsTest, AnEndThatNobodySettlesIsForgottenAfterABoundedTime) {
  OpenElsewhere(kOther, {Process(2)});
  EXPECT_EQ(settlements_.NextTime(), now_ + kSettlePatience);
  now_ += kSettlePatience;
  EXPECT_EQ(ClaimedHere(), Keys{kOther});
  EXPECT_EQ(settlements_.open(), 0u);
}

TEST_F(SettlementsTest, AnEndMayHaveAnEarliestTime) {
  OpenLossOfTheMachine({}, 2s);
  EXPECT_EQ(Settled(), Keys{});
  EXPECT_EQ(settlements_.NextTime(), now_ + 2s);
  settlements_.Force(kLoss);
  EXPECT_EQ(Settled(), Keys{kLoss});
}

// Several machines whose messages take any time, one object of machine 0, and processes that lend it on to one another
// and end. A living process that refers to the object keeps it in any order of events. Two machines may also part: each
// takes the other for lost, at some time, while others reach both.
class Machines {
 public:
  static constexpr size_t kCount = 5;

  Machines(uint32_t seed, bool some_part) : random_(seed), some_part_(some_part), machines_(1 + seed % kCount) {
    for (NodeId& node : nodes_) node = NodeId::FromRandom();
    processes_.push_back({});  // the owner, of machine 0
  }

  void Act() {
    switch (random_() % 9) {
      case 0: return Lend();
      case 1: return End(Some());
      case 2:
      case 3: return Answer(Some());
      case 4:
        if (some_part_) return random_() % 2 == 0 ? Lose(Machine(), Machine()) : TellLoss(Machine(), Machine());
        [[fallthrough]];
      default: Deliver(Machine(), Machine());
    }
  }
  // Until nothing is under way any more. False when some end is never settled.
  bool Finish() {
    for (size_t from = 0; from < machines_; ++from)
      for (size_t to = 0; to < machines_; ++to)
        if (lost_[to][from]) Lose(from, to);
    for (size_t machine = 0; machine < machines_; ++machine)
      for (size_t other = 0; other < machines_; ++other) TellLoss(machine, other);
    for (size_t round = 0; round < 200; ++round) {
      for (size_t process = 0; process < processes_.size(); ++process) Answer(process);
      for (size_t from = 0; from < machines_; ++from)
        for (size_t to = 0; to < machines_; ++to)
          while (Deliver(from, to)) continue;
    }
    return std::all_of(settlements_.begin(), settlements_.end(), [](const auto& each) { return each.open() == 0; });
  }
  bool EveryReferenceIsKept() const {
    for (size_t process = 0; process < processes_.size(); ++process)
      if (processes_[process].lives && !Kept(process)) return false;
    return true;
  }

 private:
  struct Process {
    size_t machine = 0;
    size_t lender = 0;  // a process; the owner's is itself
    bool lives = true, settled = false, claimed = false;
    std::deque<ProcessId> asked;  // of whose ends it has heard and not answered
  };
  struct Message {
    enum { kEnded, kClaimedHere, kClaimed, kSettled, kClaims, kClaimsTaken } type;
    ProcessId key = 0;
    size_t by = 0;
    Keys waits_for;
  };

  static MachineNumber NumberOf(size_t machine) { return MachineNumber(10 + static_cast<uint32_t>(machine)); }
  // Their numbers are not in the order of the ends.
  ProcessId IdOf(size_t process) const {
    return ProcessIdOf(NumberOf(processes_[process].machine), static_cast<uint32_t>(100 - process));
  }
  size_t ProcessOf(ProcessId id) const {
    for (size_t process = 0; process < processes_.size(); ++process)
      if (IdOf(process) == id) return process;
    ADD_FAILURE() << "no process has number " << id;
    return 0;
  }
  size_t MachineWith(const NodeId& node) const {
    return static_cast<size_t>(std::find(nodes_.begin(), nodes_.end(), node) - nodes_.begin());
  }
  size_t Machine() { return random_() % machines_; }
  size_t Some() { return random_() % processes_.size(); }

  // A lend to a process that has ended stays until that end is settled.
  bool Kept(size_t process) const {
    const Process& each = processes_[process];
    if (each.settled) return false;
    return process == 0 || each.claimed || Kept(each.lender);
  }

  void Lend() {
    const size_t lender = Some();
    if (!processes_[lender].lives || processes_.size() > 12) return;
    Process added;
    added.machine = Machine();
    added.lender = lender;
    processes_.push_back(std::move(added));
  }

  // Asks those of the machine that have met one of them.
  ProcessSet Ask(size_t machine, ProcessId key) {
    ProcessSet asked;
    for (size_t process = 1; process < processes_.size(); ++process) {
      Process& each = processes_[process];
      const ProcessId lender = IdOf(each.lender);
      if (!each.lives || each.machine != machine || (lender != key && AllProcessesOf(MachineOf(lender)) != key))
        continue;
      each.asked.push_back(key);
      asked.insert(IdOf(process));
    }
    return asked;
  }

  void End(size_t process) {
    Process& ended = processes_[process];
    if (!ended.lives) return;
    ended.lives = false;
    ended.asked.clear();
    const size_t machine = ended.machine;
    const ProcessId key = IdOf(process);
    settlements_[machine].ProcessesEnded({key});
    Settlements::End end;
    end.processes = {key};
    end.asked = Ask(machine, key);
    for (size_t other = 0; other < machines_; ++other) {
      if (other == machine || lost_[machine][other]) continue;
      end.machines.insert(nodes_[other]);
      Send(machine, other, {Message::kEnded, key, 0, {}});
    }
    settlements_[machine].Open(key, std::move(end), TimePoint{});
    Settle(machine);
  }

  // The machine takes the other one for lost, and closes their connection.
  void Lose(size_t machine, size_t other) {
    if (machine == other || lost_[machine][other]) return;
    lost_[machine][other] = untold_[machine][other] = true;
    settlements_[machine].MachineLost(nodes_[other]);
  }

  // Its processes hear of it later.
  void TellLoss(size_t machine, size_t other) {
    if (!std::exchange(untold_[machine][other], false)) return;
    const ProcessId key = AllProcessesOf(NumberOf(other));
    settlements_[machine].LossTold(nodes_[other], key);
    Settlements::End end;
    end.processes = {key};
    end.asked = Ask(machine, key);
    settlements_[machine].Open(key, std::move(end), TimePoint{});
    Settle(machine);
  }

  // It claims, and answers once the claim has arrived.
  void Answer(size_t process) {
    Process& each = processes_[process];
    if (each.asked.empty()) return;
    const ProcessId ended = each.asked.front();
    each.asked.pop_front();
    if (each.machine != 0 && !lost_[each.machine][0])
      return Send(each.machine, 0, {Message::kClaims, ended, process, {}});
    each.claimed = each.machine == 0;
    settlements_[each.machine].Answered(ended, IdOf(process));
    Settle(each.machine);
  }

  void Send(size_t from, size_t to, Message message) { under_way_[from][to].push_back(std::move(message)); }

  bool Deliver(size_t from, size_t to) {
    auto& messages = under_way_[from][to];
    if (messages.empty()) return false;
    const Message message = std::move(messages.front());
    messages.pop_front();
    Settlements& settlements = settlements_[to];
    if (lost_[from][to] || lost_[to][from]) {
      // Claims that do not arrive are not waited for.
      if (message.type == Message::kClaims) settlements_[from].Answered(message.key, IdOf(message.by));
      if (message.type == Message::kClaimsTaken) settlements.Answered(message.key, IdOf(message.by));
      Settle(from);
      Settle(to);
      return true;
    }
    switch (message.type) {
      case Message::kEnded: {
        Settlements::End end;
        end.processes = {message.key};
        end.asked = Ask(to, message.key);
        end.settled_by = nodes_[from];
        settlements.Open(message.key, std::move(end), TimePoint{});
        break;
      }
      case Message::kClaimedHere: settlements.MachineClaimed(message.key, nodes_[from]); break;
      case Message::kClaimed:
      case Message::kSettled:
        EXPECT_EQ(MachineOf(message.key), NumberOf(from)) << "a machine speaks of its own processes alone";
        if (message.type == Message::kClaimed)
          settlements.ClaimedElsewhere(message.key, message.waits_for);
        else
          settlements.SettledElsewhere(message.key);
        break;
      case Message::kClaims:
        processes_[message.by].claimed = true;
        Send(to, from, {Message::kClaimsTaken, message.key, message.by, {}});
        break;
      case Message::kClaimsTaken: settlements.Answered(message.key, IdOf(message.by)); break;
    }
    Settle(to);
    return true;
  }

  void Settle(size_t machine) {
    for (const Step& step : settlements_[machine].TakeSteps(TimePoint{})) {
      if (step.kind == Step::kClaimedHere) {
        Send(machine, MachineWith(*step.end.settled_by), {Message::kClaimedHere, step.key, 0, {}});
        continue;
      }
      if (step.kind == Step::kSettled) {
        if (StandsForMachine(step.key)) continue;  // each machine settles the loss for itself
        processes_[ProcessOf(step.key)].settled = true;
      }
      for (size_t other = 0; other < machines_; ++other) {
        if (other == machine) continue;
        if (step.kind == Step::kSettled)
          Send(machine, other, {Message::kSettled, step.key, 0, {}});
        else
          Send(machine, other, {Message::kClaimed, step.key, 0, step.waits_for});
      }
    }
  }

  std::mt19937 random_;
  const bool some_part_;
  const size_t machines_;
  std::array<NodeId, kCount> nodes_;
  std::array<Settlements, kCount> settlements_;
  std::array<std::array<bool, kCount>, kCount> lost_{};    // to the first, the second is
  std::array<std::array<bool, kCount>, kCount> untold_{};  // and the processes of the first have not heard so
  std::array<std::array<std::deque<Message>, kCount>, kCount> under_way_;
  std::vector<Process> processes_;
};

TEST(SettlementsOfMachinesTest, ALivingProcessKeepsWhatItRefersToWhicheverOthersEndWhen) {
  for (uint32_t seed = 1; seed <= 4'000; ++seed) {
    SCOPED_TRACE(seed);
    Machines machines(seed, /*some_part=*/false);
    for (int step = 0; step < 120; ++step) {
      machines.Act();
      ASSERT_TRUE(machines.EveryReferenceIsKept()) << "after step " << step;
    }
    ASSERT_TRUE(machines.Finish()) << "no two machines wait for each other";
    ASSERT_TRUE(machines.EveryReferenceIsKept());
    ASSERT_FALSE(::testing::Test::HasFailure());
  }
}

TEST(SettlementsOfMachinesTest, EveryEndIsSettledWhicheverMachinesPartWhen) {
  for (uint32_t seed = 1; seed <= 4'000; ++seed) {
    SCOPED_TRACE(seed);
    Machines machines(seed, /*some_part=*/true);
    for (int step = 0; step < 120; ++step) machines.Act();
    ASSERT_TRUE(machines.Finish()) << "some end waits for ever";
    ASSERT_FALSE(::testing::Test::HasFailure());
  }
}

}  // namespace
}  // namespace raylet
