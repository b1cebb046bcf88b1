// How long the raylet's loop works without looking for events while a thousand
// real workers end in a moment. Measured in CPU time, so other load on this
// machine does not count.
#include <signal.h>

#include <atomic>
#include <cstdlib>

#include "tests/raylet/node/measured_raylet.h"

namespace raylet::test {
namespace {

#ifdef RAYLET_SANITIZED
constexpr size_t kWorkers = 60;  // each takes a second there
constexpr size_t kQueuedTasks = 2'000;
constexpr size_t kAwaitingTasks = 2'000;
#else
constexpr size_t kWorkers = 1'000;
constexpr size_t kQueuedTasks = 80'000;
constexpr size_t kAwaitingTasks = 30'000;
#endif

RayletOptions ForAllWorkers() {
  RayletOptions options;
  EXPECT_TRUE(options.resources.Add(kCpu, int64_t{kWorkers} * kUnitsPerWhole).has_value());
  options.limits.workers_max = kWorkers * 8 / 7;  // an eighth is kept for nested tasks
  return options;
}

// The pids of workers that run a task.
std::vector<pid_t> BusyWorkers(MeasuredRaylet& raylet) {
  std::vector<pid_t> pids;
  const nlohmann::json status = raylet.Status();
  for (const auto& worker : status["workers"])
    if (worker["state"] == "busy") pids.push_back(worker["pid"]);
  return pids;
}

bool AllRun(MeasuredRaylet& raylet) {
  return Eventually(kPatienceForAll, [&] { return BusyWorkers(raylet).size() == kWorkers; });
}

// The status of a thousand workers is a long turn of its own, and is not asked
// for meanwhile.
void ExpectShortTurnsUntilAllHaveEnded(MeasuredRaylet& raylet) {
  EXPECT_TRUE(Eventually(kPatienceForAll, [&] { return raylet.CountWorkers() == 0; }));
  const Duration longest = raylet.TakeLongestTurn();
  EXPECT_LT(longest, kTurnMax);
  ::testing::Test::RecordProperty("longest_turn_us", std::to_string(longest / std::chrono::microseconds(1)));
}

TEST(RayletTurns, StayShortWhileAThousandWorkersEndWithTheirDriver) {
  MeasuredRaylet raylet(ForAllWorkers());
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
  MeasuredRaylet raylet(ForAllWorkers());
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
  MeasuredRaylet raylet(ForAllWorkers());
  auto driver = raylet.Driver();
  for (size_t i = 0; i < kWorkers; ++i) driver.CreateActor({});
  ASSERT_TRUE(AllRun(raylet));
  const auto workers = BusyWorkers(raylet);
  raylet.TakeLongestTurn();
  for (const pid_t pid : workers) ::kill(pid, SIGKILL);
  ExpectShortTurnsUntilAllHaveEnded(raylet);
  EXPECT_EQ(driver.AwaitResult(driver.Submit({})).result->kind, wire::ValueKind::Inline);
}

// $RAYLET_TURN_TASKS asks for more.
size_t Tasks(size_t otherwise) {
  const char* const text = std::getenv("RAYLET_TURN_TASKS");
  return text == nullptr ? otherwise : std::strtoul(text, nullptr, 10);
}

RayletOptions ForAllTasks() {
  RayletOptions options;
  options.limits.tasks_per_job_max = 4 * Tasks(kQueuedTasks);
  options.limits.task_bytes_per_job_max = size_t{64} << 30;
  return options;
}

void SubmitAll(WireProcess& driver, size_t count, const std::vector<ObjectId>& wait_for = {}) {
  TaskOptions task;
  task.wait_for = wait_for;
  task.resources = {{"absent", kUnitsPerWhole}};
  for (size_t i = 0; i < count; ++i) driver.Submit(task);
}

testing::AssertionResult Reaches(MeasuredRaylet& raylet, const char* what, size_t expected) {
  size_t count = 0;
  if (Eventually(kPatienceForAll, [&] {
        count = raylet.Status().value(nlohmann::json::json_pointer(what), size_t{0});
        return count == expected;
      }))
    return testing::AssertionSuccess();
  return testing::AssertionFailure() << what << " is " << count << ", not " << expected;
}

TEST(RayletTurns, StayShortWhileADriverWithManyQueuedTasksEnds) {
  MeasuredRaylet raylet(ForAllTasks());
  auto bystander = raylet.Driver();
  std::optional<WireProcess> driver = raylet.Driver();
  SubmitAll(*driver, Tasks(kQueuedTasks));
  ASSERT_TRUE(Reaches(raylet, "/queues/0/count", Tasks(kQueuedTasks)));
  raylet.TakeLongestTurn();
  driver.reset();
  EXPECT_TRUE(Reaches(raylet, "/tasks", 0));
  raylet.ExpectShortTurns("ending");
  EXPECT_TRUE(Eventually(kPatience, [&] { return raylet.Status()["jobs"].size() == 1; }));
  TaskOptions task;
  task.wait_for = {ObjectId::FromRandom()};
  bystander.Submit(task);
  EXPECT_TRUE(Reaches(raylet, "/tasks_waiting_for_objects", 1));
}

TEST(RayletTurns, StayShortWhileAnObjectForWhichManyTasksWaitIsSealed) {
  MeasuredRaylet raylet(ForAllTasks());
  auto driver = raylet.Driver();
  const ObjectId object = ObjectId::FromRandom();
  SubmitAll(driver, Tasks(kAwaitingTasks), {object});
  ASSERT_TRUE(Reaches(raylet, "/tasks_waiting_for_objects", Tasks(kAwaitingTasks)));
  raylet.TakeLongestTurn();
  raylet.Seal(object);
  EXPECT_TRUE(Reaches(raylet, "/queues/0/count", Tasks(kAwaitingTasks)));
  raylet.ExpectShortTurns("sealing");
}

TEST(RayletTurns, StayShortWhileTheOwnerOfAnObjectForWhichManyTasksWaitEnds) {
  MeasuredRaylet raylet(ForAllTasks());
  std::optional<WireProcess> owner = raylet.Driver();
  auto driver = raylet.Driver();
  std::atomic<uint64_t> next{1};
  SubmitAll(driver, Tasks(kAwaitingTasks), {NewObjectId(owner->process(), next)});
  ASSERT_TRUE(Reaches(raylet, "/tasks_waiting_for_objects", Tasks(kAwaitingTasks)));
  raylet.TakeLongestTurn();
  owner.reset();
  for (size_t i = 0; i < Tasks(kAwaitingTasks); ++i) ASSERT_TRUE(driver.Await(wire::RayletMessage::TaskResult));
  raylet.ExpectShortTurns("ending");
}

}  // namespace
}  // namespace raylet::test
