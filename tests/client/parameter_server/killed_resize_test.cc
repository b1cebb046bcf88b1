// Processes that are killed in the middle of a Resize: shards of both layouts, replicas, workers, and the owner.
#include <dirent.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <ray/parameter_server.h>

#include "client/parameter_server/shard.h"
#include "tests/client/parameter_server/float_server.h"
#include "tests/client/parameter_server/message_of.h"
#include "tests/client/parameter_server/private_daemons.h"
#include "tests/harness/daemon_process.h"
#include "tests/harness/stop_process.h"

namespace killed_resize_test {

using parameter_server_test::Add;
using parameter_server_test::AddMany;
using parameter_server_test::FloatServer;
using parameter_server_test::InternalsOf;
using parameter_server_test::MessageOf;
using parameter_server_test::OnPrivateDaemons;
using raylet::test::Eventually;
using namespace std::chrono_literals;
namespace ps = ray::ps;

using Shard = ps::internal::Shard<float>;

constexpr const char* kNothing = "nothing was thrown";

pid_t ParentOf(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  const std::string stat((std::istreambuf_iterator<char>(file)), {});
  const size_t end = stat.rfind(')');
  return end == std::string::npos ? 0 : std::atoi(stat.c_str() + std::min(end + 4, stat.size()));
}

std::string ProgramOf(pid_t pid) {
  char name[4096];
  const ssize_t length = ::readlink(("/proc/" + std::to_string(pid) + "/exe").c_str(), name, sizeof name);
  return {name, length < 0 ? size_t{0} : static_cast<size_t>(length)};
}

// The processes of this session that run this program: actors and tasks.
std::set<pid_t> Workers() {
  std::set<pid_t> workers;
  const std::unique_ptr<DIR, int (*)(DIR*)> folder(::opendir("/proc"), ::closedir);
  const std::string own = ProgramOf(::getpid());
  while (const dirent* entry = ::readdir(folder.get())) {
    const pid_t pid = std::atoi(entry->d_name);
    if (pid <= 0 || pid == ::getpid() || ProgramOf(pid) != own) continue;
    pid_t above = pid;
    while (above > 1 && above != ::getpid()) above = ParentOf(above);
    if (above == ::getpid()) workers.insert(pid);
  }
  return workers;
}

struct ResizedTrainer {
  static ResizedTrainer* Create() { return new ResizedTrainer(); }
  int64_t Pid() { return ::getpid(); }
  // Returns how many gradients counted.
  uint64_t Train(const FloatServer& server, uint64_t rank, int rounds) { return AddMany(server, rank, rounds); }
};
RAY_REMOTE(ResizedTrainer::Create, &ResizedTrainer::Pid, &ResizedTrainer::Train);

std::shared_ptr<ps::internal::WhereReply<ps::internal::Server<float>>> WhereOf(const ray::ActorHandle<Shard>& shard) {
  return shard.Task(&Shard::Where).Remote(uint64_t{0}).Get(60'000);
}

// Owns parameters, and resizes them without end.
struct ResizingOwner {
  static ResizingOwner* Create() { return new ResizingOwner(); }
  FloatServer Start() { return server = FloatServer::Create(97, {.shards = 2, .optimizer = ps::Sgd{.rate = 1}}); }
  int64_t Pid() { return ::getpid(); }
  void ResizeForEver() {
    for (size_t shards = 3;; shards = 5 - shards) server.Resize(shards);
  }
  FloatServer server;
};
RAY_REMOTE(ResizingOwner::Create, &ResizingOwner::Start, &ResizingOwner::Pid, &ResizingOwner::ResizeForEver);

class KilledResizeTest : public OnPrivateDaemons {
 protected:
  void StartTrainers(int count) {
    for (int i = 0; i < count; ++i) {
      trainers_.push_back(ray::Actor(ResizedTrainer::Create).Remote());
      last_ = static_cast<pid_t>(*trainers_.back().Task(&ResizedTrainer::Pid).Remote().Get(60'000));
      pids_.insert(last_);
    }
  }
  std::vector<ray::ObjectRef<uint64_t>> Train(const FloatServer& server, int rounds) {
    std::vector<ray::ObjectRef<uint64_t>> training;
    for (size_t rank = 0; rank < trainers_.size(); ++rank)
      training.push_back(trainers_[rank].Task(&ResizedTrainer::Train).Remote(server, uint64_t{rank}, rounds));
    return training;
  }
  // It resizes its parameters without end.
  FloatServer StartOwner() {
    owner_handle_ = ray::Actor(ResizingOwner::Create).Remote();
    owner_ = static_cast<pid_t>(*owner_handle_.Task(&ResizingOwner::Pid).Remote().Get(60'000));
    const FloatServer server = *owner_handle_.Task(&ResizingOwner::Start).Remote().Get(60'000);
    resizing_ = owner_handle_.Task(&ResizingOwner::ResizeForEver).Remote();
    return server;
  }
  void TearDown() override {
    trainers_.clear();
    owner_handle_ = {};
    resizing_ = {};
    OnPrivateDaemons::TearDown();
  }

  std::vector<ray::ActorHandle<ResizedTrainer>> trainers_;
  std::set<pid_t> pids_;  // of the trainers
  pid_t last_ = 0;        // of the last one
  pid_t owner_ = 0;
  ray::ActorHandle<ResizingOwner> owner_handle_;
  ray::ObjectRef<void> resizing_;
};

// With replicas: whoever dies, old shard, new shard or replica, each update counts once in whatever layout follows.
TEST_F(KilledResizeTest, AnyShardOrReplicaLeavesTheOldOrTheNewLayout) {
  constexpr int kRounds = 1500;
  StartTrainers(2);
  auto server = FloatServer::Create(97, {.shards = 2, .optimizer = ps::Sgd{.rate = 1}, .replicas = 1});
  ASSERT_TRUE(Add(server, 0).applied);
  // The home is called by Resizes alone. So its replica is not filled again in between.
  pids_.insert(static_cast<pid_t>(server.Stats()[0].replica_pid));
  const auto training = Train(server, kRounds);
  std::mt19937_64 random(5);
  const auto begun = std::chrono::steady_clock::now();
  server.Resize(3);
  const auto usual = std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - begun);
  int done = 0;
  for (int i = 0; i < 8; ++i) {
    ASSERT_TRUE(Eventually(60s, [&] {  // all replicas are filled
      const auto stats = server.Stats();
      return std::all_of(stats.begin(), stats.end(),
                         [](const ps::ShardStats& shard) {
                           return shard.replica_pid > 0 && ::kill(static_cast<pid_t>(shard.replica_pid), 0) == 0;
                         }) ||
             ray::Wait(training, 2, 0).unready.empty();
    }));
    const size_t before = server.shards();
    const size_t wanted = 5 - before;
    const auto delay = std::chrono::microseconds(random() % static_cast<uint64_t>(usual.count()));
    std::thread killer([&] {
      std::this_thread::sleep_for(delay);
      std::vector<pid_t> victims;
      for (const pid_t pid : Workers())
        if (pids_.count(pid) == 0) victims.push_back(pid);
      if (!victims.empty()) ::kill(victims[random() % victims.size()], SIGKILL);
    });
    const std::string message = MessageOf([&] { server.Resize(wanted); });
    killer.join();
    done += message == kNothing;
    EXPECT_EQ(server.shards(), message == kNothing ? wanted : before) << message;
    if (message != kNothing) {
      EXPECT_NE(message.find("the parameters stay in"), std::string::npos) << message;
    }
  }
  for (const auto& applied : ray::Get(training, 60'000)) EXPECT_EQ(*applied, static_cast<uint64_t>(kRounds));
  EXPECT_EQ(server.Get().Copy(), std::vector<float>(97, 2 * kRounds));
  RecordProperty("done", done);
}

// Its gradient may have reached some shards alone.
TEST_F(KilledResizeTest, AWorkerHoldsAResizeUntilItsDeadlineAtMost) {
  constexpr int kRounds = 150;
  StartTrainers(3);
  auto server = FloatServer::Create(97, {.shards = 2, .optimizer = ps::Sgd{.rate = 1}, .round_deadline = 3s});
  const auto training = Train(server, kRounds);
  ASSERT_TRUE(Eventually(60s, [&] { return server.Get().version() >= 30; }));
  ASSERT_EQ(::kill(last_, SIGKILL), 0);
  for (const size_t shards : {3, 1, 2}) server.Resize(shards);
  EXPECT_NE(MessageOf([&] { training[2].Get(60'000); }), kNothing);
  for (const size_t rank : {0, 1}) EXPECT_EQ(*training[rank].Get(60'000), static_cast<uint64_t>(kRounds));
  for (const float value : server.Get().Copy()) {
    EXPECT_GE(value, 2 * kRounds);
    EXPECT_LE(value, 3 * kRounds);
  }
}

// The shards live on with the handles of others.
TEST_F(KilledResizeTest, TheOwnersDeathAtARandomMomentLosesNoUpdate) {
  std::mt19937_64 random(9);
  for (int i = 0; i < 6; ++i) {
    const FloatServer server = StartOwner();
    ASSERT_TRUE(Eventually(60s, [&] { return Add(server, 1).applied && server.shards() == 3; }));
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 50'000));
    ASSERT_EQ(::kill(owner_, SIGKILL), 0);
    EXPECT_NE(MessageOf([&] { resizing_.Get(60'000); }), kNothing);
    const auto before = server.Get().Copy();
    EXPECT_TRUE(Add(server, 1).applied);
    EXPECT_EQ(server.Get().Copy(), std::vector<float>(97, before[0] + 1));
  }
}

// It is stopped first, so that it dies while shards are closed for certain.
TEST_F(KilledResizeTest, TheOwnersDeathWhileShardsAreClosedHoldsUpdatesForSecondsAlone) {
  constexpr int kRounds = 400;
  StartTrainers(2);
  const FloatServer server = StartOwner();
  const auto training = Train(server, kRounds);
  const auto first = InternalsOf<float>(server);
  bool closed = false;
  ASSERT_TRUE(Eventually(60s, [&] {
    if (WhereOf(first.home)->under_way == 0) return false;
    if (!raylet::test::StopProcess(owner_)) return true;
    const auto home = WhereOf(first.home);
    const auto& shards = home->door.moved.empty() ? first.shards : home->door.moved[0].shards;
    closed = home->under_way != 0 &&
             std::any_of(shards.begin(), shards.end(), [](const auto& shard) { return WhereOf(shard)->door.closed; });
    if (!closed) ::kill(owner_, SIGCONT);
    return closed;
  }));
  ASSERT_TRUE(closed);
  const auto begun = std::chrono::steady_clock::now();
  ASSERT_EQ(::kill(owner_, SIGKILL), 0);
  EXPECT_TRUE(Add(server, 1).applied);
  EXPECT_LT(std::chrono::steady_clock::now() - begun, 20s) << "it waited for the deadline";
  for (const auto& applied : ray::Get(training, 60'000)) EXPECT_EQ(*applied, static_cast<uint64_t>(kRounds));
  EXPECT_EQ(server.Get().Copy(), std::vector<float>(97, 2 * kRounds + 1));
}

}  // namespace killed_resize_test
