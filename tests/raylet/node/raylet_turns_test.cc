// How long the raylet's loop works without looking for events while a thousand real workers end in a moment. Measured
// in CPU time, so other load on this machine does not count.
#include <signal.h>
#include <sys/resource.h>

#include <nlohmann/json.hpp>

#include "raylet/node/raylet.h"
#include "tests/harness/loop_thread.h"
#include "tests/raylet/node/node.h"

namespace raylet::test {
namespace {

constexpr Duration kPatienceForAll = std::chrono::minutes(2);
#ifdef RAYLET_SANITIZED
constexpr size_t kWorkers = 200;  // each takes a second there
constexpr Duration kTurnMax = std::chrono::seconds(2);
#else
constexpr size_t kWorkers = 1'000;
constexpr Duration kTurnMax = std::chrono::milliseconds(50);
#endif

// A raylet in this process, whose loop can be looked into.
class MeasuredRaylet {
 public:
  MeasuredRaylet() : store_(folder_.File("store")) {
    rlimit descriptors{};
    EXPECT_EQ(::getrlimit(RLIMIT_NOFILE, &descriptors), 0);
    descriptors.rlim_cur = descriptors.rlim_max;
    EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &descriptors), 0);
    RayletOptions options;
    options.socket = socket();
    options.store_socket = folder_.File("store");
    options.logs_folder = folder_.path();
    EXPECT_TRUE(options.resources.Add(kCpu, int64_t{kWorkers} * kUnitsPerWhole).has_value());
    options.limits.workers_max = kWorkers * 8 / 7;  // an eighth is kept for nested tasks
    thread_.Run([&] {
      thread_.loop().MeasureTurns(clock_);
      auto link = ConnectStoreLink(thread_.loop(), options.store_socket);
      ASSERT_TRUE(link.has_value()) << link.error().message;
      link_ = std::move(*link);
      raylet_ = std::make_unique<Raylet>(thread_.loop(), options, *link_);
      const auto listening = raylet_->Listen();
      ASSERT_TRUE(listening.has_value()) << listening.error().message;
    });
  }
  ~MeasuredRaylet() {
    const auto stopped =
        thread_.Await<int>([this](auto done) { raylet_->Stop(Raylet::Ending::kKill, [done] { done(0); }); });
    EXPECT_TRUE(stopped.has_value());
    thread_.Run([this] {
      raylet_.reset();
      link_.reset();
    });
  }

  std::string socket() const { return folder_.File("raylet"); }

  WireProcess Driver() {
    WireOptions options;
    options.executable = FakeWorkerPath();
    options.arguments = {"fake"};
    return std::move(*WireProcess::Register(socket(), options));
  }

  nlohmann::json Status() {
    std::string status;
    thread_.Run([&] { status = raylet_->StatusJson(); });
    return nlohmann::json::parse(status);
  }

  // The pids of workers that run a task.
  std::vector<pid_t> BusyWorkers() {
    std::vector<pid_t> pids;
    const nlohmann::json status = Status();
    for (const auto& worker : status["workers"])
      if (worker["state"] == "busy") pids.push_back(worker["pid"]);
    return pids;
  }

  size_t CountWorkers() {
    size_t count = 0;
    thread_.Run([&] { count = raylet_->workers(); });
    return count;
  }

  Duration TakeLongestTurn() {
    Duration turn{};
    thread_.Run([&] { turn = thread_.loop().TakeLongestTurn(); });
    return turn;
  }

 private:
  RunFolder folder_;
  FakeStore store_;
  ThreadCpuClock clock_;
  LoopThread thread_;
  std::unique_ptr<StoreLink> link_;
  std::unique_ptr<Raylet> raylet_;
};

bool AllRun(MeasuredRaylet& raylet) {
  return Eventually(kPatienceForAll, [&] { return raylet.BusyWorkers().size() == kWorkers; });
}

// The status of a thousand workers is a long turn of its own, and is not asked for meanwhile.
void ExpectShortTurnsUntilAllHaveEnded(MeasuredRaylet& raylet) {
  EXPECT_TRUE(Eventually(kPatienceForAll, [&] { return raylet.CountWorkers() == 0; }));
  const Duration longest = raylet.TakeLongestTurn();
  EXPECT_LT(longest, kTurnMax);
  ::testing::Test::RecordProperty("longest_turn_us", std::to_string(longest / std::chrono::microseconds(1)));
}

TEST(RayletTurns, StayShortWhileAThousandWorkersEndWithTheirDriver) {
  MeasuredRaylet raylet;
  auto bystander = raylet.Driver();
  std::optional<WireProcess> driver = raylet.Driver();
  TaskOptions task;
  task.function = "blocked_by_nested";
  task.max_retries = 3;
  for (size_t i = 0; i < kWorkers; ++i) driver->Submit(task);
  ASSERT_TRUE(AllRun(raylet));
  raylet.TakeLongestTurn();
  driver.reset();
  ExpectShortTurnsUntilAllHaveEnded(raylet);
  EXPECT_EQ(raylet.Status()["jobs"].size(), 1u);
  EXPECT_EQ(bystander.AwaitResult(bystander.Submit({})).result->kind, wire::ValueKind::Inline);
}

TEST(RayletTurns, StayShortWhileAThousandActorsEndWithTheirDriver) {
  MeasuredRaylet raylet;
  std::optional<WireProcess> driver = raylet.Driver();
  ActorOptions actor;
  actor.max_restarts = -1;
  for (size_t i = 0; i < kWorkers; ++i) driver->CreateActor(actor);
  ASSERT_TRUE(AllRun(raylet));
  raylet.TakeLongestTurn();
  driver.reset();
  ExpectShortTurnsUntilAllHaveEnded(raylet);
  EXPECT_TRUE(raylet.Status()["jobs"].empty());
}

TEST(RayletTurns, StayShortWhileAThousandActorsOfALivingDriverAreKilled) {
  MeasuredRaylet raylet;
  auto driver = raylet.Driver();
  for (size_t i = 0; i < kWorkers; ++i) driver.CreateActor({});
  ASSERT_TRUE(AllRun(raylet));
  const auto workers = raylet.BusyWorkers();
  raylet.TakeLongestTurn();
  for (const pid_t pid : workers) ::kill(pid, SIGKILL);
  ExpectShortTurnsUntilAllHaveEnded(raylet);
  EXPECT_EQ(driver.AwaitResult(driver.Submit({})).result->kind, wire::ValueKind::Inline);
}

}  // namespace
}  // namespace raylet::test
