// A Resize of a table as its owner conducts it, in one process: what moves, and what the old shards say before and
// after the new ones count.
#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include <ray/parameter_server.h>

#include "client/parameter_server/removal.h"
#include "client/parameter_server/table_server.h"
#include "client/parameter_server/table_shard.h"
#include "tests/client/parameter_server/in_process_fixture.h"
#include "tests/client/parameter_server/message_of.h"
#include "tests/harness/run_folder.h"

namespace table_resize_test {

using parameter_server_test::MessageOf;
using ray::Array;
namespace ps = ray::ps;
using Server = ps::internal::TableServer<uint64_t, float>;
using Shard = ps::internal::TableShard<uint64_t, float>;
using Users = ps::Table<uint64_t, float>;
using ps::internal::Announce;
using ps::internal::Mend;
using ps::internal::ResizedTable;
using ps::internal::TablePush;
using ps::internal::TableReply;

class TableResizeTest : public parameter_server_test::InProcess {
 protected:
  static std::vector<uint64_t> Keys(uint64_t count) {
    std::vector<uint64_t> keys;
    for (uint64_t key = 0; key < count; ++key) keys.push_back(key);
    return keys;
  }
  static std::shared_ptr<Server> NewServer(const ps::Options& options, const ps::Filter& filter = {}) {
    return ps::internal::StartTable<uint64_t, float>(1, {options, {}, filter});
  }
  // A handle that knows this layout, and nothing later: as another process has it.
  static Users HandleOf(const Server& server) { return *ray::ObjectRef<Users>(ray::Put(server).handle()).Get(); }
  // Adds 1 to the rows of these keys, of whichever shard.
  static TableReply Push(const Server& server, size_t shard, const std::vector<uint64_t>& keys, const TablePush& push) {
    return *server.shards[shard]
                .Task(&Shard::Push)
                .Remote(Array<uint64_t>::CopyOf(keys), Array<float>::CopyOf(std::vector<float>(keys.size(), -1)), push)
                .Get();
  }
  static void Add(const Users& users, const std::vector<uint64_t>& keys, float value) {
    EXPECT_TRUE(users.Push(keys, std::vector<float>(keys.size() * users.row_size(), -value)));
  }
  static void Close(const Server& server, uint64_t resize) {
    for (const auto& shard : server.shards) shard.Task(&Shard::Close).Remote(resize).Get();
  }
  static constexpr uint64_t kOther = 5;  // a Resize of an earlier conductor
  const ps::Options options_{
      .shards = 2, .optimizer = ps::Sgd{.rate = 1}, .round_deadline = std::chrono::milliseconds(20)};
};

TEST_F(TableResizeTest, RowsTheOptimisersStateTheFiltersCountsAndAgesMove) {
  const ps::Options options{.shards = 2, .optimizer = ps::Adam{.rate = 0.1}};
  const auto initializer = ps::Initializer::Uniform(-1, 1, 7);
  const ps::Filter filter{.min_count = 2, .expire_after = 12};
  auto users = ps::Table<int, double>::Create(3, options, initializer, filter);
  const auto same = ps::Table<int, double>::Create(3, options, initializer, filter);
  const auto both = [&](const auto& call) { call(users), call(same); };
  const auto push = [&](int from, int to) {
    std::vector<int> keys;
    for (int key = from; key < to; ++key) keys.push_back(key);
    std::vector<double> gradients;
    for (size_t i = 0; i < keys.size() * 3; ++i) gradients.push_back(static_cast<double>(i % 5) - 1);
    both([&](const auto& table) { EXPECT_TRUE(table.Push(keys, gradients)); });
  };
  push(0, 40);  // named once: no row yet
  push(0, 20);
  push(0, 20);
  std::vector<int> all;
  for (int key = 0; key < 40; ++key) all.push_back(key);
  for (const size_t shards : {5, 1, 3}) {
    users.Resize(shards);
    EXPECT_EQ(users.shards(), shards);
    EXPECT_EQ(users.Size(), same.Size());
    push(0, 10);
    push(0, 10);
    EXPECT_EQ(users.Size(), same.Size()) << "shards = " << shards;
  }
  EXPECT_EQ(users.Stats()[2].pushes, 9U);
  push(0, 40);  // the second time for 20 to 39
  EXPECT_EQ(users.Size(), 40U) << "the filter's counts were lost";
  EXPECT_EQ(users.Pull(all).Copy(), same.Pull(all).Copy());
  users.Resize(2);
  for (int i = 0; i < 14; ++i) push(0, 10);
  EXPECT_EQ(users.Size(), 10U) << "rows that nobody names were not erased";
  EXPECT_EQ(same.Size(), 10U);
}

TEST_F(TableResizeTest, TheNewShardsKnowWhatTheOldOnesHad) {
  const auto old = NewServer(options_);
  const auto next = ResizedTable(*old, 1);
  const auto again = ResizedTable(*next, 3);
  EXPECT_EQ(again->epoch, 2U);
  EXPECT_EQ(again->home.ID(), old->home.ID());
  const auto users = HandleOf(*old);
  Add(users, Keys(10), 1);
  EXPECT_EQ(users.shards(), 3U);
  EXPECT_EQ(users.Pull(Keys(10)).Copy(), std::vector<float>(10, 1));
}

TEST_F(TableResizeTest, APartCountsOnceWhateverLayoutItComesTo) {
  const auto old = NewServer({.shards = 1, .optimizer = ps::Sgd{.rate = 1}});
  EXPECT_FALSE(Push(*old, 0, {1, 2, 3}, {.sequence = 8, .from = {}}).closed);
  const auto next = ResizedTable(*old, 2);
  EXPECT_FALSE(Push(*old, 0, {1, 2, 3}, {.sequence = 8, .from = {}}).closed) << "it counts";
  EXPECT_TRUE(Push(*old, 0, {1, 2, 3}, {.sequence = 9, .from = {}}).closed);
  for (const size_t shard : {0, 1}) {
    EXPECT_FALSE(Push(*next, shard, {1}, {.sequence = 10 + shard, .from = {8}}).closed);
    EXPECT_FALSE(Push(*next, shard, {2}, {.sequence = 20 + shard, .from = {9}}).closed);
  }
  const auto last = ResizedTable(*next, 1);
  EXPECT_FALSE(Push(*last, 0, {2}, {.sequence = 30, .from = {9, 20}}).closed);
  EXPECT_FALSE(Push(*last, 0, {3}, {.sequence = 31, .from = {9, 22}}).closed);
  EXPECT_EQ(HandleOf(*last).Pull({3}).Copy(), (std::vector<float>{2}));
}

TEST_F(TableResizeTest, AClosedShardAnswersPullsThatChangeNothing) {
  auto options = options_;
  options.deadline = std::chrono::milliseconds(700);
  const auto server = NewServer(options);
  const auto users = HandleOf(*server);
  Add(users, Keys(10), 1);
  const auto begin = [&] { server->home.Task(&Shard::Begin).Remote(kOther).Get(); };  // it would be given up
  begin();
  Close(*server, kOther);
  EXPECT_EQ(users.Pull(Keys(10)).Copy(), std::vector<float>(10, 1));
  EXPECT_EQ(users.Size(), 10U);
  const std::string closed = "was closed by a Resize for 700 ms, and the process that called Create is still at it";
  EXPECT_NE(MessageOf([&] { users.Pull({10}); }).find(closed), std::string::npos);
  begin();
  EXPECT_NE(MessageOf([&] { Add(users, {1}, 1); }).find(closed), std::string::npos);
  begin();
  EXPECT_NE(MessageOf([&] { users.Erase({1}); }).find(closed), std::string::npos);
}

TEST_F(TableResizeTest, AnyCallerOpensShardsOfAResizeThatWasGivenUp) {
  const auto server = NewServer(options_);
  const auto users = HandleOf(*server);
  Close(*server, kOther);
  Add(users, Keys(10), 1);
  Close(*server, kOther);
  EXPECT_EQ(users.Pull({20}).Copy(), (std::vector<float>{0}));
  Close(*server, kOther);
  EXPECT_EQ(users.Erase(Keys(5)), 5U);
  Close(*server, kOther);
  EXPECT_EQ(Mend<Server>(server), server);
  EXPECT_FALSE(Push(*server, 0, {1}, {.sequence = 1, .from = {}}).closed);
}

// Their owner ended before it told them.
TEST_F(TableResizeTest, CallsToShardsThatHaveNotHeardGoToTheNewOnes) {
  const raylet::test::RunFolder folder;
  const auto first = NewServer(options_);
  const auto second = ResizedTable(*first, 3);
  Announce(*first, *second);
  std::vector<Users> handles;
  for (int i = 0; i < 6; ++i) handles.push_back(HandleOf(*second));
  Add(HandleOf(*second), Keys(10), 1);
  const auto third = ResizedTable(*second, 2);
  Add(HandleOf(*third), Keys(10), 1);
  Add(HandleOf(*third), {10}, 1);
  EXPECT_EQ(handles[0].Pull(Keys(10)).Copy(), std::vector<float>(10, 2));
  EXPECT_EQ(handles[1].Size(), 11U);
  EXPECT_EQ(handles[2].Stats().size(), 2U);
  size_t visited = 0;
  handles[3].ForEach([&](uint64_t, std::span<const float>) { ++visited; });
  EXPECT_EQ(visited, 11U);
  handles[4].Save(folder.File("rows"));
  EXPECT_EQ(handles[5].Erase(Keys(11)), 11U);
  handles[0].Load(folder.File("rows"));
  EXPECT_EQ(handles[5].Size(), 11U) << "the old shards' rows were saved";
}

TEST_F(TableResizeTest, EachRowIsVisitedOnceThoughTheTableIsResizedMeanwhile) {
  constexpr uint64_t kRows = 25'000;  // several pages of each shard
  auto users = Users::Create(1, {.shards = 2, .optimizer = ps::Sgd{.rate = 1}});
  Add(users, Keys(kRows), 1);
  std::vector<int> visits(kRows);
  uint64_t seen = 0;
  users.ForEach([&](uint64_t key, std::span<const float> row) {
    EXPECT_EQ(row[0], 1);
    ++visits.at(key);
    if (++seen == 3'000) users.Resize(3);
    if (seen == 14'000) users.Resize(2);
  });
  EXPECT_EQ(seen, kRows);
  EXPECT_EQ(visits, std::vector<int>(kRows, 1));
}

TEST_F(TableResizeTest, TheNextOneWaitsForWhatThisOneRefusedUntilTheDeadline) {
  const auto old = NewServer(options_);
  const auto next = ResizedTable(*old, 3);
  EXPECT_TRUE(Push(*old, 1, {1}, {.sequence = 8, .from = {}, .waits = true}).closed);
  Announce(*old, *next);
  EXPECT_EQ(next->resizing->refused, (std::vector<uint64_t>{8}));
  const auto begun = std::chrono::steady_clock::now();
  const auto last = ResizedTable(*next, 1);
  EXPECT_GE(std::chrono::steady_clock::now() - begun, options_.round_deadline);
}

TEST_F(TableResizeTest, TheNextOneDoesNotWaitForWhatAllShardsHaveAnswered) {
  auto options = options_;
  options.round_deadline = std::chrono::seconds(30);
  const auto old = NewServer(options);
  const auto next = ResizedTable(*old, 3);
  EXPECT_TRUE(Push(*old, 1, {1}, {.sequence = 8, .from = {}, .waits = true}).closed);
  Announce(*old, *next);
  for (const size_t shard : {0, 1, 2}) {
    const std::vector<uint64_t> keys(shard == 1 ? 1 : 0, 1);
    EXPECT_FALSE(Push(*next, shard, keys, {.sequence = 10 + shard, .from = {8}}).closed);
  }
  const auto begun = std::chrono::steady_clock::now();
  ResizedTable(*next, 1);
  EXPECT_LT(std::chrono::steady_clock::now() - begun, options.round_deadline / 2);
}

TEST_F(TableResizeTest, ALoadThatHadBegunEndsBeforeTheShardsAreCopied) {
  const raylet::test::RunFolder folder;
  const auto server = NewServer({.shards = 1});
  const auto users = HandleOf(*server);
  Add(users, {1}, 1);
  users.Save(folder.File("rows"));
  const auto& shard = server->shards[0];
  const auto closed = [&] { return *shard.Task(&Shard::Close).Remote(kOther).Get(); };
  shard.Task(&Shard::Load).Remote(folder.File("rows")).Get();
  EXPECT_FALSE(closed());
  shard.Task(&Shard::Commit).Remote().Get();
  EXPECT_TRUE(closed());
  EXPECT_NE(MessageOf([&] { shard.Task(&Shard::Commit).Remote().Get(); }).find("a Resize of these rows is under way"),
            std::string::npos);
}

TEST_F(TableResizeTest, ADeadShardLeavesTheOthersOpenAndTheErrorSaysSo) {
  const auto old = NewServer(options_);
  old->shards[1].Kill();
  const std::string message = MessageOf([&] { ResizedTable(*old, 3); });
  EXPECT_NE(message.find("the rows stay in 2 shards, and a Resize to 3 may be tried again. It failed: "),
            std::string::npos)
      << message;
  EXPECT_FALSE(Push(*old, 0, {1}, {.sequence = 1, .from = {}}).closed);
}

TEST_F(TableResizeTest, WithoutAHomeNoneBeginsAndTheErrorSaysSo) {
  auto users = Users::Create(1, options_);
  users.Resize(3);
  const auto server = *ray::ObjectRef<Server>(ray::Put(users).handle()).Get();
  server.home.Kill();
  const std::string message = MessageOf([&] { users.Resize(2); });
  EXPECT_NE(message.find("the rows stay in 3 shards for good: the first shard that the server ever had is dead"),
            std::string::npos)
      << message;
  Add(users, Keys(10), 1);
  EXPECT_EQ(users.Size(), 10U);
}

TEST_F(TableResizeTest, ANumberThatCannotBeAndAnotherProcessAreRefused) {
  auto users = Users::Create(1, options_);
  EXPECT_EQ(MessageOf([&] { users.Resize(0); }), "a table in 0 shards was asked for: a server has 1 shard or more");
  auto elsewhere = *ray::Put(users).Get();
  EXPECT_NE(MessageOf([&] { elsewhere.Resize(3); }).find("a process that did not create the rows"), std::string::npos);
  EXPECT_EQ(users.shards(), 2U);
}

}  // namespace table_resize_test
