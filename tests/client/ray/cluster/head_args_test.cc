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

TEST(HeadArgs, CountGpusAmongTheResources) {
  const auto resources = [](const Words& words) {
    const HeadArgs args = ReadHeadArgs(words);
    return args.raylet.size() == 2 && args.raylet[0] == "--resources" ? args.raylet[1] : "none";
  };
  EXPECT_EQ(resources({"--num-gpus", "2"}), "{\"GPU\": 2}");
  EXPECT_EQ(resources({"--num-gpus=2", "--resources", "{\"disk\": 1}"}), "{\"GPU\": 2, \"disk\": 1}");
  EXPECT_EQ(resources({"--resources={ }", "--num-gpus", "3"}), "{\"GPU\": 3 }");
  EXPECT_EQ(resources({"--resources", "{\"disk\": 1}", "--num-gpus=0"}), "{\"disk\": 1}");
  EXPECT_EQ(resources({"--num-gpus", "0"}), "none");
  EXPECT_THROW(ReadHeadArgs({"--num-gpus", "many"}), ray::internal::RayException);
  EXPECT_THROW(ReadHeadArgs({"--num-gpus"}), ray::internal::RayException);
}

}  // namespace
}  // namespace raylet::client
