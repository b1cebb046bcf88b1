// The whole daemon on real sockets with real processes.
#include <signal.h>

#include <functional>
#include <nlohmann/json.hpp>

#include "base/ring.h"
#include "fbs/call_record.h"
#include "tests/harness/own_time.h"
#include "tests/raylet/node/node.h"

namespace raylet::test {
namespace {

using wire::ActorState;
using wire::FailureKind;
using wire::RayletMessage;
using wire::ValueKind;

bool Alive(pid_t pid) { return ::kill(pid, 0) == 0; }

pid_t PidFrom(WireProcess& driver) {
  TaskOptions task;
  task.function = "pid";
  return std::stoi(InlineText(driver.AwaitResult(driver.Submit(task))));
}

// One caller's end of a channel, as text.
struct TextChannel {
  explicit TextChannel(std::vector<UniqueFd>& fds) {
    fd = std::move(fds.at(0));
    fds.erase(fds.begin(), fds.begin() + 2);
    memory = *Mapping::Map(fd.get(), ChannelBytes(), Mapping::Access::kReadWrite);
    const std::span<std::byte> bytes(memory.data(), memory.size());
    calls = *RingProducer::Attach(bytes.first(RingBytes(kChannelRingBytes)));
    replies = *RingConsumer::Attach(bytes.subspan(ChannelReplyRingOffset(), RingBytes(kChannelRingBytes)));
  }
  void Call(const std::string& text) { ASSERT_TRUE(calls.TryPush(1, std::as_bytes(std::span(text)))); }
  std::string AwaitReply() {
    std::string text;
    Eventually(kPatience, [&] {
      const auto record = replies.Peek();
      if (!record || !record->has_value()) return false;
      text.assign(reinterpret_cast<const char*>((*record)->bytes.data()), (*record)->bytes.size());
      replies.Pop();
      return true;
    });
    return text;
  }
  UniqueFd fd;
  Mapping memory;
  RingProducer calls;
  RingConsumer replies;
};

TEST(Raylet, RunsATaskInAWorkerAndReturnsItsResult) {
  Node node;
  auto driver = node.Driver();
  TaskOptions task;
  task.arguments = {"hello"};
  const auto result = driver.AwaitResult(driver.Submit(task));
  EXPECT_EQ(result.result->kind, ValueKind::Inline);
  EXPECT_EQ(InlineText(result), "hello");
  EXPECT_NE(result.process, 0u);
  EXPECT_NE(result.process, driver.process());
}

TEST(Raylet, ReusesAnIdleWorker) {
  Node node;
  auto driver = node.Driver();
  const pid_t first = PidFrom(driver);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(PidFrom(driver), first);
}

TEST(Raylet, WaitsForTheObjectsOfATask) {
  Node node;
  auto driver = node.Driver();
  const ObjectId object = ObjectId::FromRandom();
  TaskOptions waiting;
  waiting.arguments = {"late"};
  waiting.wait_for = {object};
  const TaskId late = driver.Submit(waiting);
  EXPECT_GT(PidFrom(driver), 0);  // another one overtakes it
  const auto status = nlohmann::json::parse(driver.StatusJson());
  EXPECT_EQ(status["tasks_waiting_for_objects"], 1);
  node.store->Seal(object);
  EXPECT_EQ(InlineText(driver.AwaitResult(late)), "late");
}

TEST(Raylet, TellsWhyATaskFailsWhenItsWorkerIsKilled) {
  Node node;
  auto driver = node.Driver();
  PidFrom(driver);  // a worker is there
  const OwnTime time;
  TaskOptions task;
  task.function = "crash";
  const auto result = driver.AwaitResult(driver.Submit(task));
  EXPECT_LT(time.Elapsed(), std::chrono::seconds(1));
  ASSERT_EQ(result.result->kind, ValueKind::Failed);
  const auto& failure = *result.result->failure;
  EXPECT_EQ(failure.kind, FailureKind::WorkerDied);
  EXPECT_EQ(failure.signal, SIGKILL);
  EXPECT_GT(failure.pid, 0);
  EXPECT_TRUE(failure.may_have_run);
  EXPECT_EQ(failure.function, "crash");
  EXPECT_NE(failure.message.find("SIGKILL"), std::string::npos) << failure.message;
  EXPECT_NE(failure.hint.find("worker-" + std::to_string(failure.pid) + ".log"), std::string::npos) << failure.hint;
  EXPECT_TRUE(failure.hint.ends_with("these are the last words")) << failure.hint;
  EXPECT_FALSE(Alive(failure.pid));
  EXPECT_GT(PidFrom(driver), 0);  // and the driver goes on
}

TEST(Raylet, RunsATaskAgainWhenItsWorkerDiedAndRetriesAreLeft) {
  Node node;
  auto driver = node.Driver();
  TaskOptions task;
  task.function = "crash_once";
  task.arguments = {node.folder.File("crashed")};
  task.max_retries = 1;
  const auto result = driver.AwaitResult(driver.Submit(task));
  EXPECT_EQ(result.result->kind, ValueKind::Inline);
}

TEST(Raylet, SaysHowOftenItTriedATaskThatAlwaysKillsItsWorker) {
  Node node;
  auto driver = node.Driver();
  TaskOptions task;
  task.function = "exit3";
  task.max_retries = 2;
  const auto result = driver.AwaitResult(driver.Submit(task));
  ASSERT_EQ(result.result->kind, ValueKind::Failed);
  EXPECT_NE(result.result->failure->message.find("exited with code 3"), std::string::npos);
  EXPECT_NE(result.result->failure->message.find("3 times"), std::string::npos) << result.result->failure->message;
}

TEST(Raylet, PassesOnWhatATaskThrew) {
  Node node;
  auto driver = node.Driver();
  TaskOptions task;
  task.function = "throw";
  const auto result = driver.AwaitResult(driver.Submit(task));
  ASSERT_EQ(result.result->kind, ValueKind::Failed);
  EXPECT_EQ(result.result->failure->what, "no luck");
}

TEST(Raylet, NamesTheLogOfWorkersThatNeverRegister) {
  Node node;
  auto driver = node.Driver({"FAKE_WORKER_MODE=exit"});
  const auto result = driver.AwaitResult(driver.Submit({}));
  ASSERT_EQ(result.result->kind, ValueKind::Failed);
  EXPECT_EQ(result.result->failure->kind, FailureKind::WorkerDied);
  EXPECT_NE(result.result->failure->message.find("3 attempts"), std::string::npos) << result.result->failure->message;
  EXPECT_NE(result.result->failure->message.find("code 7"), std::string::npos);
  EXPECT_NE(result.result->failure->message.find("/logs/worker-"), std::string::npos);
}

TEST(Raylet, SaysThatTheProgramOfADriverIsGone) {
  Node node;
  WireOptions options;
  options.executable = "/nowhere/program";
  auto driver = WireProcess::Register(node.socket(), options);
  ASSERT_TRUE(driver.has_value());
  const auto result = driver->AwaitResult(driver->Submit({}));
  ASSERT_EQ(result.result->kind, ValueKind::Failed);
  EXPECT_NE(result.result->failure->message.find("/nowhere/program"), std::string::npos);
}

TEST(Raylet, LendsTheCpuOfABlockedWorkerToOthers) {
  Node node({"--num-cpus", "1"});
  auto driver = node.Driver();
  TaskOptions blocked;
  blocked.function = "blocked_await";
  blocked.arguments = {node.folder.File("go")};
  const TaskId outer = driver.Submit(blocked);
  EXPECT_GT(PidFrom(driver), 0);  // the only CPU is the blocked one's
  node.Touch("go");
  EXPECT_EQ(driver.AwaitResult(outer).result->kind, ValueKind::Inline);
}

TEST(Raylet, KeepsWorkThatCanNeverRunAndSaysWhy) {
  Node node;
  auto driver = node.Driver();
  TaskOptions task;
  task.resources = {{"unicorn", 10'000}};
  driver.Submit(task);
  EXPECT_GT(PidFrom(driver), 0);
  const auto status = nlohmann::json::parse(driver.StatusJson());
  ASSERT_EQ(status["queues"].size(), 1u);
  EXPECT_NE(status["queues"][0]["why"].get<std::string>().find("unicorn 1 (free 0 of 0)"), std::string::npos);
}

TEST(Raylet, CountsTheBytesOfItsSocketsAlsoOfThoseThatHaveClosed) {
  Node node;
  auto driver = node.Driver();
  nlohmann::json status;
  // The answer cannot count itself.
  uint64_t heard = driver.connection().bytes_received();
  const auto ask = [&] {
    heard = driver.connection().bytes_received();
    status = nlohmann::json::parse(driver.StatusJson());
  };
  ask();
  EXPECT_EQ(status["socket"]["bytes_received"], driver.connection().bytes_sent());
  EXPECT_EQ(status["socket"]["bytes_sent"], heard);
  uint64_t said_by_other = 0;
  {
    auto other = node.Driver();
    other.StatusJson();
    said_by_other = other.connection().bytes_sent();
  }
  EXPECT_TRUE(Eventually(kPatience, [&] {
    ask();
    return status["connections"] == 1;
  }));
  EXPECT_EQ(status["socket"]["bytes_received"], driver.connection().bytes_sent() + said_by_other);
}

TEST(Raylet, RefusesSenselessResourcesWithASentence) {
  Node node;
  auto driver = node.Driver();
  const std::vector<std::pair<std::string, int64_t>> bad = {{"", 10'000}, {"gpu", 0}, {"gpu", -5}, {"gpu", 15'000}};
  for (const auto& resource : bad) {
    TaskOptions task;
    task.resources = {resource};
    const auto result = driver.AwaitResult(driver.Submit(task));
    ASSERT_EQ(result.result->kind, ValueKind::Failed);
    EXPECT_EQ(result.result->failure->kind, FailureKind::Other);
    EXPECT_NE(result.result->failure->message.find("resource"), std::string::npos);
  }
}

TEST(Raylet, BrokersAChannelBetweenACallerAndAnActor) {
  Node node;
  auto driver = node.Driver();
  const ActorId actor = driver.CreateActor({});
  const auto reply = driver.OpenChannel(actor);
  ASSERT_FALSE(reply.failure) << reply.failure->message;
  EXPECT_NE(reply.process, 0u);
  ASSERT_EQ(driver.fds().size(), 2u);
  TextChannel channel(driver.fds());
  channel.Call("one");
  channel.Call("two");
  EXPECT_EQ(channel.AwaitReply().substr(0, 9), "one from ");
  EXPECT_EQ(channel.AwaitReply().substr(0, 9), "two from ");
}

TEST(Raylet, TellsCallersWhenAnActorsWorkerIsKilled) {
  Node node;
  auto driver = node.Driver();
  const ActorId actor = driver.CreateActor({});
  driver.OpenChannel(actor);
  TextChannel channel(driver.fds());
  const OwnTime time;
  channel.Call("crash");
  const auto notice = driver.AwaitActor(actor, ActorState::Dead);
  EXPECT_LT(time.Elapsed(), std::chrono::seconds(1));
  EXPECT_EQ(notice.failure->kind, FailureKind::ActorDied);
  EXPECT_EQ(notice.failure->signal, SIGKILL);
  const auto again = driver.OpenChannel(actor);
  ASSERT_TRUE(again.failure);
  EXPECT_EQ(again.failure->signal, SIGKILL);
}

TEST(Raylet, RestartsAnActorWhoseWorkerDiedAndGrantsANewChannel) {
  Node node;
  auto driver = node.Driver();
  ActorOptions options;
  options.max_restarts = 1;
  const ActorId actor = driver.CreateActor(options);
  driver.OpenChannel(actor);
  TextChannel first(driver.fds());
  first.Call("crash");
  driver.AwaitActor(actor, ActorState::Restarting);
  const auto notice = driver.AwaitActor(actor, ActorState::Alive);
  EXPECT_EQ(notice.restarts, 1u);
  ASSERT_FALSE(driver.OpenChannel(actor).failure);
  TextChannel second(driver.fds());
  second.Call("again");
  EXPECT_EQ(second.AwaitReply().substr(0, 6), "again ");
  second.Call("crash");
  driver.AwaitActor(actor, ActorState::Dead);
}

TEST(Raylet, KillWithoutRestartFreesTheName) {
  Node node;
  auto driver = node.Driver();
  ActorOptions options;
  options.name = "server";
  const ActorId actor = driver.CreateActor(options);
  driver.AwaitActor(actor, ActorState::Alive);
  EXPECT_EQ(*driver.Find("server"), actor);
  Result<void> outcome;
  driver.CreateActor(options, &outcome);
  ASSERT_FALSE(outcome.has_value());
  EXPECT_EQ(outcome.error().code, ErrorCode::kAlreadyExists);
  EXPECT_NE(outcome.error().message.find(actor.hex()), std::string::npos) << outcome.error().message;
  driver.Kill(actor, true);
  driver.AwaitActor(actor, ActorState::Dead);
  EXPECT_FALSE(driver.Find("server").has_value());
  driver.CreateActor(options, &outcome);
  EXPECT_TRUE(outcome.has_value());
}

TEST(Raylet, KillWithRestartGivesAFreshProcess) {
  Node node;
  auto driver = node.Driver();
  const ActorId actor = driver.CreateActor({});
  driver.OpenChannel(actor);
  TextChannel first(driver.fds());
  first.Call("x");
  const std::string before = first.AwaitReply();
  driver.Kill(actor, false);
  driver.AwaitActor(actor, ActorState::Restarting);
  ASSERT_FALSE(driver.OpenChannel(actor).failure);
  TextChannel second(driver.fds());
  second.Call("x");
  const std::string after = second.AwaitReply();
  EXPECT_EQ(after.substr(0, 7), "x from ");
  EXPECT_NE(after, before);
}

TEST(Raylet, SaysWhyAConstructorFailed) {
  Node node;
  auto driver = node.Driver();
  ActorOptions options;
  options.function = "throwing_actor";
  const ActorId actor = driver.CreateActor(options);
  const auto reply = driver.OpenChannel(actor);
  ASSERT_TRUE(reply.failure);
  EXPECT_EQ(reply.failure->kind, FailureKind::ActorDied);
  EXPECT_EQ(reply.failure->what, "no luck");
}

TEST(Raylet, ReleasedActorFinishesItsCallsAndEnds) {
  Node node;
  auto driver = node.Driver();
  const ActorId actor = driver.CreateActor({});
  driver.OpenChannel(actor);
  TextChannel channel(driver.fds());
  channel.Call("last");
  wire::ActorRequestT request;
  request.actor = std::make_unique<wire::Id20>(ToWire(actor));
  ASSERT_TRUE(driver.Send(RayletMessage::ReleaseActor, request).has_value());
  const auto notice = driver.AwaitActor(actor, ActorState::Dead);
  EXPECT_NE(notice.failure->message.find("no handle"), std::string::npos);
  EXPECT_EQ(channel.AwaitReply().substr(0, 5), "last ");
}

TEST(Raylet, DriversDeathEndsItsWorkersAndActorsButNotDetachedOnes) {
  Node node({"--num-cpus", "4"});
  auto other = node.Driver();
  pid_t worker = 0;
  pid_t detached_pid = 0;
  {
    auto driver = node.Driver();
    worker = PidFrom(driver);
    ActorOptions mortal;
    mortal.name = "mortal";
    driver.AwaitActor(driver.CreateActor(mortal), ActorState::Alive);
    ActorOptions detached;
    detached.name = "detached";
    detached.detached = true;
    driver.AwaitActor(driver.CreateActor(detached), ActorState::Alive);
    const auto status = nlohmann::json::parse(driver.StatusJson());
    for (const auto& actor : status["actors"])
      if (actor["name"] == "detached") detached_pid = actor["pid"];
    TaskOptions task;
    task.function = "await";
    task.arguments = {"/never"};
    driver.Submit(task);
  }
  const OwnTime time;
  EXPECT_TRUE(Eventually(kPatience, [&] { return !Alive(worker); }));
  EXPECT_LT(time.Elapsed(), std::chrono::seconds(1));
  EXPECT_FALSE(other.Find("mortal").has_value());
  EXPECT_FALSE(other.Await(RayletMessage::ProcessDied, Duration::zero())) << "it has nothing to do with these";
  const auto found = other.Find("detached");
  ASSERT_TRUE(found.has_value());
  ASSERT_GT(detached_pid, 0);
  EXPECT_TRUE(Alive(detached_pid));
  ASSERT_FALSE(other.OpenChannel(*found).failure);
  TextChannel channel(other.fds());
  channel.Call("still here");
  EXPECT_EQ(channel.AwaitReply().substr(0, 10), "still here");
  EXPECT_TRUE(Eventually(kPatience, [&] { return nlohmann::json::parse(other.StatusJson())["tasks"] == 0; }));
  other.Kill(*found, true);
  EXPECT_TRUE(Eventually(kPatience, [&] { return !Alive(detached_pid); }));
  EXPECT_TRUE(Eventually(kPatience, [&] { return nlohmann::json::parse(other.StatusJson())["jobs"].size() == 1; }));
}

TEST(Raylet, RoutesAReleasedLendToItsLender) {
  Node node;
  auto one = node.Driver();
  auto other = node.Driver();
  wire::LendNoticeT notice;
  notice.process = one.process();
  notice.lend = 42;
  ASSERT_TRUE(other.Send(RayletMessage::ReleaseLend, notice).has_value());
  const auto frame = one.Await(RayletMessage::ReleaseLend);
  ASSERT_TRUE(frame.has_value());
  const auto told = Parse<wire::LendNoticeT>(frame->body);
  EXPECT_EQ(told->process, other.process());
  EXPECT_EQ(told->lend, 42u);
}

TEST(Raylet, NamesBothVersionsWhenTheyDoNotMatch) {
  Node node;
  WireOptions options;
  options.executable = "/bin/true";
  options.version_min = options.version_max = 77;
  const auto refused = WireProcess::Register(node.socket(), options);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, ErrorCode::kVersionMismatch);
  EXPECT_NE(refused.error().message.find("77"), std::string::npos);
  EXPECT_NE(refused.error().message.find(std::to_string(kRayletProtocolMax)), std::string::npos);
}

TEST(Raylet, AdmitsNoWorkerThatItDidNotStart) {
  Node node;
  WireOptions options;
  options.kind = wire::ProcessKind::Worker;
  options.token = 4711;
  const auto refused = WireProcess::Register(node.socket(), options);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, ErrorCode::kNotAllowed);
}

TEST(Raylet, GarbageClosesOnlyTheConnectionThatItCameFrom) {
  Node node;
  auto good = node.Driver();
  auto bad = node.Driver();
  const std::vector<std::byte> garbage(200, std::byte{0xa5});
  ASSERT_TRUE(bad.SendBytes(RayletMessage::SubmitTask, garbage).has_value());
  EXPECT_TRUE(bad.AwaitClosed());
  auto unknown = node.Driver();
  ASSERT_TRUE(unknown.SendBytes(static_cast<RayletMessage>(999), {}).has_value());
  EXPECT_TRUE(unknown.AwaitClosed());
  auto raw = FrameConnection::Connect(node.socket(), Deadline::After(kPatience), false);
  ASSERT_TRUE(raw.has_value());
  ASSERT_TRUE(raw->Send(0xffff, 0, garbage, Deadline::After(kPatience)).has_value());
  EXPECT_TRUE(Eventually(kPatience, [&] { return raw->PeerGone(); }));
  EXPECT_GT(PidFrom(good), 0);
}

TEST(Raylet, NonsenseClosesTheConnectionWithProtocolError) {
  Node node;
  const std::vector<std::function<void(wire::TaskSpecT&)>> spoilers = {
      [](wire::TaskSpecT& spec) { spec.owner = 12345; },
      [](wire::TaskSpecT& spec) { *spec.id = wire::Id20(); },
      [](wire::TaskSpecT& spec) { spec.max_retries = -7; },
      [](wire::TaskSpecT& spec) { spec.wait_for.push_back(wire::Id20()); },
      [](wire::TaskSpecT& spec) {
        spec.arguments.push_back(TextValue("x"));
        spec.arguments.back()->kind = static_cast<ValueKind>(9);
      },
      [](wire::TaskSpecT& spec) {
        spec.actor = std::make_unique<wire::ActorSpecT>();
        spec.actor->id = std::make_unique<wire::Id20>(ToWire(ActorId::FromRandom()));
      }};
  for (const auto& spoil : spoilers) {
    auto driver = node.Driver();
    wire::TaskSpecT spec;
    spec.id = std::make_unique<wire::Id20>(ToWire(ObjectId::FromRandom()));
    spec.owner = driver.process();
    spoil(spec);
    ASSERT_TRUE(driver.Send(RayletMessage::SubmitTask, spec).has_value());
    const auto frame = driver.Await(RayletMessage::StatusReply);
    ASSERT_TRUE(frame.has_value());
    EXPECT_EQ(Parse<wire::StatusReplyT>(frame->body)->status->code, static_cast<uint16_t>(ErrorCode::kProtocolError));
    EXPECT_TRUE(driver.AwaitClosed());
  }
}

TEST(Raylet, WorkerThatAnswersForATaskItWasNotGivenIsEnded) {
  Node node;
  auto driver = node.Driver();
  TaskOptions task;
  task.function = "result_of_no_task";
  const auto result = driver.AwaitResult(driver.Submit(task));
  ASSERT_EQ(result.result->kind, ValueKind::Failed);
  EXPECT_EQ(result.result->failure->kind, FailureKind::WorkerDied);
}

TEST(Raylet, SecondRayletOnTheSameAddressSaysSo) {
  Node node;
  auto second = DaemonProcess::Start(
      "raylet", {"--socket", node.socket(), "--store-socket", node.folder.File("store"), "--num-cpus", "1"});
  ASSERT_FALSE(second.has_value());
  EXPECT_NE(second.error().message.find("somebody serves it already"), std::string::npos) << second.error().message;
  auto driver = node.Driver();
  EXPECT_GT(PidFrom(driver), 0);
}

TEST(Raylet, WithoutAStoreItNamesTheCommandAndExitsWith3) {
  const RunFolder folder;
  ProcessOptions plain;
  plain.ready_fd = false;
  auto daemon =
      DaemonProcess::StartPlain("raylet", {"--socket", folder.File("r"), "--store-socket", folder.File("s")}, plain);
  ASSERT_TRUE(daemon.has_value());
  const auto end = daemon->Wait(Deadline::After(kPatience));
  ASSERT_TRUE(end.has_value());
  EXPECT_EQ(end->exit_code, 3);
  EXPECT_NE(daemon->Output().find("plasma_store -m 1G -s " + folder.File("s")), std::string::npos) << daemon->Output();
}

TEST(Raylet, AStoreThatIsStartedInTheSameMomentIsWaitedFor) {
  const RunFolder folder;
  ProcessOptions plain;
  plain.ready_fd = false;
  auto daemon =
      DaemonProcess::Start("raylet", {"--socket", folder.File("r"), "--store-socket", folder.File("s")}, plain);
  ASSERT_TRUE(daemon.has_value()) << daemon.error().message;
  const FakeStore store(folder.File("s"));
  EXPECT_TRUE(Eventually(kPatience, [&] { return daemon->Output().find("serving") != std::string::npos; }))
      << daemon->Output();
}

TEST(Raylet, SigtermEndsItsWorkersAndRemovesItsSocket) {
  Node node;
  auto driver = node.Driver();
  const pid_t worker = PidFrom(driver);
  const auto end = node.daemon->Terminate();
  ASSERT_TRUE(end.has_value());
  EXPECT_EQ(end->exit_code, 0);
  EXPECT_FALSE(Alive(worker));
  EXPECT_FALSE(std::filesystem::exists(node.socket()));
  EXPECT_TRUE(driver.AwaitClosed());
}

TEST(Raylet, EndsWithItsLifeline) {
  Node node;
  auto driver = node.Driver();
  const pid_t worker = PidFrom(driver);
  node.daemon->CloseLifeline();
  const auto end = node.daemon->Wait(Deadline::After(kPatience));
  ASSERT_TRUE(end.has_value());
  EXPECT_EQ(end->exit_code, 0);
  EXPECT_FALSE(Alive(worker));
}

TEST(Raylet, RunsManyTasksOfSeveralDrivers) {
  Node node;
  auto one = node.Driver();
  auto two = node.Driver();
  std::vector<TaskId> first;
  std::vector<TaskId> second;
  for (int i = 0; i < 1000; ++i) {
    TaskOptions task;
    task.arguments = {std::to_string(i)};
    first.push_back(one.Submit(task));
    second.push_back(two.Submit(task));
  }
  for (int i = 0; i < 1000; ++i) {
    EXPECT_EQ(InlineText(two.AwaitResult(second[static_cast<size_t>(i)])), std::to_string(i));
    EXPECT_EQ(InlineText(one.AwaitResult(first[static_cast<size_t>(i)])), std::to_string(i));
  }
}

TEST(Raylet, AToolThatAsksAgainAndAgainAndReadsNoAnswerIsDropped) {
  Node node;
  WireOptions options;
  options.kind = wire::ProcessKind::Tool;
  options.ready = false;
  auto tool = WireProcess::Register(node.socket(), options);
  ASSERT_TRUE(tool) << tool.error().message;
  int asked = 0;
  while (asked < 200'000 && tool->Send(RayletMessage::NodeStatus, wire::EmptyNoticeT(), 2)) ++asked;
  EXPECT_LT(asked, 200'000);
  EXPECT_LT(node.daemon->ResidentBytes(), size_t{256} << 20);
  EXPECT_FALSE(node.Driver().StatusJson().empty());
}

}  // namespace
}  // namespace raylet::test
