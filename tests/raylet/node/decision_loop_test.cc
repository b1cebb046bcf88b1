#include "raylet/node/decision_loop.h"

#include <gtest/gtest.h>
#include <uv.h>

#include <optional>

namespace raylet {
namespace {

class DecisionLoopTest : public testing::Test {
 protected:
  // Runs the loop until `turns` more turns are over.
  void RunTurns(int turns) {
    for (int i = 0; i < turns; ++i) {
      loop_.Post([] {});  // so that the turn does not wait
      uv_run(loop_.raw(), UV_RUN_ONCE);
    }
  }

  Loop loop_;
  int decisions_ = 0;  // that wait to be carried out
  int rounds_ = 0, passes_ = 0;
  std::function<void()> in_round_;
  std::optional<DecisionLoop> decider_{std::in_place, loop_,
                                       [this] {
                                         if (decisions_ == 0) return false;
                                         ++rounds_;
                                         decisions_ = 0;
                                         if (in_round_) in_round_();
                                         return true;
                                       },
                                       [this] { ++passes_; }};
};

TEST_F(DecisionLoopTest, CarriesOutAtOnceAndEndsThePassOnce) {
  decisions_ = 3;
  decider_->CarryOut();
  EXPECT_EQ(rounds_, 1);
  EXPECT_EQ(passes_, 1);
}

TEST_F(DecisionLoopTest, DecisionsOfARoundFollowInTheSamePass) {
  decisions_ = 1;
  in_round_ = [this] {
    if (rounds_ < 3) decisions_ = 1;
    decider_->CarryOut();  // a handler does not know that a pass is under way
    EXPECT_EQ(passes_, 0);
  };
  decider_->CarryOut();
  EXPECT_EQ(rounds_, 3);
  EXPECT_EQ(passes_, 1);
}

TEST_F(DecisionLoopTest, OnePassAtTheEndOfTheTurnServesManyMessages) {
  loop_.Post([this] {
    for (int message = 0; message < 5; ++message) {
      ++decisions_;
      decider_->CarryOutSoon();
    }
    EXPECT_EQ(rounds_, 0);
  });
  RunTurns(2);
  EXPECT_EQ(rounds_, 1);
  EXPECT_EQ(passes_, 1);
  loop_.Post([this] {
    ++decisions_;
    decider_->CarryOutSoon();
  });
  RunTurns(2);
  EXPECT_EQ(rounds_, 2) << "the next turn has a pass of its own";
}

TEST_F(DecisionLoopTest, CarriesNothingOutOnceStopped) {
  loop_.Post([this] {
    ++decisions_;
    decider_->CarryOutSoon();
    decider_->Stop();
  });
  RunTurns(2);
  decider_->CarryOut();
  EXPECT_TRUE(decider_->stopped());
  EXPECT_EQ(rounds_, 0);
  EXPECT_EQ(passes_, 0);
}

TEST_F(DecisionLoopTest, MayEndWhileAPassIsDue) {
  loop_.Post([this] {
    ++decisions_;
    decider_->CarryOutSoon();
    decider_.reset();
  });
  RunTurns(2);
  EXPECT_EQ(rounds_, 0);
}

}  // namespace
}  // namespace raylet
