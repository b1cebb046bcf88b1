#include "raylet/actors/failure_text.h"

#include <gtest/gtest.h>

#include <csignal>

#include "fbs/text_bounds.h"

namespace raylet {
namespace {

Task SomeTask() {
  Task task;
  task.name = "fit";
  task.function = "Fit";
  return task;
}
WorkerExit Killed() {
  WorkerExit exit;
  exit.pid = 42;
  exit.signal = SIGKILL;
  exit.log_file = "/logs/worker-42.log";
  exit.last_output = "the last words";
  return exit;
}
bool Has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

TEST(FailureText, DescribesEveryKindOfExit) {
  EXPECT_EQ(DescribeExit(Killed()), "worker 42 was killed by signal 9 (SIGKILL)");
  WorkerExit exited;
  exited.pid = 42;
  exited.exit_code = 3;
  EXPECT_EQ(DescribeExit(exited), "worker 42 exited with code 3");
  exited.start_error = "it never registered";
  EXPECT_EQ(DescribeExit(exited), "it never registered");
  EXPECT_EQ(SignalName(SIGSEGV), "SIGSEGV");
  EXPECT_EQ(SignalName(1000), "signal 1000");
}

TEST(FailureText, AKilledWorkersHintNamesTheOomKillerItsLogAndItsLastOutput) {
  const auto failure = WorkerDiedWhileRunning(SomeTask(), Killed(), /*attempts=*/1);
  EXPECT_EQ(failure.message, "worker 42 was killed by signal 9 (SIGKILL) while it ran task 'fit' (Fit)");
  EXPECT_TRUE(Has(failure.hint, "out-of-memory killer")) << failure.hint;
  EXPECT_TRUE(Has(failure.hint, "/logs/worker-42.log")) << failure.hint;
  EXPECT_TRUE(failure.hint.ends_with("\nthe last words")) << failure.hint;
  EXPECT_TRUE(failure.may_have_run);
  EXPECT_FALSE(failure.retry_safe);

  WorkerExit aborted = Killed();
  aborted.signal = SIGABRT;
  aborted.log_file.clear();
  aborted.last_output.clear();
  EXPECT_EQ(WorkerDiedWhileRunning(SomeTask(), aborted, 1).hint, "it wrote nothing");
}

TEST(FailureText, SaysHowOftenATaskWasTried) {
  EXPECT_TRUE(WorkerDiedWhileRunning(SomeTask(), Killed(), 3).message.ends_with("; it was tried 3 times"));
  EXPECT_TRUE(MachineDiedWhileRunning(SomeTask(), "host:1", "", 3).message.ends_with("; it was tried 3 times"));
}

TEST(FailureText, AnActorWhoseConstructorDidNotEndMayBeCreatedAgain) {
  Task creation = SomeTask();
  creation.actor.emplace();
  creation.actor->name = "counter";
  const auto constructed = ActorWorkerDied(creation, true, Killed());
  EXPECT_TRUE(Has(constructed.message, "while it hosted actor 'counter' (Fit)")) << constructed.message;
  EXPECT_TRUE(constructed.may_have_run);
  EXPECT_FALSE(constructed.retry_safe);
  const auto begun = ActorWorkerDied(creation, false, Killed());
  EXPECT_TRUE(Has(begun.message, "while it constructed actor")) << begun.message;
  EXPECT_FALSE(begun.may_have_run);
  EXPECT_TRUE(begun.retry_safe);
  creation.actor->name.clear();
  EXPECT_TRUE(Has(ActorWorkerDied(creation, true, Killed()).message, creation.actor->id.hex()));
}

TEST(FailureText, AWorkerThatNeverStartsShowsItsLogAndTheRemedy) {
  WorkerExit exit;
  exit.start_error = "the program /x could not be started";
  const auto never = NoWorkerStarts(SomeTask(), exit, 3);
  EXPECT_EQ(never.message,
            "no worker could be started for 'fit' (Fit) in 3 attempts; at the last one, the program /x could not be "
            "started");
  EXPECT_TRUE(never.retry_safe);
  EXPECT_TRUE(Has(never.hint, "executable")) << never.hint;
  const auto died = NoWorkerStarts(SomeTask(), Killed(), 3);
  EXPECT_TRUE(Has(died.message, "(SIGKILL) before it registered; its output is in /logs/worker-42.log"))
      << died.message;
  EXPECT_TRUE(Has(died.hint, "read /logs/worker-42.log")) << died.hint;
}

TEST(FailureText, ALostHomeIsNamedWhereItIsKnown) {
  const ActorId actor;
  EXPECT_TRUE(Has(HomeLost(actor, "", "").message, "on a machine that this one does not know"));
  EXPECT_TRUE(Has(HomeLost(actor, "", "").hint, "--peers"));
  EXPECT_TRUE(Has(HomeLost(actor, "host:1", "silence").message,
                  "the machine at host:1, which died or could not be "
                  "reached any more (silence)"));
}

TEST(FailureText, AnObjectIsLostWithItsOwnerOrForAReason) {
  EXPECT_TRUE(Has(ObjectLost(SomeTask(), ObjectId(), "").message, "has ended before the object was ready"));
  EXPECT_TRUE(Has(ObjectLost(SomeTask(), ObjectId(), "no copy").message, "which is lost: no copy"));
}

TEST(FailureText, SayWhereAddsTheMachineToTheHint) {
  wire::FailureT failure;
  SayWhere(failure, "host:1");
  EXPECT_EQ(failure.hint, "it was on the machine at host:1");
  SayWhere(failure, "host:2");
  EXPECT_EQ(failure.hint, "it was on the machine at host:1; it was on the machine at host:2");
}

TEST(FailureText, ALongFailureIsShortenedSoThatItsResultCanBeSent) {
  const std::string long_name(10 * kNameBytesMax, 'f');
  auto failure = Refused("", long_name, "it is too long");
  EXPECT_LE(failure.function.size(), kNameBytesMax);
  EXPECT_TRUE(failure.message.ends_with("was refused: it is too long"));
  failure.message.assign(10'000'000, 'm');
  const auto result = Parse<wire::TaskResultT>(EncodeFailedResult(TaskId::FromRandom(), failure));
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_EQ(result->result->kind, wire::ValueKind::Failed);
  EXPECT_LT(result->result->failure->message.size(), 1'000'000u);
}

}  // namespace
}  // namespace raylet
