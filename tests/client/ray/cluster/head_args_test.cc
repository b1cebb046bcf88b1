// The arguments of a head as programs written for Ray give them.
#include "client/ray/cluster/head_args.h"

#include <gtest/gtest.h>

#include <ray/api/exceptions.h>

namespace raylet::client {
namespace {

using Words = std::vector<std::string>;

TEST(HeadArgs, GiveOursToTheDaemons) {
  const HeadArgs args = ReadHeadArgs({"--num-cpus", "2", "--object-store-memory", "64M", "--max-workers=5"});
  EXPECT_EQ(args.store_memory, "64M");
  EXPECT_EQ(args.raylet, (Words{"--num-cpus", "2", "--max-workers=5"}));
  EXPECT_TRUE(args.passed_over.empty());
  EXPECT_EQ(ReadHeadArgs({"--metrics-export-port=9000", "--memory", "1000"}).raylet,
            (Words{"--metrics-port", "9000", "--memory", "1000"}));
  EXPECT_EQ(ReadHeadArgs({"--object-store-memory=1G"}).store_memory, "1G");
  EXPECT_EQ(ReadHeadArgs({}).store_memory, std::nullopt);
}

TEST(HeadArgs, PassOverWhatPrivateDaemonsHaveNothingFor) {
  const HeadArgs args = ReadHeadArgs({"--include-dashboard", "false", "--disable-usage-stats", "--temp-dir=/t",
                                      "--node-ip-address", "127.0.0.1", "--num-cpus", "1", "--labels"});
  EXPECT_EQ(args.passed_over,
            (Words{"--include-dashboard", "--disable-usage-stats", "--temp-dir", "--node-ip-address", "--labels"}));
  EXPECT_EQ(args.raylet, (Words{"--num-cpus", "1"}));
}

TEST(HeadArgs, LeaveGpusAndResourcesToTheRaylet) {
  const Words words = {"--num-gpus", "2", "--resources", "{\"disk\": 1}", "--num-gpus=2"};
  EXPECT_EQ(ReadHeadArgs(words).raylet, words);
}

}  // namespace
}  // namespace raylet::client
