// Optimisers against a reference in double precision that is written from their papers, one number at a time.
#include "client/parameter_server/kernels.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <vector>

namespace kernels_test {

using namespace ray::ps;  // NOLINT(google-build-using-namespace): the subject of this file
using ray::ps::internal::FactorAt;
using ray::ps::internal::Optimiser;
using ray::ps::internal::SquareSum;
using ray::ps::internal::Step;
using ray::ps::internal::Term;

// One parameter with its state.
struct Reference {
  double w = 0, m = 0, v = 0;

  void Do(const CustomRule&, double, double, int) { FAIL() << "a functor of the user's own has no reference here"; }
  void Do(const Sgd& o, double factor, double g, int) {
    g += o.weight_decay * w;
    m = o.momentum * m + g;
    w -= o.rate * factor * (o.nesterov ? g + o.momentum * m : m);
  }
  void Do(const Adagrad& o, double factor, double g, int) {
    g += o.weight_decay * w;
    v += g * g;
    w -= o.rate * factor * g / (std::sqrt(v) + o.epsilon);
  }
  void Do(const RmsProp& o, double factor, double g, int) {
    g += o.weight_decay * w;
    v = o.decay * v + (1 - o.decay) * g * g;
    w -= o.rate * factor * g / (std::sqrt(v) + o.epsilon);
  }
  void Do(const Adam& o, double factor, double g, int step) {
    g += o.weight_decay * w;
    m = o.beta1 * m + (1 - o.beta1) * g;
    v = o.beta2 * v + (1 - o.beta2) * g * g;
    const double mean = m / (1 - std::pow(o.beta1, step));
    const double square = v / (1 - std::pow(o.beta2, step));
    w -= o.rate * factor * mean / (std::sqrt(square) + o.epsilon);
  }
  void Do(const AdamW& o, double factor, double g, int step) {
    w -= o.rate * factor * o.weight_decay * w;
    Do(Adam{o.rate, o.beta1, o.beta2, o.epsilon, 0}, factor, g, step);
  }
  // m: z; v: n.
  void Do(const Ftrl& o, double factor, double g, int step) {
    const double alpha = o.alpha * factor;
    if (step == 1) m = -w * (o.beta / alpha + o.l2) - (w > 0 ? o.l1 : (w < 0 ? -o.l1 : 0));
    const double sigma = (std::sqrt(v + g * g) - std::sqrt(v)) / alpha;
    m += g - sigma * w;
    v += g * g;
    w = std::abs(m) <= o.l1 ? 0 : -(m - (m > 0 ? o.l1 : -o.l1)) / ((o.beta + std::sqrt(v)) / alpha + o.l2);
  }
};

std::vector<std::pair<std::string, Optimizer>> AllOptimizers() {
  return {{"plain descent", Sgd{.rate = 0.1}},
          {"weight decay", Sgd{.rate = 0.1, .weight_decay = 0.01}},
          {"momentum", Sgd{.rate = 0.1, .momentum = 0.9}},
          {"Nesterov", Sgd{.rate = 0.1, .momentum = 0.9, .nesterov = true, .weight_decay = 0.02}},
          {"Adagrad", Adagrad{.rate = 0.1, .weight_decay = 0.01}},
          {"RMSProp", RmsProp{.rate = 0.01, .decay = 0.9, .weight_decay = 0.01}},
          {"Adam", Adam{.rate = 0.01, .weight_decay = 0.01}},
          {"AdamW", AdamW{.rate = 0.01, .weight_decay = 0.1}},
          {"FTRL", Ftrl{.alpha = 0.5, .beta = 1, .l1 = 0.3, .l2 = 0.1}}};
}

// Gradients of some steps, each of one to three workers.
template <class T>
struct Gradients {
  Gradients(std::mt19937_64& random, size_t size, size_t step_count) {
    std::normal_distribution<double> normal;
    for (size_t k = 0; k < step_count; ++k) {
      values.emplace_back(1 + random() % 3);
      for (auto& one : values.back()) {
        for (size_t i = 0; i < size; ++i) one.push_back(static_cast<T>(normal(random)));
        scales.push_back(random() % 2 == 0 ? 1 : 0.5);
      }
    }
    size_t next_scale = 0;
    for (const auto& step : values) {
      steps.emplace_back();
      for (const auto& one : step) steps.back().push_back(Term<T>{one, scales[next_scale++]});
    }
  }
  std::vector<std::vector<std::vector<T>>> values;
  std::vector<double> scales;
  std::vector<Step<T>> steps;
};

template <class T>
std::vector<T> RandomParameters(std::mt19937_64& random, size_t size) {
  std::normal_distribution<double> normal;
  std::vector<T> values;
  for (size_t i = 0; i < size; ++i) values.push_back(static_cast<T>(normal(random)));
  return values;
}

// The result in double precision, for gradients as they are in T.
template <class T>
std::vector<double> Expected(const Optimizer& optimizer, const Schedule& schedule, double clip,
                             const std::vector<T>& parameters, const std::vector<Step<T>>& steps) {
  std::vector<double> expected;
  for (size_t i = 0; i < parameters.size(); ++i) {
    Reference one{static_cast<double>(parameters[i])};
    for (size_t k = 0; k < steps.size(); ++k) {
      double g = 0;
      for (const Term<T>& term : steps[k]) {
        const double value = term.scale * static_cast<double>(term.values[i]);
        g += clip > 0 ? std::clamp(value, -clip, clip) : value;
      }
      std::visit([&](const auto& o) { one.Do(o, FactorAt(schedule, k), g, static_cast<int>(k + 1)); }, optimizer);
    }
    expected.push_back(one.w);
  }
  return expected;
}

template <class T>
void ExpectLikeTheReference(double tolerance) {
  std::mt19937_64 random(7);
  for (const auto& [name, optimizer] : AllOptimizers()) {
    for (const double clip : {0.0, 0.7}) {
      const size_t size = 1 + random() % 5000;
      const Schedule schedule = Schedule::Cosine(6, 0.1).WarmUp(3);
      const std::vector<T> parameters = RandomParameters<T>(random, size);
      const Gradients<T> gradients(random, size, 1 + random() % 6);
      Optimiser<T> optimiser(optimizer, schedule, clip, size);
      std::vector<T> next(size);
      optimiser.Apply(parameters, gradients.steps, next);
      const std::vector<double> expected = Expected(optimizer, schedule, clip, parameters, gradients.steps);
      double worst = 0;
      for (size_t i = 0; i < size; ++i)
        worst = std::max(worst, std::abs(static_cast<double>(next[i]) - expected[i]) / (1 + std::abs(expected[i])));
      EXPECT_LT(worst, tolerance) << name << ", " << size << " parameters, clip " << clip;
      EXPECT_EQ(optimiser.steps(), gradients.steps.size());
    }
  }
}

TEST(OptimiserTest, FloatsAreThoseOfTheReferenceUpToRounding) { ExpectLikeTheReference<float>(2e-5); }
TEST(OptimiserTest, DoublesAreThoseOfTheReferenceUpToRounding) { ExpectLikeTheReference<double>(1e-13); }

TEST(OptimiserTest, OnePassOverManyStepsGivesTheBytesOfManyPasses) {
  std::mt19937_64 random(8);
  for (const auto& [name, optimizer] : AllOptimizers()) {
    const size_t size = 1 + random() % 5000;
    std::vector<float> one_by_one = RandomParameters<float>(random, size);
    const std::vector<float> parameters = one_by_one;
    const Gradients<float> gradients(random, size, 8);
    Optimiser<float> fused(optimizer, Schedule(), 0, size);
    Optimiser<float> single(optimizer, Schedule(), 0, size);
    std::vector<float> next(size);
    fused.Apply(parameters, gradients.steps, next);
    for (const Step<float>& step : gradients.steps) single.Apply(one_by_one, {&step, 1}, one_by_one);
    EXPECT_EQ(next, one_by_one) << name;
    EXPECT_EQ(fused.slots(), single.slots()) << name;
  }
}

// Above the size from which stores go past the cache, and at addresses that these stores do not take.
TEST(OptimiserTest, LargeResultsAreTheSameAtEveryAddress) {
  std::mt19937_64 random(9);
  const size_t size = (size_t{5} << 20) / sizeof(float) + 3;
  const std::vector<float> parameters = RandomParameters<float>(random, size);
  const Gradients<float> gradients(random, size, 1);
  std::vector<float> memory(size + 8, -1);
  std::vector<std::vector<float>> results;
  for (const size_t offset : {0, 1, 4}) {
    Optimiser<float> optimiser(Sgd{.rate = 0.1}, Schedule(), 0, size);
    optimiser.Apply(parameters, gradients.steps, std::span(memory).subspan(offset, size));
    results.emplace_back(memory.begin() + static_cast<ptrdiff_t>(offset),
                         memory.begin() + static_cast<ptrdiff_t>(offset + size));
  }
  EXPECT_EQ(results[0], results[1]);
  EXPECT_EQ(results[0], results[2]);
  const std::vector<double> expected = Expected(Sgd{.rate = 0.1}, Schedule(), 0, parameters, gradients.steps);
  for (size_t i = 0; i < size; i += 997) EXPECT_NEAR(results[0][i], expected[i], 1e-5) << i;
}

TEST(OptimiserTest, SumsOfWholeNumbersAreExact) {
  const size_t size = 3001;
  std::vector<std::vector<float>> gradients;
  for (int worker = 1; worker <= 5; ++worker) gradients.emplace_back(size, static_cast<float>(-worker));
  Step<float> step;
  for (const auto& gradient : gradients) step.push_back({gradient, 1});
  Optimiser<float> optimiser(Sgd{.rate = 1}, Schedule(), 0, size);
  std::vector<float> parameters(size, 100);
  optimiser.Apply(parameters, {&step, 1}, parameters);
  EXPECT_EQ(parameters, std::vector<float>(size, 115));
}

TEST(OptimiserTest, FtrlMakesSmallWeightsExactlyZero) {
  const std::vector<float> gradient = {0.1F, -0.1F, 5, -5};
  std::vector<float> parameters(4);
  const Step<float> step = {{gradient, 1}};
  Optimiser<float> optimiser(Ftrl{.alpha = 0.5, .l1 = 1}, Schedule(), 0, 4);
  optimiser.Apply(parameters, {&step, 1}, parameters);
  EXPECT_EQ(parameters[0], 0);
  EXPECT_EQ(parameters[1], 0);
  EXPECT_LT(parameters[2], 0);
  EXPECT_EQ(parameters[3], -parameters[2]);
}

TEST(ScheduleTest, FactorsOfEachKind) {
  EXPECT_EQ(FactorAt(Schedule::Constant(), 1'000'000), 1);
  EXPECT_EQ(FactorAt(Schedule::Step(10, 0.5), 9), 1);
  EXPECT_EQ(FactorAt(Schedule::Step(10, 0.5), 10), 0.5);
  EXPECT_EQ(FactorAt(Schedule::Step(10, 0.5), 39), 0.125);
  EXPECT_EQ(FactorAt(Schedule::Cosine(100), 0), 1);
  EXPECT_NEAR(FactorAt(Schedule::Cosine(100), 50), 0.5, 1e-15);
  EXPECT_EQ(FactorAt(Schedule::Cosine(100, 0.1), 100), 0.1);
  EXPECT_EQ(FactorAt(Schedule::Cosine(100, 0.1), 1000), 0.1);
  const Schedule warm = Schedule::Step(10, 0.5).WarmUp(4);
  EXPECT_EQ(FactorAt(warm, 0), 0.25);
  EXPECT_EQ(FactorAt(warm, 3), 1);
  EXPECT_EQ(FactorAt(warm, 13), 1);
  EXPECT_EQ(FactorAt(warm, 14), 0.5);
}

TEST(SquareSumTest, IsExactForWholeNumbersAndShowsWhatIsNotFinite) {
  std::vector<float> values(1003, 2);
  EXPECT_EQ(SquareSum<float>(values), 4012);
  values[1002] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_TRUE(std::isnan(SquareSum<float>(values)));
  values[1002] = std::numeric_limits<float>::infinity();
  EXPECT_TRUE(std::isinf(SquareSum<float>(values)));
}

}  // namespace kernels_test
