// A Resize as its owner conducts it, in one process: what the old shards say, before and after the new ones count.
#include <gtest/gtest.h>

#include <chrono>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

#include "client/parameter_server/server.h"
#include "client/parameter_server/shard.h"
#include "tests/client/parameter_server/in_process_fixture.h"
#include "tests/client/parameter_server/message_of.h"
#include "tests/harness/run_folder.h"

namespace resize_test {

using parameter_server_test::MessageOf;
using ray::Array;
namespace ps = ray::ps;
using ps::internal::Announce;
using ps::internal::kNoRank;
using ps::internal::kNoVersion;
using ps::internal::Mend;
using ps::internal::PushReply;
using ps::internal::Resized;
using Server = ps::internal::Server<float>;
using Shard = ps::internal::Shard<float>;

class ResizeTest : public parameter_server_test::InProcess {
 protected:
  static std::shared_ptr<Server> NewServer(const ps::Options& options) {
    std::vector<float> initial(10);
    std::iota(initial.begin(), initial.end(), 0.0F);
    return ps::internal::StartServer<float>(ps::internal::SplitEvenly(10, options.shards), initial, options);
  }
  // Subtracts 1 from each parameter of the shard.
  static PushReply Push(const Server& server, size_t shard, uint64_t sequence) {
    const std::vector<float> ones(server.layout->ShardSize(shard), 1);
    return *server.shards[shard]
                .Task(&Shard::Push)
                .Remote(ps::internal::PushArguments{kNoRank, kNoVersion, sequence, 1}, Array<float>::CopyOf(ones))
                .Get();
  }
  static std::vector<float> ValuesOf(const Server& server) {
    std::vector<float> values;
    for (const auto& shard : server.shards) {
      const auto reply = shard.Task(&Shard::Read).Remote(kNoRank, kNoVersion, kNoVersion).Get();
      values.insert(values.end(), reply->values.begin(), reply->values.end());
    }
    return values;
  }
  static std::vector<float> Numbers(float first) {
    std::vector<float> values(10);
    std::iota(values.begin(), values.end(), first);
    return values;
  }
  const ps::Options options_{
      .shards = 2, .optimizer = ps::Sgd{.rate = 1}, .round_deadline = std::chrono::milliseconds(20)};
};

TEST_F(ResizeTest, TheNewShardsHaveAllAndTheOldOnesAreClosed) {
  const auto old = NewServer(options_);
  for (const size_t shard : {0, 1}) EXPECT_TRUE(Push(*old, shard, 7).applied);
  const auto next = Resized(*old, 3);
  EXPECT_EQ(next->epoch, 1U);
  EXPECT_EQ(next->home.ID(), old->home.ID());
  EXPECT_EQ(ValuesOf(*next), Numbers(-1));
  EXPECT_EQ(ValuesOf(*old), Numbers(-1)) << "readers are served until the home has heard";
  EXPECT_TRUE(Push(*old, 0, 8).closed);
  EXPECT_FALSE(Push(*old, 0, 7).closed) << "it counts";
  EXPECT_TRUE(old->home.Task(&Shard::Where).Remote(uint64_t{0}).Get()->moved.empty());
  Announce(*old, *next);
  const auto door = old->home.Task(&Shard::Where).Remote(uint64_t{0}).Get();
  ASSERT_EQ(door->moved.size(), 1U);
  EXPECT_EQ(door->moved[0].shards.size(), 3U);
  EXPECT_TRUE(old->home.Task(&Shard::Where).Remote(uint64_t{1}).Get()->moved.empty()) << "the caller knows it";
  EXPECT_TRUE(old->shards[1].Task(&Shard::Read).Remote(kNoRank, kNoVersion, kNoVersion).Get()->moved);
  for (const size_t shard : {0, 1, 2}) EXPECT_TRUE(Push(*next, shard, 7).applied);
  EXPECT_EQ(ValuesOf(*next), Numbers(-1)) << "the new shards know what the old ones had";
}

// The old shards refuse a gradient while they are copied, and its worker dies.
TEST_F(ResizeTest, TheNextOneWaitsForWhatThisOneRefusedUntilTheDeadline) {
  const auto old = NewServer(options_);
  const auto next = Resized(*old, 3);
  EXPECT_TRUE(Push(*old, 0, 8).closed);
  EXPECT_TRUE(Push(*old, 1, 8).closed);
  Announce(*old, *next);
  EXPECT_EQ(std::vector<uint64_t>(*next->refused), (std::vector<uint64_t>{8, 8}));
  const auto begun = std::chrono::steady_clock::now();
  const auto last = Resized(*next, 1);
  EXPECT_GE(std::chrono::steady_clock::now() - begun, options_.round_deadline);
  EXPECT_EQ(ValuesOf(*last), Numbers(0));
}

TEST_F(ResizeTest, AGradientOfOneShardIsLeftBehindAtTheDeadline) {
  const auto old = NewServer(options_);
  EXPECT_TRUE(Push(*old, 0, 8).applied);
  const auto next = Resized(*old, 1);
  const PushReply reply = Push(*next, 0, 8);
  EXPECT_FALSE(reply.applied);
  EXPECT_FALSE(reply.closed);
  EXPECT_EQ(ValuesOf(*next), (std::vector<float>{-1, 0, 1, 2, 3, 5, 6, 7, 8, 9}));
}

TEST_F(ResizeTest, ADeadShardLeavesTheOthersOpenAndTheErrorSaysSo) {
  const auto old = NewServer(options_);
  old->shards[1].Kill();
  const std::string message = MessageOf([&] { Resized(*old, 3); });
  EXPECT_NE(message.find("the parameters stay in 2 shards, and a Resize to 3 may be tried again. It failed: "),
            std::string::npos)
      << message;
  EXPECT_TRUE(Push(*old, 0, 1).applied);
}

TEST_F(ResizeTest, AShardThatStayedClosedIsOpenedByTheNextOne) {
  const auto server = NewServer(options_);
  server->shards[1].Task(&Shard::Close).Remote().Get();
  EXPECT_TRUE(Push(*server, 1, 1).closed);
  Mend(*server);
  EXPECT_TRUE(Push(*server, 1, 1).applied);
}

TEST_F(ResizeTest, AGradientThatWaitsAtTheDoorEntersWithoutItsWorker) {
  const auto server = NewServer(options_);
  const auto& shard = server->shards[1];
  EXPECT_TRUE(Push(*server, 0, 8).applied);
  shard.Task(&Shard::Close).Remote().Get();
  EXPECT_TRUE(Push(*server, 1, 8).closed);
  EXPECT_TRUE(Push(*server, 1, 9).closed);
  EXPECT_EQ(shard.Task(&Shard::Admit).Remote(std::vector<uint64_t>{8}).Get()->missing, 0U);
  EXPECT_EQ(ValuesOf(*server), Numbers(-1)) << "9 stays outside";
}

TEST_F(ResizeTest, ALoadThatHadBegunEndsBeforeTheShardsAreCopied) {
  const raylet::test::RunFolder folder;
  const auto server = NewServer(options_);
  const auto& shard = server->shards[0];
  const std::string path = folder.File("model");
  const uint64_t saved = *shard.Task(&Shard::Save).Remote(path).Get();
  while (!*shard.Task(&Shard::Saved).Remote(saved).Get()) std::this_thread::yield();
  const auto load = [&] { return *shard.Task(&Shard::Load).Remote(path).Get(); };
  const auto commit = [&](uint64_t version) { shard.Task(&Shard::Commit).Remote(version).Get(); };
  const auto missing = [&] { return shard.Task(&Shard::Admit).Remote(std::vector<uint64_t>()).Get()->missing; };
  for (const bool ends : {true, false}) {
    const uint64_t version = load();
    shard.Task(&Shard::Close).Remote().Get();
    EXPECT_EQ(missing(), 1U);
    if (ends) commit(version);
    EXPECT_EQ(missing(), ends ? 0U : 1U);
    shard.Task(&Shard::Settle).Remote(uint64_t{0}).Get();
    EXPECT_NE(MessageOf([&] { commit(version); }).find("a Resize of these parameters is under way"), std::string::npos);
    EXPECT_NE(MessageOf([&] { load(); }).find("a Resize of these parameters is under way"), std::string::npos);
    shard.Task(&Shard::Open).Remote().Get();
  }
}

}  // namespace resize_test
