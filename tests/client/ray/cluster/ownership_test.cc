#include "client/ray/cluster/ownership.h"

#include <gtest/gtest.h>

#include "client/ray/cluster/lent_hold.h"

namespace raylet::client {
namespace {

constexpr ProcessId kMachine = ProcessId{7} << 32;
constexpr ProcessId kBorrower = kMachine + 1;
constexpr ProcessId kNeighbour = kMachine + 2;
constexpr ProcessId kStranger = (ProcessId{8} << 32) + 1;

class OwnershipTest : public ::testing::Test {
 protected:
  // One hold, which counts itself in ended_ when it is dropped.
  Holds One() {
    Holds holds;
    holds.push_back(std::shared_ptr<int>(new int, [this](const int* value) {
      delete value;
      ++ended_;
      static_cast<void>(ownership_.IsDead(1));  // as a dropped hold may do; under the lock this would wait for ever
    }));
    return holds;
  }
  Ownership ownership_;
  int ended_ = 0;
};

TEST_F(OwnershipTest, NothingIsLentForNoHolds) { EXPECT_EQ(ownership_.Lend(kBorrower, {}), 0u); }

TEST_F(OwnershipTest, OnlyTheBorrowerReturnsALend) {
  const LendId lend = ownership_.Lend(kBorrower, One());
  ASSERT_NE(lend, 0u);
  EXPECT_TRUE(ownership_.EndLend(lend, kStranger).empty());
  EXPECT_EQ(ended_, 0);
  EXPECT_EQ(ownership_.EndLend(lend, kBorrower).size(), 1u);
  EXPECT_EQ(ended_, 1);
  EXPECT_TRUE(ownership_.EndLend(lend).empty());
}

TEST_F(OwnershipTest, DeathEndsTheLendsOfTheProcess) {
  ownership_.Lend(kBorrower, One());
  const LendId other = ownership_.Lend(kNeighbour, One());
  const LendId unknown = ownership_.Lend(0, One());
  ownership_.MarkEnded(std::vector{kBorrower}, "");
  EXPECT_EQ(ended_, 0) << "others may have what it was lent";
  EXPECT_EQ(ownership_.MarkSettled(std::vector{kBorrower}).size(), 1u);
  EXPECT_EQ(ended_, 1);
  EXPECT_TRUE(ownership_.IsDead(kBorrower));
  EXPECT_FALSE(ownership_.IsDead(kNeighbour));
  EXPECT_EQ(ownership_.EndLend(other).size(), 1u);
  EXPECT_EQ(ownership_.EndLend(unknown).size(), 1u);
}

TEST_F(OwnershipTest, LossOfAMachineEndsTheLendsOfAllItsProcesses) {
  ownership_.Lend(kBorrower, One());
  ownership_.Lend(kNeighbour, One());
  const LendId other = ownership_.Lend(kStranger, One());
  ownership_.MarkEnded(std::vector{kMachine}, "its cable was cut");
  EXPECT_EQ(ownership_.MarkSettled(std::vector{kMachine}).size(), 2u);
  EXPECT_TRUE(ownership_.IsDead(kNeighbour));
  EXPECT_NE(ownership_.WhyDead(kNeighbour).find("its cable was cut"), std::string::npos);
  EXPECT_EQ(ownership_.EndLend(other).size(), 1u);
  ownership_.MarkReachedAgain(kMachine);
  EXPECT_FALSE(ownership_.IsDead(kNeighbour));
}

TEST_F(OwnershipTest, ALendKeepsOnlyWhatItsBorrowerRetains) {
  Holds holds;
  std::vector<ObjectId> ids;
  for (int i = 0; i < 3; ++i) {
    ids.push_back(ObjectId::FromRandom());
    holds.push_back(LentHold::Of(One().front(), ids.back()));
  }
  const LendId lend = ownership_.Lend(kBorrower, std::move(holds));
  EXPECT_EQ(ownership_.KeepOnly(lend, std::vector{ids[1]}).size(), 2u);
  EXPECT_EQ(ended_, 2);
  EXPECT_EQ(ownership_.EndLend(lend, kBorrower).size(), 1u);
  EXPECT_EQ(ended_, 3);
}

// What it passed on is retained by others, who did not say so.
TEST_F(OwnershipTest, ALendKeepsAllUntilTheEndsOfItsEarlierBorrowersAreSettled) {
  Holds holds;
  holds.push_back(LentHold::Of(One().front(), ObjectId::FromRandom()));
  const LendId lend = ownership_.Lend(0, std::move(holds));
  ownership_.MarkEnded(std::vector{kBorrower}, "");
  ownership_.SetBorrower(lend, kNeighbour);
  EXPECT_TRUE(ownership_.KeepOnly(lend, std::vector{ObjectId::FromRandom()}).empty());
  EXPECT_EQ(ended_, 0);
}

TEST_F(OwnershipTest, AHoldOfAnotherKindStaysWithItsLend) {
  const LendId lend = ownership_.Lend(kBorrower, One());
  EXPECT_TRUE(ownership_.KeepOnly(lend, std::vector{ObjectId::FromRandom()}).empty());
}

// A call of the dead process may still have been running here when it died. Nobody would return the lend of its result.
TEST_F(OwnershipTest, NothingIsLentToADeadProcess) {
  ownership_.MarkEnded(std::vector{kBorrower, kStranger & ~ProcessId{0xffffffff}}, "");
  EXPECT_EQ(ownership_.Lend(kBorrower, One()), 0u);
  EXPECT_EQ(ownership_.Lend(kStranger, One()), 0u);
  EXPECT_EQ(ended_, 2);
  EXPECT_NE(ownership_.Lend(kNeighbour, One()), 0u);
  EXPECT_EQ(ended_, 2);
}

// A task may have run, and passed its lent objects on, in a process that died, and again in another one.
TEST_F(OwnershipTest, ALendOutlivesItsCallUntilTheEndsOfItsEarlierBorrowersAreSettled) {
  const LendId lend = ownership_.Lend(0, One());
  ownership_.MarkEnded(std::vector{kBorrower}, "");
  ownership_.SetBorrower(lend, kNeighbour);
  EXPECT_TRUE(ownership_.EndLend(lend, kNeighbour).empty());
  EXPECT_EQ(ownership_.MarkSettled(std::vector{kBorrower}).size(), 1u);
}

// Nobody settles the end of a process whose machine is lost meanwhile.
TEST_F(OwnershipTest, TheLossOfAMachineSettlesTheEndsOfItsProcesses) {
  const LendId lend = ownership_.Lend(0, One());
  ownership_.MarkEnded(std::vector{kBorrower}, "");
  ownership_.MarkEnded(std::vector{kMachine}, "");
  ownership_.SetBorrower(lend, kStranger);
  EXPECT_TRUE(ownership_.EndLend(lend, kStranger).empty());
  EXPECT_EQ(ownership_.MarkSettled(std::vector{kMachine}).size(), 1u);
  const LendId late = ownership_.Lend(0, One());
  ownership_.SetBorrower(late, kBorrower);
  EXPECT_EQ(ended_, 2) << "whoever had it is settled with its machine";
}

TEST_F(OwnershipTest, ALendEndsWhenItsBorrowerTurnsOutToBeDead) {
  const LendId lend = ownership_.Lend(0, One());
  ownership_.MarkEnded(std::vector{kBorrower}, "");
  ownership_.SetBorrower(lend, kBorrower);
  EXPECT_EQ(ended_, 0);
  EXPECT_EQ(ownership_.MarkSettled(std::vector{kBorrower}).size(), 1u);
  EXPECT_TRUE(ownership_.EndLend(lend).empty());
}

}  // namespace
}  // namespace raylet::client
