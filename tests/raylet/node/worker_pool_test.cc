// The processes that the pool starts are shells and copies of small programs.
#include "raylet/node/worker_pool.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <map>
#include <thread>

#include "base/strings.h"
#include "tests/harness/loop_thread.h"
#include "tests/harness/run_folder.h"

namespace raylet::test {
namespace {

class WorkerPoolTest : public testing::Test {
 protected:
  static constexpr WorkerId kWorker = 1;
  static constexpr auto kPatience = std::chrono::seconds(60);
  static constexpr const char* kStays = "exec sleep 1000";

  ~WorkerPoolTest() override {
    thread_.Run([this] { pool_.reset(); });
  }

  void Make(std::chrono::milliseconds register_timeout = std::chrono::seconds(60)) {
    thread_.Run([&] {
      pool_.emplace(thread_.loop(), WorkerPoolOptions{"/the/socket", folder_.path(), register_timeout},
                    [this](WorkerId worker, const WorkerExit& exit) {
                      exits_[worker] = exit;
                      if (exits_this_turn_++ == 0)
                        thread_.loop().AtEndOfTurn([this] { turns_.push_back(std::exchange(exits_this_turn_, 0)); });
                    });
    });
  }
  static WorkerProgram Shell(const std::string& script) {
    return {"/bin/sh", {"sh", "-c", script}, {"PATH=/usr/bin:/bin"}, "/", nullptr};
  }
  void Start(WorkerId worker, const std::string& script) {
    thread_.Run([&] { pool_->Start(worker, Shell(script)); });
  }
  // Starts a worker that stays. Returns its token; 0 if the worker has ended before it wrote it.
  uint64_t StartAndReadToken(WorkerId worker) {
    const std::string file = folder_.File(StrCat("token-", worker));
    Start(worker, StrCat("echo $RAYLET_WORKER_TOKEN > ", file, ".new; mv ", file, ".new ", file, "; ", kStays));
    uint64_t token = 0;
    EXPECT_TRUE(Await([&] { return bool(std::ifstream(file) >> token) || exits_.contains(worker); }));
    return token;
  }
  Result<WorkerId> Register(uint64_t token) {
    Result<WorkerId> registered = kWorker;
    thread_.Run([&] { registered = pool_->Registered(token); });
    return registered;
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
  WorkerExit AwaitExit(WorkerId worker) {
    EXPECT_TRUE(Await([&] { return exits_.contains(worker); })) << "worker " << worker << " did not end";
    WorkerExit exit;
    thread_.Run([&] { exit = exits_[worker]; });
    return exit;
  }
  pid_t PidOf(WorkerId worker) {
    pid_t pid = 0;
    thread_.Run([&] { pid = pool_->PidOf(worker); });
    return pid;
  }

  const RunFolder folder_;
  LoopThread thread_;
  std::optional<WorkerPool> pool_;
  std::map<WorkerId, WorkerExit> exits_;
  size_t exits_this_turn_ = 0;
  std::vector<size_t> turns_;  // exits that each turn with some told
};

TEST_F(WorkerPoolTest, TellsTheCodeTheSignalAndTheOutputOfAnEnd) {
  Make();
  Start(1, "echo out; echo err >&2; exit 3");
  Start(2, "kill -TERM $$");
  const WorkerExit exited = AwaitExit(1), killed = AwaitExit(2);
  EXPECT_GT(exited.pid, 0);
  EXPECT_EQ(exited.exit_code, 3);
  EXPECT_EQ(exited.signal, 0);
  EXPECT_EQ(exited.last_output, "out\nerr");
  EXPECT_TRUE(std::filesystem::exists(exited.log_file));
  EXPECT_EQ(killed.signal, SIGTERM);
  thread_.Run([this] { EXPECT_TRUE(pool_->Empty()); });
}

TEST_F(WorkerPoolTest, RemovesTheLogOfAWorkerThatWroteNothing) {
  Make();
  Start(kWorker, "exit 0");
  EXPECT_EQ(AwaitExit(kWorker).log_file, "");
  EXPECT_TRUE(std::filesystem::is_empty(folder_.path()));
}

TEST_F(WorkerPoolTest, QuotesALongOutputFromTheStartOfALineNearItsEnd) {
  Make();
  Start(kWorker, "for i in $(seq 1 1000); do echo line $i; done; printf 'a\\000b'");
  const std::string quoted = AwaitExit(kWorker).last_output;
  EXPECT_LE(quoted.size(), 1000u);
  EXPECT_GT(quoted.size(), 900u);
  EXPECT_TRUE(quoted.starts_with("line ")) << quoted.substr(0, 20);
  EXPECT_TRUE(quoted.ends_with("line 1000\na b")) << quoted;
}

TEST_F(WorkerPoolTest, GivesAWorkerItsSocketAndATokenInPlaceOfThoseOfItsDriver) {
  Make();
  WorkerProgram program = Shell("echo $RAYLET_SOCKET; echo $RAYLET_WORKER_TOKEN; echo $OTHER; pwd");
  program.environment = {"PATH=/bin", "RAYLET_WORKER_TOKEN=stale", "RAYLET_SOCKET=/stale", "OTHER=kept"};
  program.working_directory = "/usr";
  thread_.Run([&] { pool_->Start(kWorker, program); });
  const std::string output = AwaitExit(kWorker).last_output;
  EXPECT_TRUE(output.starts_with("/the/socket\n")) << output;
  EXPECT_TRUE(output.ends_with("\nkept\n/usr")) << output;
  EXPECT_EQ(output.find("stale"), std::string::npos) << output;
}

TEST_F(WorkerPoolTest, ATokenRegistersItsWorkerOnce) {
  Make();
  const uint64_t token = StartAndReadToken(kWorker);
  const auto registered = Register(token);
  ASSERT_TRUE(registered) << registered.error().message;
  EXPECT_EQ(*registered, kWorker);
  EXPECT_EQ(Register(token).error().code, ErrorCode::kNotAllowed);
  EXPECT_EQ(Register(0).error().code, ErrorCode::kNotAllowed);
}

TEST_F(WorkerPoolTest, ATokenEndsWithItsProcess) {
  Make();
  const uint64_t token = StartAndReadToken(kWorker);
  thread_.Run([this] { pool_->Signal(kWorker, SIGKILL); });
  AwaitExit(kWorker);
  EXPECT_EQ(Register(token).error().code, ErrorCode::kNotAllowed);
}

TEST_F(WorkerPoolTest, KillsAWorkerThatDoesNotRegisterInTimeAndNoOther) {
  Make(std::chrono::milliseconds(1000));
  // On a busy machine a shell may take longer to start. Then it is killed, and another one tries.
  WorkerId registered = 1;
  while (!Register(StartAndReadToken(registered))) ASSERT_LT(++registered, 20u);
  const WorkerId silent = registered + 1;
  Start(silent, kStays);
  const WorkerExit late = AwaitExit(silent);  // so the time of the registered one is over, too
  EXPECT_EQ(late.signal, SIGKILL);
  EXPECT_NE(late.start_error.find("did not register within 1000 ms"), std::string::npos) << late.start_error;
  EXPECT_NE(PidOf(registered), 0);
}

TEST_F(WorkerPoolTest, TellsAFailureToStartInALaterTurn) {
  Make();
  thread_.Run([this] {
    WorkerProgram missing = Shell("");
    missing.executable = folder_.File("no-such-program");
    pool_->Start(kWorker, missing);
    EXPECT_TRUE(exits_.empty());
    EXPECT_FALSE(pool_->Empty()) << "its end has not been told";
  });
  const WorkerExit exit = AwaitExit(kWorker);
  EXPECT_EQ(exit.pid, 0);
  EXPECT_NE(exit.start_error.find("could not be started"), std::string::npos) << exit.start_error;
}

TEST_F(WorkerPoolTest, TellsManyEndsOverSeveralTurns) {
  Make();
  constexpr WorkerId kMany = 2 * kExitsPerTurn + 5;
  thread_.Run([&] {
    WorkerProgram missing = Shell("");
    missing.executable = folder_.File("no-such-program");
    for (WorkerId worker = 1; worker <= kMany; ++worker) pool_->Start(worker, missing);
  });
  ASSERT_TRUE(Await([&] { return exits_.size() == kMany; }));
  thread_.Run([&] {
    size_t all = 0;
    for (const size_t exits : turns_) {
      EXPECT_LE(exits, kExitsPerTurn);
      all += exits;
    }
    EXPECT_EQ(all, kMany);
  });
}

TEST_F(WorkerPoolTest, KillsAtOnceSoonOrAfterAGrace) {
  Make();
  for (WorkerId worker = 1; worker <= 3; ++worker) Start(worker, kStays);
  thread_.Run([this] {
    pool_->Signal(1, SIGKILL);
    pool_->KillSoon(2);
    pool_->KillAfter(3, std::chrono::milliseconds(1));
    pool_->Signal(77, SIGKILL);  // nobody
    pool_->KillSoon(77);
    pool_->KillAfter(77, std::chrono::milliseconds(1));
  });
  for (WorkerId worker = 1; worker <= 3; ++worker) EXPECT_EQ(AwaitExit(worker).signal, SIGKILL);
}

TEST_F(WorkerPoolTest, LeavesOtherChildrenOfTheProcessAlone) {
  Make();
  pid_t other = 0;
  char name[] = "true";
  char* const arguments[] = {name, nullptr};
  ASSERT_EQ(::posix_spawn(&other, "/bin/true", nullptr, nullptr, arguments, environ), 0);
  siginfo_t ended{};
  ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(other), &ended, WEXITED | WNOWAIT), 0);
  Start(kWorker, "exit 0");
  AwaitExit(kWorker);
  int status = 0;
  EXPECT_EQ(::waitpid(other, &status, 0), other) << "the pool has reaped it";
}

TEST_F(WorkerPoolTest, KillsWhatStillRunsAtItsEnd) {
  Make();
  Start(kWorker, kStays);
  const pid_t pid = PidOf(kWorker);
  thread_.Run([this] { pool_.reset(); });
  int status = 0;
  ASSERT_EQ(::waitpid(pid, &status, 0), pid);
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

TEST_F(WorkerPoolTest, RunsTheFileOfItsDriverWhenAnotherLiesAtThePath) {
  Make();
  const std::string path = folder_.File("program");
  std::filesystem::copy_file("/bin/true", path);
  WorkerProgram program = Shell("");
  program.executable = path;
  program.arguments = {"program"};
  program.file = std::make_shared<const UniqueFd>(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  std::filesystem::copy_file("/bin/false", folder_.File("other"));
  std::filesystem::rename(folder_.File("other"), path);
  thread_.Run([&] { pool_->Start(kWorker, program); });
  const WorkerExit exit = AwaitExit(kWorker);
  EXPECT_EQ(exit.start_error, "");
  EXPECT_EQ(exit.exit_code, 0) << "it ran the new file";
}

TEST(OpenProgramOf, OpensTheFileThatAProcessRunsIfItLiesAtThePath) {
  const std::string own = std::filesystem::canonical("/proc/self/exe");
  EXPECT_NE(OpenProgramOf(::getpid(), own), nullptr);
  EXPECT_EQ(OpenProgramOf(::getpid(), "/bin/true"), nullptr);
  EXPECT_EQ(OpenProgramOf(::getpid(), "/no/such/file"), nullptr);
}

}  // namespace
}  // namespace raylet::test
