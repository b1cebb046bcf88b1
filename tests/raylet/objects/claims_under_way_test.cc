#include "raylet/objects/claims_under_way.h"

#include <gtest/gtest.h>

#include <atomic>

namespace raylet {
namespace {

class ClaimsUnderWayTest : public ::testing::Test {
 protected:
  static constexpr ProcessId kOwnerHere = 10, kClaimer = 11, kAnother = 12, kEnded = 20, kOwnerThere = 30,
                             kAnotherThere = 31;

  ClaimsUnderWay::Taken From(const NodeId& node, uint64_t number, size_t claimed = 1) {
    ClaimsUnderWay::Taken taken{node, number, {}, {}, {}};
    for (size_t i = 0; i < claimed; ++i) taken.claimed.push_back(NewObjectId(kOwnerHere, next_));
    return taken;
  }
  void Answers(ProcessId by) { claims_.Add(ClaimsUnderWay::Answer{kEnded, by, {}}); }
  void Answers(const NodeId& node) { claims_.Add(ClaimsUnderWay::Answer{kEnded, 0, node}); }
  std::vector<ProcessId> Counted() {
    std::vector<ProcessId> by;
    for (const auto& answer : claims_.TakeAnswers()) by.push_back(answer.by);
    return by;
  }
  uint64_t Sent(const NodeId& node, ProcessId by, ClaimCause cause, ProcessId owner = kOwnerThere) {
    const ObjectId object = NewObjectId(owner, next_);
    return claims_.Sent(node, by, {&object, 1}, cause);
  }
  std::vector<uint64_t> Told() {
    std::vector<uint64_t> requests;
    for (const auto& question : claims_.TakeQuestions()) requests.push_back(question.request);
    return requests;
  }
  std::vector<uint64_t> Answered(size_t most = 100, bool expect_more = false) {
    bool more = false;
    std::vector<uint64_t> numbers;
    for (const auto& taken : claims_.TakeTaken(most, more)) numbers.push_back(taken.number);
    EXPECT_EQ(more, expect_more);
    return numbers;
  }

  const NodeId one_ = NodeId::FromRandom(), other_ = NodeId::FromRandom();
  std::atomic<uint64_t> next_{1};
  ClaimsUnderWay claims_;
};

TEST_F(ClaimsUnderWayTest, AnAnswerCountsAtOnceWhereNoClaimIsUnderWay) {
  Answers(kClaimer);
  EXPECT_EQ(Counted(), std::vector{kClaimer});
  EXPECT_TRUE(Counted().empty());
}

TEST_F(ClaimsUnderWayTest, AnAnswerWaitsForTheClaimsBeforeItAndForNoneAfterIt) {
  const uint64_t first = Sent(other_, kClaimer, ClaimCause::kEnd);
  const uint64_t second = Sent(one_, kClaimer, ClaimCause::kEnd);
  Answers(kClaimer);
  const uint64_t later = Sent(other_, kAnother, ClaimCause::kEnd);
  Answers(kAnother);
  EXPECT_EQ(claims_.TakenBy(one_, second), kClaimer);
  EXPECT_TRUE(Counted().empty());
  EXPECT_FALSE(claims_.TakenBy(one_, first)) << "another machine has it";
  EXPECT_EQ(claims_.TakenBy(other_, first), kClaimer);
  EXPECT_FALSE(claims_.TakenBy(other_, first)) << "once";
  EXPECT_EQ(Counted(), std::vector{kClaimer});
  EXPECT_EQ(claims_.TakenBy(other_, later), kAnother);
  EXPECT_EQ(Counted(), std::vector{kAnother});
}

TEST_F(ClaimsUnderWayTest, AnAnswerWaitsUntilTheOwnersHereHoldWhatTheyWereTold) {
  const uint64_t told = claims_.ToldToHold(kOwnerHere, ClaimCause::kEnd);
  Answers(kClaimer);
  EXPECT_FALSE(claims_.Holds(kAnother, told)) << "another process was told so";
  EXPECT_FALSE(claims_.Holds(kOwnerHere, told + 1));
  EXPECT_TRUE(Counted().empty());
  EXPECT_TRUE(claims_.Holds(kOwnerHere, told));
  EXPECT_FALSE(claims_.Holds(kOwnerHere, told)) << "once";
  EXPECT_EQ(Counted(), std::vector{kClaimer});
}

TEST_F(ClaimsUnderWayTest, ClaimsOfAnotherMachineAreAnsweredOnceTheirObjectsAreHeld) {
  claims_.Add(From(other_, 1));
  const uint64_t told = claims_.ToldToHold(kOwnerHere, ClaimCause::kEnd);
  claims_.Add(From(other_, 2));
  EXPECT_EQ(Answered(), std::vector<uint64_t>{1});
  EXPECT_TRUE(claims_.Holds(kOwnerHere, told));
  EXPECT_EQ(Answered(), std::vector<uint64_t>{2});
}

TEST_F(ClaimsUnderWayTest, ClaimsOfAnotherMachineDoNotWaitForOwnersOfOtherObjects) {
  claims_.ToldToHold(kAnother, ClaimCause::kEnd);
  claims_.Add(From(other_, 1));
  EXPECT_EQ(Answered(), std::vector<uint64_t>{1});
}

TEST_F(ClaimsUnderWayTest, AQuestionIsAnsweredOnceTheOwnerHoldsWhatItWasTold) {
  const uint64_t told = claims_.ToldToHold(kOwnerHere, ClaimCause::kEnd);
  claims_.ToldToHold(kAnother, ClaimCause::kEnd);
  EXPECT_TRUE(claims_.Add({kClaimer, 7, kOwnerHere}));
  claims_.ToldToHold(kOwnerHere, ClaimCause::kEnd);
  EXPECT_TRUE(Told().empty());
  EXPECT_TRUE(claims_.Holds(kOwnerHere, told));
  EXPECT_EQ(Told(), std::vector<uint64_t>{7}) << "neither another owner nor a later claim holds it up";
  EXPECT_TRUE(Told().empty()) << "once";
}

TEST_F(ClaimsUnderWayTest, AQuestionAboutAnotherMachineIsAnsweredOnceItHasTakenTheClaims) {
  const uint64_t first = Sent(other_, kClaimer, ClaimCause::kEnd);
  Sent(one_, kClaimer, ClaimCause::kEnd, kAnotherThere);
  Sent(other_, kAnother, ClaimCause::kEnd);
  EXPECT_TRUE(claims_.Add({kClaimer, 7, kOwnerThere}));
  EXPECT_TRUE(claims_.Add({kClaimer, 8, kAnotherThere}));
  EXPECT_TRUE(Told().empty());
  EXPECT_TRUE(claims_.TakenBy(other_, first));
  EXPECT_EQ(Told(), std::vector<uint64_t>{7});
  claims_.MachineLost(one_);
  EXPECT_EQ(Told(), std::vector<uint64_t>{8});
}

TEST_F(ClaimsUnderWayTest, AQuestionAboutAnEndedOwnerIsAnswered) {
  claims_.ToldToHold(kOwnerHere, ClaimCause::kEnd);
  EXPECT_TRUE(claims_.Add({kClaimer, 7, kOwnerHere}));
  claims_.OwnersEnded({kOwnerHere});
  EXPECT_EQ(Told(), std::vector<uint64_t>{7});
}

TEST_F(ClaimsUnderWayTest, TheQuestionsOfAProcessAreBoundedAndGoWithIt) {
  claims_.ToldToHold(kOwnerHere, ClaimCause::kNoLender);
  for (size_t i = 0; i < ClaimsUnderWay::kQuestionsMax; ++i) ASSERT_TRUE(claims_.Add({kClaimer, i, kOwnerHere}));
  EXPECT_FALSE(claims_.Add({kClaimer, 1, kOwnerHere}));
  EXPECT_TRUE(claims_.Add({kAnother, 1, kOwnerHere})) << "another process may ask";
  claims_.ProcessesEnded({kClaimer});
  EXPECT_TRUE(claims_.Add({kClaimer, 1, kOwnerHere}));
}

TEST_F(ClaimsUnderWayTest, AnEndDoesNotWaitForClaimsThatNoEndLedTo) {
  const uint64_t told = claims_.ToldToHold(kOwnerHere, ClaimCause::kNoLender);
  const uint64_t sent = Sent(other_, kClaimer, ClaimCause::kNoLender);
  Answers(kClaimer);
  EXPECT_EQ(Counted(), std::vector{kClaimer});
  EXPECT_TRUE(claims_.TakenBy(other_, sent));
  EXPECT_TRUE(claims_.Holds(kOwnerHere, told));
}

TEST_F(ClaimsUnderWayTest, AnEndWaitsForAnEarlierClaimOfAnObjectThatItLedToAClaimFor) {
  const uint64_t told = claims_.ToldToHold(kOwnerHere, ClaimCause::kNoLender);
  claims_.ToldToHold(kAnother, ClaimCause::kNoLender);
  claims_.EndWaitsFor(kOwnerHere);
  Answers(kClaimer);
  EXPECT_TRUE(Counted().empty());
  EXPECT_TRUE(claims_.Holds(kOwnerHere, told));
  EXPECT_EQ(Counted(), std::vector{kClaimer});
}

TEST_F(ClaimsUnderWayTest, VeryManyClaimsOfAnotherMachineAreAnsweredSomeAtATime) {
  for (uint64_t number = 1; number <= 5; ++number) claims_.Add(From(other_, number, 10));
  EXPECT_EQ(Answered(15, /*expect_more=*/true), (std::vector<uint64_t>{1, 2}));
  EXPECT_EQ(Answered(30), (std::vector<uint64_t>{3, 4, 5}));
}

TEST_F(ClaimsUnderWayTest, AnOwnerThatHasEndedHoldsUpNothing) {
  claims_.ToldToHold(kOwnerHere, ClaimCause::kEnd);
  claims_.ToldToHold(kAnother, ClaimCause::kEnd);
  Answers(kClaimer);
  claims_.Add(From(other_, 1));
  claims_.OwnersEnded({kOwnerHere});
  EXPECT_TRUE(Counted().empty());
  claims_.OwnersEnded({kAnother});
  EXPECT_EQ(Counted(), std::vector{kClaimer});
  EXPECT_EQ(Answered(), std::vector<uint64_t>{1});
}

TEST_F(ClaimsUnderWayTest, ALostMachineTakesAndAnswersNothingAndIsAnsweredNothing) {
  Sent(other_, kClaimer, ClaimCause::kEnd);
  Answers(kClaimer);
  Answers(other_);
  Answers(one_);
  claims_.Add(From(other_, 1));
  claims_.Add(From(one_, 2));
  claims_.MachineLost(other_);
  const auto counted = claims_.TakeAnswers();
  ASSERT_EQ(counted.size(), 2u);
  EXPECT_EQ(counted[0].by, kClaimer);
  EXPECT_EQ(counted[1].node, one_);
  EXPECT_EQ(Answered(), std::vector<uint64_t>{2});
}

}  // namespace
}  // namespace raylet
