#include "client/parameter_server/option_checks.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <limits>

#include "tests/client/parameter_server/message_of.h"

namespace option_checks_test {

using parameter_server_test::MessageOf;
using ray::ps::internal::CheckNumbers;
namespace ps = ray::ps;

std::string Check(const ps::Options& options) {
  return MessageOf([&] { CheckNumbers(options); });
}

TEST(OptionChecksTest, TheNumbersOfEachOptimiserAsTheyStandAreTaken) {
  for (const ps::Optimizer& optimizer : std::initializer_list<ps::Optimizer>{
           ps::Sgd{}, ps::Adagrad{}, ps::RmsProp{}, ps::Adam{}, ps::AdamW{}, ps::Ftrl{}, ps::Sgd{.rate = 0}})
    EXPECT_EQ(Check({.optimizer = optimizer}), "nothing was thrown");
}

TEST(OptionChecksTest, ErrorsNameTheFieldItsValueAndWhatItTakes) {
  EXPECT_EQ(Check({.optimizer = ps::Sgd{.rate = -1}}), "Sgd::rate is -1.000000: it takes a finite number of 0 or more");
  EXPECT_EQ(Check({.optimizer = ps::Adagrad{.rate = std::nan("")}}),
            "Adagrad::rate is nan: it takes a finite number of 0 or more");
  EXPECT_EQ(Check({.optimizer = ps::Sgd{.momentum = 1}}),
            "Sgd::momentum is 1.000000: it takes 0 or more, and less than 1");
  EXPECT_EQ(Check({.optimizer = ps::Adam{.beta2 = 1.5}}),
            "Adam::beta2 is 1.500000: it takes 0 or more, and less than 1");
  EXPECT_EQ(Check({.optimizer = ps::AdamW{.epsilon = -1}}),
            "AdamW::epsilon is -1.000000: it takes a finite number of 0 or more");
  EXPECT_EQ(Check({.optimizer = ps::RmsProp{.decay = -0.5}}),
            "RmsProp::decay is -0.500000: it takes 0 or more, and less than 1");
  EXPECT_EQ(Check({.optimizer = ps::Ftrl{.alpha = 0}}), "Ftrl::alpha is 0.000000: it takes a finite number above 0");
  EXPECT_EQ(Check({.clip = {.norm = std::numeric_limits<double>::infinity()}}),
            "Clip::norm is inf: it takes a finite number of 0 or more");
  EXPECT_EQ(Check({.schedule = ps::Schedule::Step(10, std::nan(""))}),
            "Schedule::factor is nan: it takes a finite number of 0 or more");
  EXPECT_EQ(Check({.round_deadline = std::chrono::milliseconds(0)}),
            "the round_deadline is 0 ms: it takes 1 ms or more");
}

}  // namespace option_checks_test
