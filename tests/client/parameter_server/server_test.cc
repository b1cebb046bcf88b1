// The descriptions of servers, and the pieces of one layout out of those of another.
#include "client/parameter_server/server.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <numeric>
#include <set>
#include <vector>

#include "tests/client/parameter_server/in_process_fixture.h"
#include "tests/client/parameter_server/message_of.h"

namespace server_test {

using parameter_server_test::MessageOf;
using namespace std::chrono_literals;
namespace ps = ray::ps;
using ps::internal::LayoutOf;
using ps::internal::NextSequence;
using ps::internal::Resplit;
using ps::internal::SplitEvenly;
using ps::internal::StartServer;

TEST(LayoutOfTest, TensorsLieInTheOrderOfTheirNames) {
  const auto layout = LayoutOf({{"weights", {2, 3}}, {"bias", {3}}}, 2);
  EXPECT_EQ(layout.size(), 9U);
  EXPECT_EQ(layout.shards(), 2U);
  EXPECT_EQ(layout.tensors.at("bias").offset, 0U);
  EXPECT_EQ(layout.tensors.at("weights").offset, 3U);
}

TEST(LayoutOfTest, ATensorWithoutElementsOrBeyondMemoryIsRefused) {
  EXPECT_EQ(MessageOf([] {
              LayoutOf({{"empty", {4, 0}}}, 1);
            }),
            "the tensor 'empty' has a dimension of 0: it takes 1 or more, and a size that memory holds");
  EXPECT_EQ(MessageOf([] {
              LayoutOf({{"huge", {size_t{1} << 63, 2}}}, 1);
            }),
            "the tensor 'huge' has a dimension of 2: it takes 1 or more, and a size that memory holds");
}

TEST(NextSequenceTest, NumbersDiffer) {
  std::set<uint64_t> seen;
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(seen.insert(NextSequence()).second);
}

class ServerTest : public parameter_server_test::InProcess {};

TEST_F(ServerTest, PiecesOfOneLayoutBecomeThoseOfAnother) {
  std::vector<float> values(10);
  std::iota(values.begin(), values.end(), 0.0F);
  const std::span<const float> all(values);
  for (const size_t shards : {1, 2, 3, 10}) {
    const auto layout = SplitEvenly(10, shards);
    auto pieces = Resplit<float>({all.first(4), all.subspan(4, 1), all.subspan(5)}, layout);
    ASSERT_EQ(pieces.size(), shards);
    for (size_t i = 0; i < shards; ++i)
      EXPECT_TRUE(std::equal(pieces[i].begin(), pieces[i].end(), values.begin() + layout.offsets[i])) << i;
  }
  EXPECT_NE(MessageOf([&] { Resplit<float>({all}, SplitEvenly(11, 2)); }), "nothing was thrown");
}

TEST_F(ServerTest, AServerHasAHomeAndADescriptionOfItsOptions) {
  const auto server = StartServer<float>(SplitEvenly(7, 3), {}, {.policy = ps::Stale{.workers = 4}, .replicas = 1});
  EXPECT_EQ(server->shards.size(), 3U);
  EXPECT_EQ(server->replicas.size(), 3U);
  EXPECT_EQ(server->home.ID(), server->shards[0].ID());
  EXPECT_EQ(server->ranks, 4U);
  EXPECT_FALSE(server->has_rounds);
  EXPECT_TRUE(server->restarts);
  EXPECT_EQ(server->policy, "Stale{workers = 4, staleness = 0}");
}

TEST_F(ServerTest, OptionsThatContradictEachOtherAreRefused) {
  const auto refused = [](const ps::Options& options) {
    return MessageOf([&] { StartServer<double>(SplitEvenly(7, options.shards), {}, options); });
  };
  EXPECT_EQ(refused({.deadline = 0ms}), "the deadline is 0 ms: it takes 1 ms or more");
  EXPECT_EQ(refused({.shards = 2, .placement = {{{"left", 1}}}}),
            "placement has 1 entries, and there are 2 shards: it takes none, or one for each shard");
  EXPECT_EQ(refused({.policy = ps::Synchronous{}}),
            "the policy Synchronous{workers = 0} has no workers: it takes 1 or more");
}

}  // namespace server_test
