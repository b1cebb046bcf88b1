// Tables that are shared out to other numbers of shards while workers pull and push, and processes that are killed
// meanwhile.
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <ray/parameter_server.h>

#include "client/parameter_server/table_shard.h"
#include "tests/client/parameter_server/message_of.h"
#include "tests/client/parameter_server/private_daemons.h"
#include "tests/harness/daemon_process.h"
#include "tests/harness/run_folder.h"
#include "tests/harness/stop_process.h"

namespace resized_table_test {

using parameter_server_test::MessageOf;
using parameter_server_test::OnPrivateDaemons;
using raylet::test::Eventually;
using namespace std::chrono_literals;
namespace ps = ray::ps;
using Words = ps::Table<std::string, float>;
using Shard = ps::internal::TableShard<std::string, float>;

constexpr const char* kNothing = "nothing was thrown";
constexpr uint64_t kKeys = 40;

std::vector<std::string> Keys() {
  std::vector<std::string> keys;
  for (uint64_t key = 0; key < kKeys; ++key) keys.push_back("word " + std::to_string(key));
  return keys;
}

// What a worker saw.
struct SeenOfTable {
  uint64_t counted = 0;
  uint64_t back = 0;  // rows that were behind what this worker had added itself
  MSGPACK_DEFINE(counted, back)
};

// Adds 1 to every row in each round. `kept` pushes are under way at once.
SeenOfTable AddToWords(const Words& words, uint64_t rank, int rounds, uint64_t kept) {
  std::mt19937_64 random(rank);
  const auto keys = Keys();
  const std::vector<float> gradients(keys.size() * words.row_size(), -1);
  SeenOfTable seen;
  std::vector<ps::PendingRows<bool>> pending;
  for (int round = 0; round < rounds; ++round) {
    const auto values = words.Pull(keys).Copy();
    seen.back += *std::min_element(values.begin(), values.end()) < static_cast<float>(seen.counted);
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 300));
    if (kept == 1) {
      seen.counted += words.Push(keys, gradients);
      continue;
    }
    pending.push_back(words.PushAsync(keys, gradients));
    if (pending.size() < kept && round + 1 < rounds) continue;
    for (auto& push : pending) seen.counted += push.Get();
    pending.clear();
  }
  return seen;
}
RAY_REMOTE(AddToWords);

std::string ResizeWordsIn(Words words) {
  return MessageOf([&] { words.Resize(3); });
}
RAY_REMOTE(ResizeWordsIn);

// Owns a table, and resizes it without end.
struct TableOwner {
  static TableOwner* Create() { return new TableOwner(); }
  Words Start() { return words = Words::Create(2, {.shards = 2, .optimizer = ps::Sgd{.rate = 1}}); }
  int64_t Pid() { return ::getpid(); }
  void ResizeForEver() {
    for (size_t shards = 3;; shards = 5 - shards) words.Resize(shards);
  }
  Words words;
};
RAY_REMOTE(TableOwner::Create, &TableOwner::Start, &TableOwner::Pid, &TableOwner::ResizeForEver);

class ResizedTableTest : public OnPrivateDaemons {
 protected:
  static std::vector<ray::ObjectRef<SeenOfTable>> StartWorkers(const Words& words, uint64_t count, int rounds) {
    std::vector<ray::ObjectRef<SeenOfTable>> working;
    for (uint64_t rank = 0; rank < count; ++rank)
      working.push_back(ray::Task(AddToWords).Remote(words, rank, rounds, 1 + 3 * rank));
    return working;
  }
  static void ExpectAll(const Words& words, const std::vector<ray::ObjectRef<SeenOfTable>>& working, int rounds) {
    for (const auto& one : ray::Get(working, 60'000)) {
      EXPECT_EQ(one->counted, static_cast<uint64_t>(rounds));
      EXPECT_EQ(one->back, 0U);
    }
    const auto all = static_cast<float>(working.size()) * static_cast<float>(rounds);
    EXPECT_EQ(words.Pull(Keys()).Copy(), std::vector<float>(kKeys * 2, all));
    EXPECT_EQ(words.Size(), kKeys);
  }
  static void Kill(int64_t pid) {
    ASSERT_GT(pid, 0);
    ASSERT_EQ(::kill(static_cast<pid_t>(pid), SIGKILL), 0);
  }
  std::string Path() const { return folder_.File("rows"); }

 private:
  raylet::test::RunFolder folder_;
};

// Workers that pass no layout on to one another, with delays of their own, and an owner that resizes again and again.
TEST_F(ResizedTableTest, EachPushCountsOnce) {
  constexpr int kRounds = 60;
  auto words = Words::Create(2, {.shards = 2, .optimizer = ps::Sgd{.rate = 1}});
  const auto working = StartWorkers(words, 3, kRounds);
  std::mt19937_64 random(11);
  const auto begun = std::chrono::steady_clock::now();
  int resizes = 0;
  do {
    words.Resize(1 + (words.shards() + random() % 4) % 5);
    ++resizes;
    ASSERT_LT(std::chrono::steady_clock::now() - begun, 60s) << "after " << resizes;
  } while (!ray::Wait(working, 3, 0).unready.empty());
  ExpectAll(words, working, kRounds);
  RecordProperty("resizes", resizes);
}

// Whoever dies, old shard, new shard or replica: a shard's process at a random moment of each Resize.
TEST_F(ResizedTableTest, AShardOrReplicaThatDiesLeavesTheOldOrTheNewLayout) {
  constexpr int kRounds = 600;
  auto words = Words::Create(2, {.shards = 2, .optimizer = ps::Sgd{.rate = 1}, .replicas = 1});
  ASSERT_TRUE(words.Push(Keys(), std::vector<float>(kKeys * 2, 0)));
  const auto working = StartWorkers(words, 2, kRounds);
  std::mt19937_64 random(5);
  const auto begun = std::chrono::steady_clock::now();
  words.Resize(3);
  const auto usual = std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - begun);
  int done = 0;
  for (int i = 0; i < 6; ++i) {
    std::vector<ps::TableStats> stats;
    ASSERT_TRUE(Eventually(60s, [&] {  // all replicas are filled
      stats = words.Stats();
      return std::all_of(stats.begin(), stats.end(),
                         [](const ps::TableStats& shard) {
                           return shard.replica_pid > 0 && ::kill(static_cast<pid_t>(shard.replica_pid), 0) == 0;
                         }) ||
             ray::Wait(working, 2, 0).unready.empty();
    }));
    const size_t before = words.shards();
    const size_t wanted = 5 - before;
    const auto& victim = stats[random() % stats.size()];
    const auto pid = random() % 2 == 0 ? victim.pid : victim.replica_pid;
    const auto delay = std::chrono::microseconds(random() % static_cast<uint64_t>(usual.count()));
    std::thread killer([&] {
      std::this_thread::sleep_for(delay);
      if (pid > 0) ::kill(static_cast<pid_t>(pid), SIGKILL);  // 0 would be this test's own group
    });
    const std::string message = MessageOf([&] { words.Resize(wanted); });
    killer.join();
    done += message == kNothing;
    EXPECT_EQ(words.shards(), message == kNothing ? wanted : before) << message;
    if (message != kNothing) {
      EXPECT_NE(message.find("the rows stay in"), std::string::npos) << message;
    }
  }
  ExpectAll(words, working, kRounds);
  RecordProperty("done", done);
}

TEST_F(ResizedTableTest, AShardThatIsKilledAfterwardsStartsAgainInTheNewLayout) {
  for (const bool replicated : {false, true}) {
    ps::Options options{.shards = 2, .optimizer = ps::Sgd{.rate = 1, .momentum = 0.5}};
    if (replicated)
      options.replicas = 1;
    else
      options.checkpoint = {.path = Path(), .every = 0};
    auto words = Words::Create(2, options);
    const auto home = words.Stats()[0].pid;
    const Words old = *ray::Put(words).Get();
    const std::vector<float> gradients(kKeys * 2, -4);
    for (int i = 0; i < 2; ++i) EXPECT_TRUE(words.Push(Keys(), gradients));
    for (const size_t shards : {3, 2}) words.Resize(shards);
    Kill(words.Stats()[1].pid);
    EXPECT_EQ(words.Pull(Keys()).Copy(), std::vector<float>(kKeys * 2, 10));
    EXPECT_EQ(words.Stats()[1].updates_lost, 0U);
    Kill(home);
    EXPECT_EQ(old.Size(), kKeys) << "it forgot where the rows are";
    EXPECT_EQ(old.shards(), 2U);
    EXPECT_TRUE(old.Push(Keys(), gradients));
    EXPECT_EQ(words.Pull(Keys()).Copy(), std::vector<float>(kKeys * 2, 17)) << "the momentum was lost";
  }
}

// It is stopped first, so that it dies while shards are closed for certain.
TEST_F(ResizedTableTest, TheOwnersDeathWhileShardsAreClosedHoldsPushesForSecondsAlone) {
  constexpr int kRounds = 200;
  auto owner = ray::Actor(TableOwner::Create).Remote();
  const auto pid = static_cast<pid_t>(*owner.Task(&TableOwner::Pid).Remote().Get(60'000));
  const Words words = *owner.Task(&TableOwner::Start).Remote().Get(60'000);
  const auto first = *ray::ObjectRef<ps::internal::TableServer<std::string, float>>(ray::Put(words).handle()).Get();
  const auto resizing = owner.Task(&TableOwner::ResizeForEver).Remote();
  const auto working = StartWorkers(words, 2, kRounds);
  const auto where = [](const ray::ActorHandle<Shard>& shard) {
    return shard.Task(&Shard::Where).Remote(uint64_t{0}).Get(60'000);
  };
  bool closed = false;
  ASSERT_TRUE(Eventually(60s, [&] {
    if (where(first.home)->under_way == 0) return false;
    if (!raylet::test::StopProcess(pid)) return true;
    const auto home = where(first.home);
    const auto& shards = home->door.moved.empty() ? first.shards : home->door.moved[0].shards;
    closed = home->under_way != 0 &&
             std::any_of(shards.begin(), shards.end(), [&](const auto& shard) { return where(shard)->door.closed; });
    if (!closed) ::kill(pid, SIGCONT);
    return closed;
  }));
  ASSERT_TRUE(closed);
  const auto begun = std::chrono::steady_clock::now();
  Kill(pid);
  EXPECT_NE(MessageOf([&] { resizing.Get(60'000); }), kNothing);
  EXPECT_TRUE(words.Push(Keys(), std::vector<float>(kKeys * 2, 0)));
  EXPECT_LT(std::chrono::steady_clock::now() - begun, 20s) << "it waited for the deadline";
  ExpectAll(words, working, kRounds);
}

TEST_F(ResizedTableTest, AnotherProcessIsRefused) {
  const auto words = Words::Create(2, {.shards = 2});
  EXPECT_NE(ray::Task(ResizeWordsIn).Remote(words).Get(60'000)->find("the process that called Create owns the shards"),
            std::string::npos);
}

}  // namespace resized_table_test
