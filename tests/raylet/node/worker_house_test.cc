// The two halves of a worker's end, the exit of its process and the end of its socket, in either order; and many ends
// at once. The workers are shells.
#include <gtest/gtest.h>

#include <csignal>
#include <fstream>
#include <thread>

#include "raylet/node/worker_house.h"
#include "tests/harness/loop_thread.h"
#include "tests/harness/run_folder.h"

namespace raylet::test {
namespace {

constexpr ProcessId kProcess = 7;
constexpr JobId kJob = 3;
constexpr WorkerId kWorker = 1;
constexpr auto kPatience = std::chrono::seconds(20);

class WorkerHouseTest : public testing::Test {
 protected:
  WorkerHouseTest() {
    thread_.Run([this] {
      door_.emplace(thread_.loop(), ProcessDoorOptions{});
      house_.emplace(thread_.loop(),
                     WorkerPoolOptions{folder_.File("socket"), folder_.path(), std::chrono::seconds(10)},
                     std::chrono::seconds(10), *door_, [this](const std::vector<GoneWorker>& gone) {
                       batches_.push_back(gone.size());
                       for (const GoneWorker& each : gone) gone_.push_back({each.worker, each.record.exit});
                     });
    });
  }
  ~WorkerHouseTest() override {
    thread_.Run([this] {
      house_.reset();
      door_.reset();
    });
  }

  void Start(WorkerId worker, const std::string& script) {
    thread_.Run([&] {
      house_->Start(worker, {kJob, {}}, {"/bin/sh", {"sh", "-c", script}, {"PATH=/usr/bin:/bin"}, "/", nullptr});
    });
  }

  // A worker that has registered and stays until it is killed.
  void StartConnected() {
    const std::string file = folder_.File("token");
    Start(kWorker, "echo $RAYLET_WORKER_TOKEN > " + file + ".new; mv " + file + ".new " + file + "; exec sleep 1000");
    uint64_t token = 0;
    ASSERT_TRUE(Await([&] { return bool(std::ifstream(file) >> token); }));
    thread_.Run([&] {
      const auto registered = house_->Registered(token);
      ASSERT_TRUE(registered) << registered.error().message;
      EXPECT_EQ(*registered, kWorker);
      house_->Connected(kWorker, kProcess);
    });
  }

  // The loop's own thread looks.
  bool Await(const std::function<bool()>& holds) {
    const auto until = std::chrono::steady_clock::now() + kPatience;
    for (;;) {
      bool held = false;
      thread_.Run([&] { held = holds(); });
      if (held || std::chrono::steady_clock::now() > until) return held;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }

  struct Gone {
    WorkerId worker = 0;
    std::optional<WorkerExit> exit;
  };

  const RunFolder folder_;
  LoopThread thread_;
  std::optional<ProcessDoor> door_;
  std::optional<WorkerHouse> house_;
  std::vector<Gone> gone_;
  std::vector<size_t> batches_;
};

TEST_F(WorkerHouseTest, TellsAWorkerThatNeverRegisteredGoneAtItsExit) {
  Start(kWorker, "exit 3");
  ASSERT_TRUE(Await([this] { return !gone_.empty(); }));
  EXPECT_EQ(gone_[0].worker, kWorker);
  ASSERT_TRUE(gone_[0].exit);
  EXPECT_EQ(gone_[0].exit->exit_code, 3);
  thread_.Run([this] { EXPECT_EQ(house_->Find(kWorker), nullptr); });
}

TEST_F(WorkerHouseTest, TellsNothingBeforeTheSocketOfADeadWorkerHasEnded) {
  StartConnected();
  thread_.Run([this] { house_->Kill(kWorker); });
  ASSERT_TRUE(Await([this] { return house_->Get(kWorker).exit.has_value(); }));
  thread_.Run([this] {
    EXPECT_TRUE(gone_.empty());
    EXPECT_FALSE(house_->SocketGone(kWorker));  // the second half
    EXPECT_TRUE(gone_.empty());                 // the end is reported in a turn of its own
  });
  ASSERT_TRUE(Await([this] { return !gone_.empty(); }));
  ASSERT_TRUE(gone_[0].exit);
  EXPECT_EQ(gone_[0].exit->signal, SIGKILL);
}

TEST_F(WorkerHouseTest, KillsAWorkerWhoseSocketHasEndedAndTellsItGoneOnce) {
  StartConnected();
  thread_.Run([this] { EXPECT_TRUE(house_->SocketGone(kWorker)); });
  ASSERT_TRUE(Await([this] { return !gone_.empty(); }));
  ASSERT_TRUE(gone_[0].exit);
  EXPECT_EQ(gone_[0].exit->signal, SIGKILL);
  thread_.Run([this] { EXPECT_EQ(gone_.size(), 1u); });
}

TEST_F(WorkerHouseTest, RefusesAWorkerThatEndsWithItsJob) {
  const std::string file = folder_.File("token");
  Start(kWorker, "echo $RAYLET_WORKER_TOKEN > " + file + ".new; mv " + file + ".new " + file + "; exec sleep 1000");
  uint64_t token = 0;
  ASSERT_TRUE(Await([&] { return bool(std::ifstream(file) >> token); }));
  thread_.Run([&] {
    house_->EndWithJob(kWorker);
    EXPECT_TRUE(house_->EndsWithItsJob(kWorker));
    const auto registered = house_->Registered(token);
    ASSERT_FALSE(registered);
    EXPECT_EQ(registered.error().code, ErrorCode::kNotRunning);
  });
  ASSERT_TRUE(Await([this] { return !gone_.empty(); }));
}

TEST_F(WorkerHouseTest, TellsManyEndsInBoundedBatches) {
  static constexpr WorkerId kWorkers = kEndsPerTurn + 8;
  for (WorkerId worker = 1; worker <= kWorkers; ++worker) Start(worker, "exec sleep 1000");
  thread_.Run([this] { house_->KillAll(); });
  ASSERT_TRUE(Await([this] { return gone_.size() >= kWorkers; }));
  thread_.Run([this] {
    EXPECT_EQ(gone_.size(), kWorkers);
    for (const size_t batch : batches_) EXPECT_LE(batch, kEndsPerTurn);
  });
}

TEST_F(WorkerHouseTest, SaysWhenAllHaveEndedAfterStop) {
  Start(1, "exec sleep 1000");
  Start(2, "exec sleep 1000");
  bool empty = false;
  thread_.Run([&] { house_->Stop(std::chrono::seconds(10), /*ask=*/true, [&] { empty = true; }); });
  ASSERT_TRUE(Await([&] { return empty; }));
  thread_.Run([this] {
    EXPECT_TRUE(house_->pool().Empty());
    EXPECT_TRUE(gone_.empty());  // no end is reported after Stop
  });
}

}  // namespace
}  // namespace raylet::test
