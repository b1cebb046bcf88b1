// What the home of placement groups decides: attempts, refusals, lost machines, removal.
#include "raylet/groups/group_directory.h"

#include <gtest/gtest.h>

#include "tests/harness/node_number.h"
#include "tests/raylet/scheduling/cpus.h"

namespace raylet {
namespace {

using test::Cpus;
using test::kOne;
using test::NodeNumber;
using wire::PlacementStrategy;
using namespace std::chrono_literals;

const NodeId kHome = NodeNumber(1), kA = NodeNumber(2), kB = NodeNumber(3);

class GroupDirectoryTest : public ::testing::Test {
 protected:
  void AddMachine(const NodeId& node, int64_t cpus) {
    view_.Up(node, 1, MachineNumber{node.data()[0]}, "10.0.0.1:1", now_);
    NodeLoad load;
    load.lines.push_back({kCpu, cpus * kOne, cpus * kOne, 0});
    view_.Heard(node, load, now_);
    directory_.ClusterChanged();
  }
  PlacementGroupId Create(const std::string& name, PlacementStrategy strategy, const std::vector<int64_t>& cpus) {
    PlacementGroup group;
    group.id = PlacementGroupId::FromRandom();
    group.job = 1;
    group.name = name;
    group.group_namespace = "tests";
    group.strategy = strategy;
    for (const int64_t each : cpus) group.bundles.push_back(Cpus(each * kOne));
    const PlacementGroupId id = group.id;
    EXPECT_TRUE(directory_.Create(group, /*unnamed_yet=*/false).has_value());
    Try();
    return id;
  }
  void Try() {
    directory_.TryToPlace(ledger_, now_);
    Take();
  }
  void Take() {
    for (auto& decision : directory_.TakeDecisions()) {
      if (auto* prepare = std::get_if<PrepareAt>(&decision)) prepares_.push_back(*prepare);
      if (auto* commit = std::get_if<CommitAt>(&decision)) commits_.push_back(*commit);
      if (auto* give_back = std::get_if<ReturnAt>(&decision)) returns_.push_back(*give_back);
    }
  }
  void AnswerAll(bool prepared = true) {
    for (const PrepareAt& each : std::exchange(prepares_, {}))
      directory_.Prepared(each.node, each.group, each.attempt, prepared);
    Take();
    for (const CommitAt& each : std::exchange(commits_, {})) directory_.Committed(each.node, each.group, each.attempt);
    Take();
  }
  GroupState StateOf(const PlacementGroupId& id) const { return directory_.Find(id)->state; }

  TimePoint now_{1h};
  ClusterView view_{kHome};
  ResourceLedger ledger_{Cpus(2 * kOne)};
  GroupDirectory directory_{view_};
  std::vector<PrepareAt> prepares_;
  std::vector<CommitAt> commits_;
  std::vector<ReturnAt> returns_;
};

TEST_F(GroupDirectoryTest, AGroupIsCreatedOnceAllMachinesHaveCommitted) {
  AddMachine(kA, 2);
  const auto id = Create("g", PlacementStrategy::StrictSpread, {1, 2});
  ASSERT_EQ(prepares_.size(), 2u);
  EXPECT_EQ(StateOf(id), GroupState::Pending);
  directory_.Prepared(prepares_[0].node, id, prepares_[0].attempt, true);
  Take();
  EXPECT_TRUE(commits_.empty());  // one is missing
  directory_.Prepared(prepares_[1].node, id, prepares_[1].attempt, true);
  Take();
  ASSERT_EQ(commits_.size(), 2u);
  EXPECT_EQ(StateOf(id), GroupState::Prepared);
  directory_.Committed(commits_[0].node, id, commits_[0].attempt);
  EXPECT_EQ(StateOf(id), GroupState::Prepared);
  directory_.Committed(commits_[1].node, id, commits_[1].attempt);
  EXPECT_EQ(StateOf(id), GroupState::Created);
}

TEST_F(GroupDirectoryTest, OneRefusalCancelsTheWholeAttemptAndTheNextOneHasANewNumber) {
  AddMachine(kA, 2);
  const auto id = Create("", PlacementStrategy::StrictSpread, {1, 1});
  const uint64_t first = prepares_[0].attempt;
  directory_.Prepared(prepares_[0].node, id, first, true);
  directory_.Prepared(prepares_[1].node, id, first, false);
  Take();
  ASSERT_EQ(returns_.size(), 2u);
  for (const ReturnAt& each : returns_) EXPECT_EQ(each.attempt, first);
  EXPECT_TRUE(commits_.empty());
  prepares_.clear();
  Try();
  EXPECT_TRUE(prepares_.empty());  // it pauses
  EXPECT_TRUE(directory_.WantsTick());
  now_ += kTryAgain;
  Try();
  ASSERT_EQ(prepares_.size(), 2u);
  EXPECT_GT(prepares_[0].attempt, first);
  directory_.Prepared(prepares_[0].node, id, first, true);  // a late answer to the first
  Take();
  EXPECT_TRUE(commits_.empty());
  AnswerAll();
  EXPECT_EQ(StateOf(id), GroupState::Created);
}

TEST_F(GroupDirectoryTest, AMachineThatDoesNotAnswerInTimeLosesTheAttempt) {
  AddMachine(kA, 2);
  const auto id = Create("", PlacementStrategy::StrictSpread, {1, 1});
  directory_.Prepared(kHome, id, prepares_[0].attempt, true);
  directory_.Tick(now_ + kPrepareMax / 2);
  Take();
  EXPECT_TRUE(returns_.empty());
  directory_.Tick(now_ + kPrepareMax);
  Take();
  EXPECT_EQ(returns_.size(), 2u);
}

TEST_F(GroupDirectoryTest, AMachineThatIsLostWhileItPreparesIsToGiveNothingBack) {
  AddMachine(kA, 2);
  const auto id = Create("", PlacementStrategy::StrictSpread, {1, 1});
  view_.Dead(kA);
  directory_.MachineLost(kA);
  Take();
  ASSERT_EQ(returns_.size(), 1u);
  EXPECT_EQ(returns_[0].node, kHome);
  EXPECT_EQ(StateOf(id), GroupState::Pending);
}

TEST_F(GroupDirectoryTest, ALostMachinesBundlesGoElsewhereAndTheOthersStay) {
  AddMachine(kA, 2);
  const auto id = Create("", PlacementStrategy::StrictSpread, {1, 2});
  AnswerAll();
  ASSERT_EQ(StateOf(id), GroupState::Created);
  const NodeId before = directory_.Find(id)->places[0];
  const size_t lost = before == kA ? 0 : 1;
  view_.Dead(kA);
  directory_.MachineLost(kA);
  EXPECT_EQ(StateOf(id), GroupState::Rescheduling);
  Try();
  EXPECT_TRUE(prepares_.empty());  // this machine has a bundle already
  AddMachine(kB, 2);
  Try();
  ASSERT_EQ(prepares_.size(), 1u);
  EXPECT_EQ(prepares_[0].node, kB);
  ASSERT_EQ(prepares_[0].bundles.size(), 1u);
  EXPECT_EQ(prepares_[0].bundles[0].index, lost);
  AnswerAll();
  EXPECT_EQ(StateOf(id), GroupState::Created);
  EXPECT_EQ(directory_.Find(id)->places[lost], kB);
  EXPECT_EQ(directory_.Find(id)->places[1 - lost], kHome);
}

TEST_F(GroupDirectoryTest, AMachineThatIsLostWhileItCommitsLeavesTheOtherBundles) {
  AddMachine(kA, 2);
  const auto id = Create("", PlacementStrategy::StrictSpread, {1, 1});
  for (const PrepareAt& each : std::exchange(prepares_, {})) directory_.Prepared(each.node, id, each.attempt, true);
  Take();
  directory_.Committed(kHome, id, commits_[0].attempt);
  view_.Dead(kA);
  directory_.MachineLost(kA);
  EXPECT_EQ(StateOf(id), GroupState::Rescheduling);
  const auto& places = directory_.Find(id)->places;
  EXPECT_EQ(std::count(places.begin(), places.end(), kHome), 1);
}

TEST_F(GroupDirectoryTest, RemovalTellsEveryMachineOnceAndFreesTheName) {
  AddMachine(kA, 2);
  const auto id = Create("g", PlacementStrategy::StrictSpread, {1, 1});
  AnswerAll();
  directory_.Remove(id, "it was removed");
  directory_.Remove(id, "it was removed");
  Take();
  ASSERT_EQ(returns_.size(), 2u);
  for (const ReturnAt& each : returns_) EXPECT_EQ(each.attempt, 0u);
  EXPECT_EQ(StateOf(id), GroupState::Removed);
  EXPECT_EQ(directory_.FindName("tests", "g", false), nullptr);
  const auto again = Create("g", PlacementStrategy::Pack, {1});
  EXPECT_EQ(directory_.FindName("tests", "g", false)->id, again);
}

TEST_F(GroupDirectoryTest, ATakenNameIsRefusedAndANameOfAnotherNamespaceIsNot) {
  Create("g", PlacementStrategy::Pack, {1});
  PlacementGroup group;
  group.id = PlacementGroupId::FromRandom();
  group.job = 1;
  group.name = "g";
  group.group_namespace = "tests";
  group.bundles = {Cpus(kOne)};
  EXPECT_EQ(directory_.Create(group, false).error().code, ErrorCode::kAlreadyExists);
  group.group_namespace = "others";
  EXPECT_TRUE(directory_.Create(group, false).has_value());
}

TEST_F(GroupDirectoryTest, AGroupThatNoMachinesHaveIsInfeasibleUntilOneComes) {
  const auto id = Create("", PlacementStrategy::Pack, {16});
  EXPECT_TRUE(directory_.infeasible().contains(id));
  EXPECT_NE(directory_.Find(id)->reason.find("no machines have"), std::string::npos);
  AddMachine(kA, 16);
  Try();
  EXPECT_FALSE(directory_.infeasible().contains(id));
  AnswerAll();
  EXPECT_EQ(StateOf(id), GroupState::Created);
}

TEST_F(GroupDirectoryTest, LeasedAmountsCountAsFreeWhereAGroupHasNoRoomWithoutThem) {
  AddMachine(kA, 2);
  NodeLoad load;
  load.lines.push_back({kCpu, 2 * kOne, 0, 0, 2 * kOne});
  view_.Heard(kA, load, now_);
  const auto small = Create("", PlacementStrategy::Pack, {2});
  ASSERT_EQ(prepares_.size(), 1u);
  EXPECT_EQ(prepares_[0].node, kHome);  // it has room without leases
  AnswerAll();
  EXPECT_EQ(StateOf(small), GroupState::Created);
  ledger_.Take(*ledger_.Resolve(Cpus(2 * kOne)));
  Create("", PlacementStrategy::StrictPack, {1, 1});
  ASSERT_EQ(prepares_.size(), 1u);
  EXPECT_EQ(prepares_[0].node, kA);
  prepares_.clear();
  Create("", PlacementStrategy::Pack, {2});  // they are promised already
  EXPECT_TRUE(prepares_.empty());
  directory_.TryToPlace(ledger_, now_, Cpus(2 * kOne));  // of this machine's own leases
  Take();
  ASSERT_EQ(prepares_.size(), 1u);
  EXPECT_EQ(prepares_[0].node, kHome);
}

TEST_F(GroupDirectoryTest, OfTwoGroupsThatWaitForOneNameTheOneWithTheSmallerIdGetsIt) {
  PlacementGroup group;
  group.id = PlacementGroupId::FromRandom();
  group.id.mutable_data()[0] = 100;
  group.job = 1;
  group.name = "g";
  group.group_namespace = "tests";
  group.bundles = {Cpus(kOne)};
  PlacementGroupId smaller = group.id, larger = group.id;
  smaller.mutable_data()[0] = 99;
  larger.mutable_data()[0] = 101;
  EXPECT_EQ(directory_.YieldingTo(smaller, "tests", "g"), nullptr);
  ASSERT_TRUE(directory_.Create(group, /*unnamed_yet=*/true).has_value());
  ASSERT_NE(directory_.YieldingTo(smaller, "tests", "g"), nullptr);
  EXPECT_EQ(directory_.YieldingTo(smaller, "tests", "g")->id, group.id);
  EXPECT_EQ(directory_.YieldingTo(smaller, "others", "g"), nullptr);
  EXPECT_EQ(directory_.YieldingTo(larger, "tests", "g"), nullptr);
  directory_.NameTaken(group.id, {});
  EXPECT_EQ(directory_.YieldingTo(smaller, "tests", "g"), nullptr);  // it has the name for good
}

TEST_F(GroupDirectoryTest, TheLastThousandRemovedGroupsAreRemembered) {
  std::vector<PlacementGroupId> ids;
  for (size_t i = 0; i < kRemovedGroupsKeptMax + 1; ++i) {
    ids.push_back(Create("", PlacementStrategy::Pack, {16}));
    directory_.Remove(ids.back(), "it was removed");
  }
  EXPECT_EQ(directory_.Find(ids[0]), nullptr);
  EXPECT_EQ(StateOf(ids[1]), GroupState::Removed);
  EXPECT_EQ(directory_.All().size(), kRemovedGroupsKeptMax);
}

}  // namespace
}  // namespace raylet
