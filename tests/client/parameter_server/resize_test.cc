// A Resize as its owner conducts it, in one process: what the old shards say, before and after the new ones count.
#include <gtest/gtest.h>

#include <chrono>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

#include "client/parameter_server/removal.h"
#include "client/parameter_server/server.h"
#include "client/parameter_server/shard.h"
#include "tests/client/parameter_server/float_server.h"
#include "tests/client/parameter_server/in_process_fixture.h"
#include "tests/client/parameter_server/message_of.h"
#include "tests/harness/run_folder.h"

namespace resize_test {

using parameter_server_test::Add;
using parameter_server_test::HandleOf;
using parameter_server_test::MessageOf;
using ray::Array;
namespace ps = ray::ps;
using ps::internal::Announce;
using ps::internal::kNoRank;
using ps::internal::kNoVersion;
using ps::internal::Mend;
using ps::internal::PushReply;
using ps::internal::ReadReply;
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
  static PushReply Push(const Server& server, size_t shard, uint64_t sequence, bool waits = true) {
    const std::vector<float> ones(server.layout->ShardSize(shard), 1);
    return *server.shards[shard]
                .Task(&Shard::Push)
                .Remote(ps::internal::PushArguments{kNoRank, kNoVersion, sequence, 1, waits},
                        Array<float>::CopyOf(ones))
                .Get();
  }
  static ReadReply<float> Read(const Server& server, size_t shard) {
    return *server.shards[shard].Task(&Shard::Read).Remote(kNoRank, kNoVersion, kNoVersion).Get();
  }
  static std::vector<float> ValuesOf(const Server& server) {
    std::vector<float> values;
    for (size_t shard = 0; shard < server.shards.size(); ++shard) {
      const auto reply = Read(server, shard);
      values.insert(values.end(), reply.values.begin(), reply.values.end());
    }
    return values;
  }
  // All shards, as a Resize that goes no further.
  static void Close(const Server& server, uint64_t resize) {
    for (const auto& shard : server.shards) shard.Task(&Shard::Close).Remote(resize).Get();
  }
  static uint64_t UnderWay(const Server& server) {
    return server.home.Task(&Shard::Where).Remote(server.epoch).Get()->under_way;
  }
  static void Begin(const Server& server, uint64_t resize) { server.home.Task(&Shard::Begin).Remote(resize).Get(); }
  static constexpr uint64_t kOther = 5;  // a Resize of an earlier conductor
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
  for (const size_t shard : {0, 1}) EXPECT_TRUE(Push(*old, shard, 8).closed);
  EXPECT_FALSE(Push(*old, 1, 7).closed) << "it counts";
  const auto reply = old->home.Task(&Shard::Where).Remote(uint64_t{0}).Get();
  ASSERT_EQ(reply->door.moved.size(), 1U);
  EXPECT_EQ(reply->door.moved[0].shards.size(), 3U);
  EXPECT_EQ(reply->under_way, 0U);
  EXPECT_TRUE(old->home.Task(&Shard::Where).Remote(uint64_t{1}).Get()->door.moved.empty()) << "the caller knows it";
  EXPECT_FALSE(Read(*old, 1).moved) << "readers are served until they have heard";
  Announce(*old, *next);
  EXPECT_TRUE(Read(*old, 1).moved);
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
  EXPECT_EQ(next->resizing->refused, (std::vector<uint64_t>{8})) << "the home had moved already";
  const auto begun = std::chrono::steady_clock::now();
  const auto last = Resized(*next, 1);
  EXPECT_GE(std::chrono::steady_clock::now() - begun, options_.round_deadline);
  EXPECT_EQ(ValuesOf(*last), Numbers(0));
}

// Of an update under way, which nobody sends again before somebody calls its Get.
TEST_F(ResizeTest, TheNextOneDoesNotWaitForAGradientForWhichNobodyWaits) {
  auto options = options_;
  options.round_deadline = std::chrono::seconds(30);
  const auto old = NewServer(options);
  const auto next = Resized(*old, 3);
  EXPECT_TRUE(Push(*old, 0, 8, false).closed);
  EXPECT_TRUE(Push(*old, 1, 8, false).closed);
  Announce(*old, *next);
  const auto begun = std::chrono::steady_clock::now();
  Resized(*next, 1);
  EXPECT_LT(std::chrono::steady_clock::now() - begun, options.round_deadline / 2);
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
  server->shards[1].Task(&Shard::Close).Remote(kOther).Get();
  EXPECT_TRUE(Push(*server, 1, 1).closed);
  EXPECT_EQ(Mend<Server>(server), server);
  EXPECT_TRUE(Push(*server, 1, 1).applied);
}

// ---- a Resize whose conductor has died, by the state that it has reached

TEST_F(ResizeTest, UpdatesWaitWhileItIsUnderWayAndReadersDoNot) {
  auto options = options_;
  options.deadline = std::chrono::milliseconds(1000);
  const auto server = NewServer(options);
  auto handle = HandleOf(*server);
  Begin(*server, kOther);
  Close(*server, kOther);
  EXPECT_EQ(handle.Get().Copy(), Numbers(0));
  EXPECT_EQ(
      MessageOf([&] { Add(handle, 1); }),
      "shard 0 of 2 was closed by a Resize for 1000 ms, and the process that called Create is still at it; deadline is "
      "how long a call may take");
  EXPECT_EQ(UnderWay(*server), kOther);
}

TEST_F(ResizeTest, AWorkerOpensShardsOfAResizeThatWasGivenUp) {
  const auto server = NewServer(options_);
  auto handle = HandleOf(*server);
  Begin(*server, kOther + 1);  // it ends before it closes any shard
  Close(*server, kOther);
  EXPECT_TRUE(Add(handle, 1).applied);
  EXPECT_EQ(handle.Get().Copy(), Numbers(1));
  server->shards[1].Task(&Shard::Open).Remote(kOther).Get();
  Close(*server, kOther + 1);
  server->shards[1].Task(&Shard::Open).Remote(kOther).Get();  // of a worker that was slow
  EXPECT_TRUE(Push(*server, 1, 8).closed);
}

TEST_F(ResizeTest, AReaderOpensThemToo) {
  const auto server = NewServer(options_);
  const auto handle = HandleOf(*server);
  Close(*server, kOther);
  EXPECT_EQ(handle.Get().Copy(), Numbers(0));
  for (const size_t shard : {0, 1}) EXPECT_TRUE(Push(*server, shard, 8).applied);
}

TEST_F(ResizeTest, OtherCallsOpenThemToo) {
  auto options = options_;
  options.policy = ps::Synchronous{.workers = 2};
  const auto server = NewServer(options);
  auto handle = HandleOf(*server);
  Close(*server, kOther);
  handle.SetWorkers(3);
  EXPECT_EQ(Read(*server, 1).resize, 0U);
}

TEST_F(ResizeTest, OneThatIsAgreedCountsForReadersOfShardsThatDoNotKnow) {
  const auto first = NewServer(options_);
  const auto second = Resized(*first, 3);
  Announce(*first, *second);
  auto reader = HandleOf(*second);
  auto worker = HandleOf(*second);
  const auto third = Resized(*second, 2);  // and its conductor ends
  for (const size_t shard : {0, 1}) EXPECT_TRUE(Push(*third, shard, 8).applied);
  EXPECT_EQ(reader.Get().Copy(), Numbers(-1));
  EXPECT_EQ(reader.shards(), 2U);
  EXPECT_TRUE(Add(worker, 1).applied);
  EXPECT_EQ(reader.Get().Copy(), Numbers(0));
}

// They answer such calls while they are closed, and would say what is true no more.
TEST_F(ResizeTest, OneThatIsAgreedCountsForStatsAndSaveOfShardsThatDoNotKnow) {
  const raylet::test::RunFolder folder;
  const auto first = NewServer(options_);
  const auto second = Resized(*first, 3);
  Announce(*first, *second);
  const auto asking = HandleOf(*second);
  const auto saving = HandleOf(*second);
  const auto third = Resized(*second, 2);  // and its conductor ends
  for (const size_t shard : {0, 1}) EXPECT_TRUE(Push(*third, shard, 8).applied);
  const auto stats = asking.Stats();
  ASSERT_EQ(stats.size(), 2U);
  EXPECT_EQ(stats[0].version, 1U);
  const std::string path = folder.File("model");
  saving.Save(path);
  auto handle = HandleOf(*third);
  EXPECT_TRUE(Add(handle, 5).applied);
  handle.Load(path);
  EXPECT_EQ(handle.Get().Copy(), Numbers(-1));
}

TEST_F(ResizeTest, AConductorThatWasGivenUpLeavesTheOldShardsOpen) {
  auto options = options_;
  options.round_deadline = std::chrono::seconds(3);
  const auto old = NewServer(options);
  EXPECT_TRUE(Push(*old, 0, 8).applied);  // the Resize waits for the other half
  std::thread other([&] {
    while (UnderWay(*old) == 0) std::this_thread::yield();
    Begin(*old, kOther);
  });
  const std::string message = MessageOf([&] { Resized(*old, 3); });
  other.join();
  EXPECT_NE(message.find("the parameters stay in 2 shards, and a Resize to 3 may be tried again. It failed: the first "
                         "shard has given it up"),
            std::string::npos)
      << message;
  EXPECT_TRUE(Push(*old, 1, 8).applied);
  EXPECT_EQ(ValuesOf(*old), Numbers(-1));
}

TEST_F(ResizeTest, WithoutAHomeNoneBegins) {
  const auto first = NewServer(options_);
  const auto second = Resized(*first, 3);
  Announce(*first, *second);
  first->home.Kill();
  const std::string message = MessageOf([&] { Resized(*second, 2); });
  const std::string why = "the parameters stay in 3 shards for good: the first shard that the server ever had is dead";
  EXPECT_NE(message.find(why), std::string::npos) << message;
  EXPECT_NE(MessageOf([&] { Mend<Server>(second); }).find(why), std::string::npos);
  EXPECT_TRUE(Push(*second, 0, 8).applied) << "it was closed";
}

// The home answered too late whether it counts.
TEST_F(ResizeTest, TheNextOneFindsOutWhatWasInDoubt) {
  const auto old = NewServer(options_);
  const auto next = Resized(*old, 3);
  old->resizing->doubted = next;
  old->resizing->resize = kOther;
  EXPECT_EQ(Mend<Server>(old), next) << "the home has moved";
  EXPECT_TRUE(Read(*old, 1).moved);
  const auto lost = std::make_shared<Server>(*next);
  lost->epoch = 2;
  lost->resizing = std::make_shared<ps::internal::ResizeMemory<Server>>();
  next->resizing->resize = kOther;
  next->resizing->doubted = lost;
  EXPECT_EQ(Mend<Server>(next), next) << "the home knows no such Resize";
  EXPECT_EQ(next->resizing->doubted, nullptr);
}

TEST_F(ResizeTest, AGradientThatWaitsAtTheDoorEntersWithoutItsWorker) {
  const auto server = NewServer(options_);
  const auto& shard = server->shards[1];
  EXPECT_TRUE(Push(*server, 0, 8).applied);
  shard.Task(&Shard::Close).Remote(kOther).Get();
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
    shard.Task(&Shard::Close).Remote(kOther).Get();
    EXPECT_EQ(missing(), 1U);
    if (ends) commit(version);
    EXPECT_EQ(missing(), ends ? 0U : 1U);
    shard.Task(&Shard::Settle).Remote(uint64_t{0}).Get();
    EXPECT_NE(MessageOf([&] { commit(version); }).find("a Resize of these parameters is under way"), std::string::npos);
    EXPECT_NE(MessageOf([&] { load(); }).find("a Resize of these parameters is under way"), std::string::npos);
    shard.Task(&Shard::Open).Remote(kOther).Get();
  }
}

}  // namespace resize_test
