// The end of a driver and of many workers at once, with the whole daemon and real processes.
#include <signal.h>

#include <nlohmann/json.hpp>

#include "tests/harness/own_time.h"
#include "tests/raylet/node/node.h"

namespace raylet::test {
namespace {

using wire::ValueKind;

constexpr size_t kCpus = 4;
#ifdef RAYLET_SANITIZED
constexpr size_t kBlocked = 60;  // each worker starts five times as slowly
#else
constexpr size_t kBlocked = 200;
#endif
constexpr Duration kStartPatience =
    std::chrono::seconds(40);  // below the timeout of a test, so that it says what it saw

nlohmann::json StatusOf(const Node& node) {
  WireOptions options;
  options.kind = wire::ProcessKind::Tool;
  options.ready = false;
  auto tool = WireProcess::Register(node.socket(), options);
  if (!tool) throw std::runtime_error(tool.error().message);
  return nlohmann::json::parse(tool->StatusJson());
}

size_t CountWorkers(const nlohmann::json& status, const std::string& key, const nlohmann::json& value) {
  const auto& workers = status["workers"];
  return static_cast<size_t>(
      std::count_if(workers.begin(), workers.end(), [&](const auto& worker) { return worker[key] == value; }));
}

// A raylet, and a driver in a process of its own whose tasks all wait in Get for tasks of their
// own. As many of those run as there are CPUs, and the others are ready.
struct BlockedWorkers {
  BlockedWorkers() : node({"--num-cpus", std::to_string(kCpus), "--log-level", "info"}) {
    ProcessOptions options;
    options.ready_fd = options.lifeline_fd = false;
    auto started = DaemonProcess::Start(FakeWorkerPath(),
                                        {node.socket(), std::to_string(kBlocked), "blocked_by_nested",
                                         node.folder.File("queued"), node.folder.File("end")},
                                        options);
    if (!started) throw std::runtime_error(started.error().message);
    driver.emplace(std::move(*started));
    // A nested task that is queued before the driver's last one would take a CPU for ever, and the last one would wait.
    EXPECT_TRUE(Eventually(kPatience, [this] { return StatusOf(node)["tasks"] == kBlocked; }));
    node.Touch("queued");
    const bool all = Eventually(kStartPatience, [this] {
      const auto status = StatusOf(node);
      return CountWorkers(status, "blocked", true) == kBlocked &&
             CountWorkers(status, "state", "busy") == kBlocked + kCpus && status["workers"].size() == kBlocked + kCpus;
    });
    EXPECT_TRUE(all) << StatusOf(node).dump(1);
  }

  size_t CountStarts() {
    log += node.daemon->Output();
    size_t starts = 0;
    for (size_t at = log.find(": started "); at != std::string::npos; at = log.find(": started ", at + 1)) ++starts;
    return starts;
  }

  void ExpectStops() {
    const OwnTime time;
    const auto stopped = node.daemon->Terminate();
    ASSERT_TRUE(stopped.has_value()) << stopped.error().message;
    EXPECT_LT(time.Elapsed(), std::chrono::seconds(3));
    EXPECT_EQ(stopped->exit_code, 0);
  }

  void ExpectServesTheNextDriver(const OwnTime& since_end) {
    auto next = node.Driver();
    const auto result = next.AwaitResult(next.Submit({}));
    EXPECT_EQ(result.result->kind, ValueKind::Inline);
    EXPECT_LT(since_end.Elapsed(), std::chrono::seconds(1));
    EXPECT_TRUE(Eventually(kPatience, [this] { return StatusOf(node)["workers"].size() == 1; }));
    const auto status = StatusOf(node);
    EXPECT_EQ(status["jobs"].size(), 1u);
    EXPECT_EQ(status["tasks"], 0);
    ExpectStops();
    EXPECT_EQ(CountStarts(), kBlocked + kCpus + 1);  // the one is the next driver's
  }

  Node node;
  std::optional<DaemonProcess> driver;
  std::string log;
};

TEST(RayletEnds, StartsNoWorkerForAKilledDriverAndServesTheNext) {
  BlockedWorkers workers;
  const OwnTime since_end;
  workers.driver->Kill();
  workers.ExpectServesTheNextDriver(since_end);
}

TEST(RayletEnds, StartsNoWorkerForADriverThatEndedAndServesTheNext) {
  BlockedWorkers workers;
  const OwnTime since_end;
  workers.node.Touch("end");
  const auto end = workers.driver->Wait(Deadline::After(kPatience));
  ASSERT_TRUE(end.has_value());
  EXPECT_EQ(end->exit_code, 0);
  workers.ExpectServesTheNextDriver(since_end);
}

TEST(RayletEnds, ObeysSigtermWhileTheWorkersOfADriverEnd) {
  BlockedWorkers workers;
  workers.driver->Kill();
  workers.ExpectStops();
  EXPECT_EQ(workers.CountStarts(), kBlocked + kCpus);
}

TEST(RayletEnds, StopsTheWorkersThatAreStartingWithTheirDriver) {
  Node node({"--num-cpus", "8"});
  auto other = node.Driver();
  {
    auto driver = node.Driver({"FAKE_WORKER_MODE=silent"});
    for (int i = 0; i < 8; ++i) driver.Submit({});
    ASSERT_TRUE(Eventually(kPatience, [&] { return CountWorkers(StatusOf(node), "state", "starting") == 8; }));
  }
  EXPECT_TRUE(Eventually(kPatience, [&] { return StatusOf(node)["workers"].empty(); }));
  EXPECT_EQ(StatusOf(node)["jobs"].size(), 1u);
  EXPECT_EQ(other.AwaitResult(other.Submit({})).result->kind, ValueKind::Inline);
}

TEST(RayletEnds, GivesUpOnAProgramWhoseWorkersRegisterAndEnd) {
  Node node;
  auto driver = node.Driver({"FAKE_WORKER_MODE=register"});
  const auto result = driver.AwaitResult(driver.Submit({}));
  ASSERT_EQ(result.result->kind, ValueKind::Failed);
  EXPECT_NE(result.result->failure->message.find("3 attempts"), std::string::npos) << result.result->failure->message;
}

TEST(RayletEnds, LetsADetachedActorAndItsTasksOutliveTheDriver) {
  Node node({"--num-cpus", "4"});
  auto other = node.Driver();
  std::optional<WireProcess> driver = node.Driver();
  ActorOptions detached;
  detached.function = "blocked_by_nested";  // it runs a task of its own, and is constructing for ever
  detached.detached = true;
  const ActorId actor = driver->CreateActor(detached);
  TaskOptions task;
  task.function = "blocked_by_nested";
  driver->Submit(task);
  ASSERT_TRUE(Eventually(kPatience, [&] { return CountWorkers(StatusOf(node), "state", "busy") == 4; }));
  const auto before = StatusOf(node)["workers"];
  driver.reset();
  ASSERT_TRUE(Eventually(kPatience, [&] { return StatusOf(node)["workers"].size() == 2; }));
  const auto after = StatusOf(node);
  EXPECT_EQ(CountWorkers(after, "state", "busy"), 2u) << after.dump(1);
  for (const auto& worker : after["workers"])
    EXPECT_NE(
        std::find_if(before.begin(), before.end(), [&](const auto& each) { return each["pid"] == worker["pid"]; }),
        before.end());
  EXPECT_EQ(after["jobs"].size(), 2u);
  other.Kill(actor, true);
  EXPECT_TRUE(Eventually(kPatience, [&] { return StatusOf(node)["jobs"].size() == 1; })) << StatusOf(node).dump(1);
  EXPECT_TRUE(StatusOf(node)["workers"].empty());
}

// No worker goes with the actor, so none says that the job has ended.
TEST(RayletEnds, ForgetsTheJobWithItsLastDetachedActorThatNeverBegan) {
  Node node;
  auto other = node.Driver();
  std::optional<WireProcess> driver = node.Driver();
  ActorOptions detached;
  detached.detached = true;
  detached.resources = {{"absent", 10'000}};
  const ActorId actor = driver->CreateActor(detached);
  driver.reset();
  ASSERT_TRUE(Eventually(kPatience, [&] { return StatusOf(node)["jobs"][1]["driver_pid"] == 0; }));
  other.Kill(actor, true);
  EXPECT_TRUE(Eventually(kPatience, [&] { return StatusOf(node)["jobs"].size() == 1; })) << StatusOf(node).dump(1);
}

}  // namespace
}  // namespace raylet::test
