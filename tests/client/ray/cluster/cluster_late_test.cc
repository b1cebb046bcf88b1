// Results that come faster than their driver takes them. Each of them arrives, and the raylet's memory stays bounded.
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <memory>
#include <string_view>

#include "base/frame_connection.h"
#include "client/finder/raylet_finder.h"
#include "fbs/messages.h"
#include "tests/client/ray/cluster/daemons_fixture.h"
#include "tests/client/ray/cluster/status_of.h"

namespace cluster_test {
namespace {

using raylet::Deadline;
using raylet::FrameConnection;
using raylet::test::Eventually;
using raylet::test::Machine;
using namespace std::chrono_literals;

struct Load {
  int tasks;
  size_t bytes;

  // A part of them is enough for more results than the driver may leave unread.
  int TasksHere() const {
#ifdef RAYLET_SANITIZED
    return tasks / (bytes < 10'000 ? 16 : 4);
#else
    return tasks;
#endif
  }
};

class LateDriverTest : public DriverTest, public ::testing::WithParamInterface<Load> {
 protected:
  void SetUp() override {
    StartMachine({"--num-cpus", "2"});
    connection_ = std::make_unique<FrameConnection>(
        *FrameConnection::Connect(machine_->socket(), Deadline::After(30s), /*retry=*/false));
    const auto registered = raylet::client::RegisterTool(*connection_, Deadline::After(30s));
    ASSERT_TRUE(registered) << registered.error().message;
  }

  void StartDriver(const Load& load, const std::string& resource = "CPU", bool tasks_wait = false) {
    tasks_ = load.TasksHere();
    std::vector<std::string> arguments = {std::to_string(tasks_), std::to_string(load.bytes), folder_.File("go"),
                                          resource};
    if (tasks_wait) arguments.push_back(folder_.File("begin"));
    StartProgram(RAY_CLUSTER_LATE, arguments);
  }

  bool Submitted() const { return driver_->Output().find("submitted") != std::string::npos; }

  nlohmann::json Status() { return AskStatus(*connection_); }

  // The most memory that a process has had, in MiB.
  static size_t PeakMiBOf(pid_t process) {
    std::ifstream status("/proc/" + std::to_string(process) + "/status");
    for (std::string word; status >> word;) {
      if (word != "VmHWM:") continue;
      size_t kib = 0;
      status >> kib;
      return kib >> 10;
    }
    return 0;
  }
  size_t PeakMiB() const { return PeakMiBOf(machine_->raylet->pid()); }

  void ExpectEveryResult(size_t peak_mib_max) {
    LetGo();
    EXPECT_TRUE(driver_->Wait(Deadline::After(200s))) << "it still waits";
    EXPECT_NE(driver_->Output().find("right: " + std::to_string(tasks_) + "\n"), std::string::npos)
        << driver_->Output() << machine_->raylet->Output();
#ifndef RAYLET_SANITIZED  // what was freed stays resident there
    EXPECT_LT(PeakMiB(), peak_mib_max) << "VmHWM of the raylet, in MiB";
#else
    EXPECT_LT(PeakMiB(), peak_mib_max + 1024) << "VmHWM of the raylet, in MiB";
#endif
  }

  void LetGo() { std::ofstream(folder_.File("go")).put('x'); }

  // Stops the driver before the first result arrives, until all work that goes on without it has ended. Its tasks wait
  // for that.
  void StopDriverForAWhile() {
    ASSERT_TRUE(Eventually(200s, [&] {
      return !driver_->Running() || (Submitted() && Status().at("tasks") == tasks_);
    })) << Status().dump(1);
    driver_->Signal(SIGSTOP);
    std::ofstream(folder_.File("begin")).put('x');
    const auto waits_for_driver = [](const nlohmann::json& status) {
      return status.at("queues").dump().find("has read more of the results") != std::string::npos;
    };
    nlohmann::json status;
    size_t tasks = 0;
    int still = 0;
    EXPECT_TRUE(Eventually(200s, [&] {
      status = Status();
      const size_t now = status.at("tasks");
      still = now == tasks ? still + 1 : 0;
      tasks = now;
      return now == 0 || (still >= 200 && waits_for_driver(status));
    })) << status.dump(1);
    EXPECT_EQ(status.at("jobs").size(), 1u) << "the driver was dropped: " << machine_->raylet->Output();
    all_ended_ = tasks == 0;
    driver_->Signal(SIGCONT);
  }

  std::unique_ptr<FrameConnection> connection_;
  int tasks_ = 0;
  bool all_ended_ = false;  // while the driver was stopped
};

// The tasks themselves wait in the raylet: 1.2 KiB each, and 100 MiB for all else.
size_t PeakMiBFor(const Load& load) { return 100 + static_cast<size_t>(load.tasks) * 1200 / (1 << 20); }

TEST_P(LateDriverTest, EveryResultArrivesThoughNobodyGetsOneUntilAllHaveEnded) {
  ASSERT_NO_FATAL_FAILURE(StartDriver(GetParam()));
  ASSERT_TRUE(Eventually(200s, [&] { return !driver_->Running() || (Submitted() && Status().at("tasks") == 0); }))
      << Status().dump(1);
  ExpectEveryResult(PeakMiBFor(GetParam()));
}

TEST_P(LateDriverTest, EveryResultArrivesThoughTheDriverIsStoppedForAWhile) {
  ASSERT_NO_FATAL_FAILURE(StartDriver(GetParam(), "CPU", /*tasks_wait=*/true));
  ASSERT_NO_FATAL_FAILURE(StopDriverForAWhile());
  EXPECT_TRUE(!all_ended_ || GetParam().bytes < 10'000) << "nothing waited for the driver";
  ExpectEveryResult(PeakMiBFor(GetParam()));
}

INSTANTIATE_TEST_SUITE_P(Loads, LateDriverTest,
                         ::testing::Values(Load{2'000, 60'000}, Load{100'000, 3'000}, Load{200'000, 2'000}),
                         [](const auto& load) {
                           return std::to_string(load.param.tasks) + "TasksOf" + std::to_string(load.param.bytes) +
                                  "Bytes";
                         });

class LateDriverOfTwoMachinesTest : public LateDriverTest {};

TEST_P(LateDriverOfTwoMachinesTest, EveryResultOfAnotherMachineArrivesThoughTheDriverIsStoppedForAWhile) {
  const Machine other(token_, {"--num-cpus", "2", "--resources", R"({"there": 2})", "--peers", machine_->address});
  ASSERT_TRUE(Eventually(20s, [&] { return Status().dump().find("\"there\"") != std::string::npos; }));
  ASSERT_NO_FATAL_FAILURE(StartDriver(GetParam(), "there", /*tasks_wait=*/true));
  ASSERT_NO_FATAL_FAILURE(StopDriverForAWhile());
  EXPECT_FALSE(all_ended_) << "nothing waited for the driver";
  ExpectEveryResult(PeakMiBFor(GetParam()));
}

INSTANTIATE_TEST_SUITE_P(Loads, LateDriverOfTwoMachinesTest, ::testing::Values(Load{4'000, 60'000}),
                         [](const auto& load) { return std::to_string(load.param.tasks) + "Tasks"; });

class LateCallerTest : public LateDriverTest {
 protected:
  static bool GrowsNoMore(pid_t process) {
    size_t peak = 0;
    int still = 0;
    return Eventually(200s, [&] {
      const size_t now = PeakMiBOf(process);
      still = now == peak ? still + 1 : 0;
      peak = now;
      return still == 200;
    });
  }
  // The replies take ten times the memory that the actor may keep for them.
  void ExpectFewRepliesAreKeptAndNoneIsLost(const std::string& resource) {
    ASSERT_NO_FATAL_FAILURE(StartDriver(GetParam(), "actor:" + resource));
    ASSERT_TRUE(Eventually(20s, [&] { return !driver_->Running() || Actor() != 0; }));
    const pid_t actor = Actor();
    ASSERT_NE(actor, 0) << driver_->Output();
    driver_->Signal(SIGSTOP);
    ASSERT_TRUE(GrowsNoMore(actor));
    driver_->Signal(SIGCONT);
    ASSERT_TRUE(Eventually(200s, [&] { return !driver_->Running() || Submitted(); })) << driver_->Output();
    ASSERT_TRUE(GrowsNoMore(actor));
    const size_t peak_of_actor = PeakMiBOf(actor);
    LetGo();
    EXPECT_TRUE(driver_->Wait(Deadline::After(200s))) << "it still waits";
    EXPECT_NE(driver_->Output().find("right: " + std::to_string(tasks_) + "\n"), std::string::npos)
        << driver_->Output() << machine_->raylet->Output();
    EXPECT_GT(peak_of_actor, 0u) << "the actor has ended";
#ifndef RAYLET_SANITIZED  // what was freed stays resident there
    EXPECT_LT(peak_of_actor, 64u) << "VmHWM of the actor, in MiB";
#endif
  }
  pid_t Actor() const {
    constexpr std::string_view kSays = "process: ";
    const std::string output = driver_->Output();
    const size_t at = output.find(kSays);
    return at == std::string::npos ? 0 : std::atoi(output.c_str() + at + kSays.size());
  }
};

TEST_P(LateCallerTest, AnActorKeepsFewRepliesForACallerThatDoesNotReadAndLosesNone) {
  ExpectFewRepliesAreKeptAndNoneIsLost("CPU");
}

TEST_P(LateCallerTest, AnActorOnAnotherMachineKeepsFewRepliesForACallerThatDoesNotReadAndLosesNone) {
  const Machine other(token_, {"--num-cpus", "2", "--resources", R"({"there": 2})", "--peers", machine_->address});
  ExpectFewRepliesAreKeptAndNoneIsLost("there");
#ifndef RAYLET_SANITIZED
  for (const pid_t raylet : {machine_->raylet->pid(), other.raylet->pid()})
    EXPECT_LT(PeakMiBOf(raylet), 100u) << "VmHWM of a raylet, in MiB";
#endif
}

INSTANTIATE_TEST_SUITE_P(Loads, LateCallerTest, ::testing::Values(Load{10'000, 60'000}),
                         [](const auto& load) { return std::to_string(load.param.tasks) + "Calls"; });

}  // namespace
}  // namespace cluster_test
