// The figures of the training, on Debian's data set, through the program as users run it: daemons of its own, two
// servers, two workers, the defaults.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <string>

#include "tests/client/examples/fashion_mnist_program.h"

namespace {

using raylet::test::TrainingRun;

constexpr const char* kEqual = "parameters equal those of a single process bit for bit";

TEST(FashionMnistFigures, SoftmaxReachesItsAccuracyInTenEpochsInBothModes) {
  const TrainingRun together({"--model", "softmax", "--compare"});
  ASSERT_EQ(together.exit_code(), 0) << together.output();
  EXPECT_TRUE(together.Says("\nepoch 10/10 ")) << together.output();
  EXPECT_TRUE(together.Says(kEqual)) << together.output();
  EXPECT_GE(together.accuracy(), 0.835);
  EXPECT_EQ(together.Left(), "");

  const TrainingRun apart({"--model", "softmax", "--mode", "async"});
  ASSERT_EQ(apart.exit_code(), 0) << apart.output();
  EXPECT_GE(apart.accuracy(), 0.835);
  EXPECT_LE(std::abs(apart.accuracy() - together.accuracy()), 0.005);
  EXPECT_EQ(apart.Left(), "");
}

// The whole training has twenty epochs. The test run has seven of them; RAYLET_WHOLE_TRAININGS asks for all, by hand.
TEST(FashionMnistFigures, TheMlpReachesItsAccuracyInBothModes) {
  const bool whole = std::getenv("RAYLET_WHOLE_TRAININGS") != nullptr;
  const double least = whole ? 0.88 : 0.875;
  const std::string epochs = whole ? "20" : "7";
  const TrainingRun together({"--epochs", epochs});
  ASSERT_EQ(together.exit_code(), 0) << together.output();
  EXPECT_TRUE(together.Says("\nepoch " + epochs + "/" + epochs + " ")) << together.output();
  EXPECT_GE(together.accuracy(), least);

  const TrainingRun apart({"--epochs", epochs, "--mode", "async"});
  ASSERT_EQ(apart.exit_code(), 0) << apart.output();
  EXPECT_GE(apart.accuracy(), least);
  EXPECT_LE(std::abs(apart.accuracy() - together.accuracy()), 0.005);
}

TEST(FashionMnistFigures, TheMlpEqualsOneProcessBitForBitWithSeveralSeedsAndSplits) {
  for (const auto& [seed, count] : {std::pair("2", "2"), std::pair("3", "3")}) {
    const TrainingRun run(
        {"--epochs", "1", "--compare", "--seed", seed, "--workers", count, "--shards", count, "--momentum", "0.5"});
    ASSERT_EQ(run.exit_code(), 0) << run.output();
    EXPECT_TRUE(run.Says(kEqual)) << run.output();
  }
}

TEST(FashionMnistFigures, SoftmaxEqualsOneProcessBitForBitWithSeveralSeedsAndSplits) {
  for (const auto& [seed, count] : {std::pair("2", "1"), std::pair("3", "3")}) {
    const TrainingRun run(
        {"--model", "softmax", "--epochs", "1", "--compare", "--seed", seed, "--workers", count, "--shards", count});
    ASSERT_EQ(run.exit_code(), 0) << run.output();
    EXPECT_TRUE(run.Says(kEqual)) << run.output();
  }
}

}  // namespace
