// Who is told that a process has ended: those that may have lent it something, or it them, and those that wait for an
// object of its.
#include <signal.h>
#include <sys/stat.h>

#include <nlohmann/json.hpp>

#include "tests/raylet/node/node.h"

namespace raylet::test {
namespace {

using wire::RayletMessage;

class RayletToldTest : public ::testing::Test {
 protected:
  static TaskOptions TaskOf(const std::string& function, uint64_t lend = 0) {
    TaskOptions task;
    task.function = function;
    task.lend = lend;
    return task;
  }
  // The process that ran the task, or 0.
  static ProcessId RunAndKill(WireProcess& driver, const TaskOptions& task) {
    const auto result = driver.AwaitResult(driver.Submit(task));
    const pid_t pid = std::atoi(InlineText(result).c_str());
    ::kill(pid, SIGKILL);
    EXPECT_TRUE(Eventually(kPatience, [&] { return ::kill(pid, 0) != 0; }));
    return result.process;
  }
  static ObjectId ObjectOf(const WireProcess& owner) {
    static std::atomic<uint64_t> counter{1000};
    return NewObjectId(owner.process(), counter);
  }
  static void Want(WireProcess& process, const ObjectId& object) {
    wire::WantNoticeT want;
    want.objects = {ToWire(object)};
    ASSERT_TRUE(process.Send(RayletMessage::WantObjects, want));
  }
  static void ExpectHears(WireProcess& process, ProcessId ended) {
    const auto frame = process.Await(RayletMessage::ProcessDied);
    ASSERT_TRUE(frame) << frame.error().message;
    const auto notice = Parse<wire::ProcessNoticeT>(frame->body);
    ASSERT_TRUE(notice);
    EXPECT_EQ(notice->process, ended);
    EXPECT_TRUE(notice->met.empty());
    wire::ClaimsMadeNoticeT made;
    made.process = ended;
    ASSERT_TRUE(process.Send(RayletMessage::ClaimsMade, made));
  }
  static void ExpectHearsItSettled(WireProcess& process, ProcessId ended) {
    const auto frame = process.Await(RayletMessage::ProcessSettled);
    ASSERT_TRUE(frame) << frame.error().message;
    const auto notice = Parse<wire::SettledNoticeT>(frame->body);
    ASSERT_TRUE(notice);
    EXPECT_EQ(notice->processes, std::vector{ended});
  }
  // No worker is left, all ends so far are settled, and what came of them has been said.
  static void ExpectHearsNothing(WireProcess& process) {
    EXPECT_TRUE(Eventually(kPatience, [&] {
      const auto status = nlohmann::json::parse(process.StatusJson());
      return status["workers"].empty() && status["ends_unsettled"] == 0;
    }));
    (void)process.StatusJson();
    EXPECT_FALSE(process.Await(RayletMessage::ProcessDied, Duration::zero()));
    EXPECT_FALSE(process.Await(RayletMessage::ProcessSettled, Duration::zero()));
  }
  size_t Pairs(WireProcess& process) const { return nlohmann::json::parse(process.StatusJson())["processes_met"]; }

  Node node_{{"--num-cpus", "4"}};
  WireProcess bystander_ = node_.Driver();
};

TEST_F(RayletToldTest, NobodyHearsOfTheEndOfAWorkerThatLentNothing) {
  auto driver = node_.Driver();
  ASSERT_NE(RunAndKill(driver, TaskOf("pid")), 0u);
  ExpectHearsNothing(driver);
  ExpectHearsNothing(bystander_);
  EXPECT_EQ(Pairs(driver), 0u);
}

TEST_F(RayletToldTest, TheLenderOfATasksArgumentsHearsOfTheWorkersEnd) {
  auto driver = node_.Driver();
  const ProcessId worker = RunAndKill(driver, TaskOf("pid", 1));
  ExpectHears(driver, worker);
  ExpectHearsItSettled(driver, worker);
  ExpectHearsNothing(bystander_);
  EXPECT_EQ(Pairs(driver), 0u);
}

TEST_F(RayletToldTest, TheLenderOfATasksArgumentsHearsOfAnEndBeforeTheResult) {
  auto driver = node_.Driver();
  driver.Submit(TaskOf("crash", 1));
  const auto frame = driver.Await(RayletMessage::ProcessDied);
  ASSERT_TRUE(frame) << frame.error().message;
  EXPECT_FALSE(bystander_.Await(RayletMessage::ProcessDied, Duration::zero()));
}

TEST_F(RayletToldTest, TheBorrowerOfAResultHearsOfTheWorkersEnd) {
  auto driver = node_.Driver();
  const ProcessId worker = RunAndKill(driver, TaskOf("lend_pid"));
  ExpectHears(driver, worker);
  ExpectHearsItSettled(driver, worker);
  ExpectHearsNothing(bystander_);
}

TEST_F(RayletToldTest, ACallerWithAChannelHearsOfItsActorsEnd) {
  auto driver = node_.Driver();
  ActorOptions options;
  options.name = "found";
  const ActorId actor = driver.CreateActor(options);
  auto caller = node_.Driver();
  const ProcessId host = caller.OpenChannel(actor).process;
  ASSERT_NE(host, 0u);
  driver.Kill(actor, true);
  ExpectHears(caller, host);
  ExpectHearsItSettled(caller, host);
  ExpectHearsNothing(driver);
  ExpectHearsNothing(bystander_);
}

TEST_F(RayletToldTest, AWaiterForAnObjectHearsOfItsOwnersEnd) {
  std::optional<WireProcess> owner = node_.Driver();
  auto waiter = node_.Driver();
  const ProcessId ended = owner->process();
  const ObjectId object = ObjectOf(*owner);
  Want(waiter, object);
  (void)waiter.StatusJson();
  owner.reset();
  ExpectHears(waiter, ended);
  ExpectHearsItSettled(waiter, ended);
  ExpectHearsNothing(bystander_);
  // Somebody may come to wait later.
  Want(bystander_, object);
  ExpectHears(bystander_, ended);
  ExpectHearsItSettled(bystander_, ended);
  EXPECT_EQ(Pairs(bystander_), 0u);
}

TEST_F(RayletToldTest, ANumberThatNoProcessHasIsNotRemembered) {
  wire::WantNoticeT want;
  for (int i = 0; i < 100; ++i) want.objects.push_back(ToWire(ObjectId::FromRandom()));
  ASSERT_TRUE(bystander_.Send(RayletMessage::WantObjects, want));
  EXPECT_EQ(Pairs(bystander_), 0u);
}

class TwoRayletsToldTest : public RayletToldTest {
 protected:
  TwoRayletsToldTest() {
    std::ofstream(token_) << "a token of the cluster\n";
    ::chmod(token_.c_str(), 0600);
    here_.emplace(Flags({"--resources", R"({"here": 4})"}), Node::Store::kReal);
    auto tool = here_->Driver();
    there_.emplace(Flags({"--peers", nlohmann::json::parse(tool.StatusJson())["address"]}), Node::Store::kReal);
    ExpectReachesTheOther(tool);
    auto tool_there = there_->Driver();
    ExpectReachesTheOther(tool_there);
  }
  // Its processes hear of that. Those that come later do not.
  static void ExpectReachesTheOther(WireProcess& process) {
    EXPECT_TRUE(Eventually(kPatience, [&] {
      const auto peers = nlohmann::json::parse(process.StatusJson())["peers"];
      return !peers.empty() && peers[0]["state"] == "up";
    }));
  }
  std::vector<std::string> Flags(std::vector<std::string> more) const {
    more.insert(more.end(), {"--num-cpus", "4", "--token-file", token_});
    return more;
  }

  RunFolder folder_;
  const std::string token_ = folder_.File("token");
  std::optional<Node> here_, there_;
};

TEST_F(TwoRayletsToldTest, NobodyButTheLenderHearsOfTheEndOfATasksWorkerOnAnotherMachine) {
  auto lender = there_->Driver(), beside_lender = there_->Driver(), beside_worker = here_->Driver();
  TaskOptions task = TaskOf("pid", 1);
  task.resources.emplace_back("here", 10'000);
  const ProcessId worker = RunAndKill(lender, task);
  EXPECT_EQ(MachineOf(worker), MachineOf(beside_worker.process()));
  ExpectHears(lender, worker);
  ExpectHearsItSettled(lender, worker);  // the news has reached that machine, and all on it who had to hear it
  ExpectHearsNothing(beside_lender);
  ExpectHearsNothing(beside_worker);
}

TEST_F(TwoRayletsToldTest, NobodyOnAnotherMachineHearsOfAnEndThatConcernsOneMachineAlone) {
  auto lender = here_->Driver(), elsewhere = there_->Driver();
  TaskOptions task = TaskOf("pid", 1);
  task.resources.emplace_back("here", 10'000);
  const ProcessId worker = RunAndKill(lender, task);
  ExpectHears(lender, worker);
  ExpectHearsItSettled(lender, worker);  // the other machine has answered
  ExpectHearsNothing(elsewhere);
}

}  // namespace
}  // namespace raylet::test
