#include "fashion_mnist/flags.h"

#include <gtest/gtest.h>

namespace fashion {
namespace {

// The sentence of the UsageError; empty where the arguments are fine.
std::string Complaint(const std::vector<std::string>& arguments) {
  try {
    ParseFlags(arguments);
    return "";
  } catch (const UsageError& error) {
    return error.what();
  }
}

TEST(FashionMnistFlags, WithoutArgumentsItIsTheMlpWithItsDefaults) {
  const Flags flags = ParseFlags({});
  EXPECT_EQ(flags.train.model, ModelKind::kMlp);
  EXPECT_EQ(flags.train.epochs, 20U);
  EXPECT_TRUE(flags.synchronous);
  EXPECT_EQ(flags.data, kDefaultFolder);
  EXPECT_EQ(flags.progress, ProgressMode::kAuto);
}

TEST(FashionMnistFlags, EveryOptionArrives) {
  const Flags flags = ParseFlags({"--address",  "a",       "--data",        "d",     "--log",    "l",
                                  "--model",    "softmax", "--mode",        "async", "--shards", "3",
                                  "--workers",  "4",       "--epochs",      "5",     "--batch",  "6",
                                  "--rate",     "0.25",    "--momentum",    "0.5",   "--seed",   "18446744073709551615",
                                  "--progress", "never",   "--server-cpus", "1"});
  EXPECT_EQ(flags.address, "a");
  EXPECT_EQ(flags.data, "d");
  EXPECT_EQ(flags.log, "l");
  EXPECT_EQ(flags.train.model, ModelKind::kSoftmax);
  EXPECT_FALSE(flags.synchronous);
  EXPECT_EQ(flags.train.shards, 3U);
  EXPECT_EQ(flags.train.workers, 4U);
  EXPECT_EQ(flags.server_cpus, 1U);
  EXPECT_EQ(flags.train.epochs, 5U);
  EXPECT_EQ(flags.train.batch, 6U);
  EXPECT_EQ(flags.train.rate, 0.25F);
  EXPECT_EQ(flags.train.momentum, 0.5F);
  EXPECT_EQ(flags.train.seed, 18446744073709551615U);
  EXPECT_EQ(flags.progress, ProgressMode::kNever);
  EXPECT_TRUE(ParseFlags({"--compare"}).compare);
  EXPECT_TRUE(ParseFlags({"--help"}).help);
}

TEST(FashionMnistFlags, TheModelSetsTheDefaultsWhereverItStands) {
  const Flags flags = ParseFlags({"--epochs", "3", "--model", "softmax"});
  EXPECT_EQ(flags.train.epochs, 3U);
  EXPECT_EQ(ParseFlags({"--seed", "2", "--model", "softmax"}).train.epochs, 10U);
}

TEST(FashionMnistFlags, NonsenseNamesTheOptionAndWhatItTakes) {
  EXPECT_EQ(Complaint({"--epochs", "-1"}), "--epochs takes a whole number from 1 to 1000000, not '-1'");
  EXPECT_EQ(Complaint({"--rate", "nan"}), "--rate takes a number above 0, at most 1000, not 'nan'");
  EXPECT_EQ(Complaint({"--momentum", "1"}), "--momentum takes a number from 0 to below 1, not '1'");
  EXPECT_EQ(Complaint({"--model", "cnn"}), "--model takes softmax or mlp, not 'cnn'");
  for (const char* const value :
       {"0", "-1", "+1", " 1", "1 ", "1.5", "1e3", "0x10", "", "abc", "257", "99999999999999999999"})
    EXPECT_NE(Complaint({"--workers", value}), "") << value;
  for (const char* const value : {"0", "-0.1", "inf", "nan", "abc", "", "0.1x", "1e9", "1e99"})
    EXPECT_NE(Complaint({"--rate", value}), "") << value;
  for (const char* const flag : {"--shards", "--workers", "--epochs", "--batch", "--seed", "--rate", "--momentum",
                                 "--mode", "--model", "--progress"})
    EXPECT_NE(Complaint({flag, "-1"}).find(flag), std::string::npos) << flag;
}

TEST(FashionMnistFlags, UnknownOptionIsNamed) {
  EXPECT_NE(Complaint({"--epoch", "3"}).find("'--epoch'"), std::string::npos);
  EXPECT_NE(Complaint({"softmax"}).find("'softmax'"), std::string::npos);
  EXPECT_NE(Complaint({"--epochs"}).find("'--epochs'"), std::string::npos);
  EXPECT_NE(Complaint({"--mode", "async", "--compare"}).find("--mode sync"), std::string::npos);
}

TEST(FashionMnistFlags, ThoseOfAPolicyArriveAndGoWithItAlone) {
  const Flags flags = ParseFlags({"--optimizer", "adamw", "--policy", "first", "--backups", "2", "--workers", "5",
                                  "--slow-worker", "30", "--kill-shard", "40", "--chart", "c", "--staleness", "7"});
  EXPECT_EQ(flags.by_policy.policy, PolicyKind::kFirst);
  EXPECT_EQ(flags.by_policy.optimizer, OptimizerKind::kAdamW);
  EXPECT_EQ(flags.by_policy.backups, 2U);
  EXPECT_EQ(flags.by_policy.slow_ms, 30U);
  EXPECT_EQ(flags.by_policy.kill_at, 40U);
  EXPECT_EQ(flags.by_policy.staleness, 7U);
  EXPECT_EQ(flags.by_policy.chart, "c");
  EXPECT_FALSE(flags.by_policy.rate_given);
  EXPECT_TRUE(ParseFlags({"--rate", "0.5"}).by_policy.rate_given);
  EXPECT_EQ(Complaint({"--slow-worker", "1"}), "--slow-worker goes with --policy alone");
  EXPECT_EQ(Complaint({"--policy", "sync", "--compare"}),
            "--compare goes with the example's own servers alone, without --policy");
  EXPECT_EQ(
      Complaint({"--policy", "first", "--backups", "2"}),
      "--policy first waits for the workers without the backups: --backups takes less than --workers, which is 2");
  EXPECT_EQ(Complaint({"--policy", "slow"}), "--policy takes async or sync or stale or first or scaled, not 'slow'");
}

TEST(FashionMnistFlags, HelpListsEveryOption) {
  for (const char* const flag :
       {"--address", "--data",      "--log",       "--model",    "--mode",        "--shards",     "--workers",
        "--epochs",  "--batch",     "--rate",      "--momentum", "--seed",        "--compare",    "--progress",
        "--policy",  "--optimizer", "--staleness", "--backups",  "--slow-worker", "--kill-shard", "--chart"})
    EXPECT_NE(HelpText().find(flag), std::string::npos) << flag;
}

}  // namespace
}  // namespace fashion
