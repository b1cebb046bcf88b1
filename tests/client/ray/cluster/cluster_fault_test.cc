// Faults on real daemons are reported within a second, with their cause, and the driver goes on.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <functional>
#include <thread>

#include "fbs/messages.h"
#include "tests/client/ray/cluster/cluster_fixture.h"
#include "tests/harness/daemon_process.h"
#include "tests/harness/own_time.h"
#include "tests/harness/run_folder.h"

namespace cluster_test {
namespace {

using ray::internal::RayActorException;
using ray::internal::RayException;
using ray::internal::RayFunctionNotFound;
using ray::internal::RayTaskException;
using ray::internal::RayWorkerException;
using raylet::test::Eventually;
using raylet::test::OwnTime;
using namespace std::chrono_literals;

int OnlyTheDriverKnows() { return 1; }
int NobodyKnows() { return 2; }

class ClusterFaultTest : public ClusterTest {
 protected:
  void SetUp() override {
    ClusterTest::SetUp();
    ASSERT_EQ(*ray::Task(Add).Remote(1, 1).Get(), 2);  // starts a worker, so that its start is not timed
  }
  void TearDown() override { EXPECT_EQ(*ray::Task(Add).Remote(2, 3).Get(), 5) << "the driver cannot go on"; }

  // The exception that `work` throws, within a second.
  template <class Exception>
  static Exception Thrown(const std::function<void()>& work) {
    const OwnTime time;
    try {
      work();
    } catch (const Exception& e) {
      EXPECT_LT(time.Elapsed(), 1s) << e.what();
      return e;
    } catch (const std::exception& e) {
      ADD_FAILURE() << "another exception: " << e.what();
    }
    ADD_FAILURE() << "nothing of that type was thrown";
    return Exception("nothing was thrown", {});
  }
  // Lets a call or a task end that waits for the file.
  void Go() const { std::ofstream(go_).put('x'); }

  const raylet::test::RunFolder folder_;
  const std::string go_ = folder_.File("go");
};

bool Mentions(const RayException& e, const std::string& words) {
  return std::string(e.what()).find(words) != std::string::npos;
}

TEST_F(ClusterFaultTest, AFunctionThatOnlyTheDriverKnowsIsNotFoundInTheWorker) {
  static const bool registered = ray::internal::RegisterRemote("OnlyTheDriverKnows", &OnlyTheDriverKnows);
  ASSERT_TRUE(registered);
  const auto e = Thrown<RayFunctionNotFound>([] { ray::Task(OnlyTheDriverKnows).Remote().Get(); });
  EXPECT_TRUE(Mentions(e, "OnlyTheDriverKnows")) << e.what();
  EXPECT_TRUE(Mentions(e, "RAY_REMOTE")) << e.what();
  EXPECT_TRUE(e.retry_safe());
  EXPECT_FALSE(e.may_have_run());
}

TEST_F(ClusterFaultTest, AFunctionThatNobodyRegisteredIsRefusedAtTask) {
  const auto e = Thrown<RayFunctionNotFound>([] { static_cast<void>(ray::Task(NobodyKnows)); });
  EXPECT_TRUE(Mentions(e, "RAY_REMOTE")) << e.what();
}

TEST_F(ClusterFaultTest, AThrowingTaskSaysWhatItThrewAndWhere) {
  const auto e = Thrown<RayTaskException>([] { ray::Task(ThrowTask).Remote(7).Get(); });
  EXPECT_EQ(e.function(), "ThrowTask");
  EXPECT_EQ(e.exception_type(), "std::runtime_error");
  EXPECT_EQ(e.thrown_what(), "seven is too many");
  EXPECT_GT(e.pid(), 0);
  EXPECT_NE(e.pid(), ::getpid());
  EXPECT_EQ(e.signal(), 0);
  EXPECT_TRUE(e.may_have_run());
}

TEST_F(ClusterFaultTest, AThrowingConstructorSaysWhatItThrewAndWhere) {
  const auto e = Thrown<RayActorException>([] {
    auto broken = ray::Actor(Counter::Broken).Remote();
    broken.Task(&Counter::Value).Remote().Get();
  });
  EXPECT_TRUE(Mentions(e, "std::logic_error: no counter today")) << e.what();
  EXPECT_GT(e.pid(), 0);
  EXPECT_NE(e.pid(), ::getpid());
  EXPECT_FALSE(e.may_have_run());
}

TEST_F(ClusterFaultTest, AWorkerKilledInTheMiddleOfATaskWithoutRetriesSaysSo) {
  const auto e = Thrown<RayWorkerException>([] { ray::Task(DieWithSignal).SetMaxRetries(0).Remote(SIGKILL).Get(); });
  EXPECT_EQ(e.signal(), SIGKILL);
  EXPECT_GT(e.pid(), 0);
  EXPECT_TRUE(e.may_have_run());
  EXPECT_FALSE(e.retry_safe());
  EXPECT_TRUE(Mentions(e, "SIGKILL")) << e.what();
  EXPECT_TRUE(Mentions(e, "DieWithSignal")) << e.what();
}

TEST_F(ClusterFaultTest, AnActorKilledInTheMiddleOfACallSaysSo) {
  auto counter = ray::Actor(Counter::Create).Remote(1);
  const int pid = *counter.Task(&Counter::Pid).Remote().Get();
  auto call = counter.Task(&Counter::Sleep).Remote(20'000);
  auto behind = counter.Task(&Counter::Value).Remote();
  ::kill(pid, SIGKILL);
  const auto e = Thrown<RayActorException>([&] { call.Get(); });
  EXPECT_EQ(e.signal(), SIGKILL);
  EXPECT_EQ(e.pid(), pid);
  EXPECT_TRUE(e.may_have_run());
  Thrown<RayActorException>([&] { behind.Get(); });
}

TEST_F(ClusterFaultTest, ARestartedActorKnowsThatItIsOne) {
  auto witness = ray::Actor(Witness::Create).SetMaxRestarts(2).Remote();
  EXPECT_FALSE(*witness.Task(&Witness::RestartedInConstructor).Remote().Get());
  EXPECT_FALSE(*witness.Task(&Witness::Restarted).Remote().Get());
  witness.Kill(false);
  EXPECT_TRUE(*witness.Task(&Witness::RestartedInConstructor).Remote().Get());
  EXPECT_TRUE(*witness.Task(&Witness::Restarted).Remote().Get());
  // Its death alone is a reason to start again, too.
  const int pid = *witness.Task(&Witness::Pid).Remote().Get();
  ::kill(pid, SIGKILL);
  EXPECT_TRUE(Eventually(30s, [&] {
    try {
      return *witness.Task(&Witness::Restarted).Remote().Get();
    } catch (const RayActorException&) {  // went into the channel of the one that died
      return false;
    }
  }));
  EXPECT_NE(*witness.Task(&Witness::Pid).Remote().Get(), pid);
  EXPECT_FALSE(*ray::Task(RestartedInATask).Remote().Get());
  EXPECT_FALSE(ray::WasCurrentActorRestarted());
}

TEST_F(ClusterFaultTest, NonsenseFromAnActorFailsItsCallersAndNobodyElse) {
  auto vandal = ray::Actor(Vandal::Create).Remote();
  auto counter = ray::Actor(Counter::Create).Remote(1);
  EXPECT_EQ(*vandal.Task(&Vandal::Value).Remote().Get(), 1);
  EXPECT_EQ(*counter.Task(&Counter::Value).Remote().Get(), 1);
  const auto e = Thrown<RayActorException>([&] { vandal.Task(&Vandal::SpoilReplies).Remote(20'000).Get(); });
  EXPECT_TRUE(Mentions(e, "nonsense")) << e.what();
  EXPECT_TRUE(e.may_have_run());
  Thrown<RayActorException>([&] { vandal.Task(&Vandal::Value).Remote().Get(); });
  EXPECT_EQ(*counter.Task(&Counter::Increment).Remote(1).Get(), 2);
}

TEST_F(ClusterFaultTest, NonsenseFromACallerFailsItsCallsAndTheActorServesOthers) {
  auto counter = ray::Actor(Counter::Create).Remote(1);
  const int pid = *counter.Task(&Counter::Pid).Remote().Get();
  auto first = counter.Task(&Counter::AwaitFile).Remote(go_);
  auto second = counter.Task(&Counter::Value).Remote();
  ASSERT_EQ(SpoilLastCalls(), 1);
  Go();
  EXPECT_EQ(*first.Get(20'000), 1);
  const auto e = Thrown<RayActorException>([&] { second.Get(); });
  EXPECT_TRUE(Mentions(e, "nonsense")) << e.what();
  EXPECT_EQ(::kill(pid, 0), 0);
  EXPECT_EQ(*ray::Task(CallThrough).Remote(counter, 4).Get(), 5);
}

TEST_F(ClusterFaultTest, ACallerThatNamesALongFunctionIsRefusedAndTheActorServesOthers) {
  auto counter = ray::Actor(Counter::Create).Remote(1);
  const int pid = *counter.Task(&Counter::Pid).Remote().Get();
  auto first = counter.Task(&Counter::AwaitFile).Remote(go_);
  ASSERT_EQ(PushCalls(std::string(200'000, 'f'), {}), 1);
  Go();
  EXPECT_EQ(*first.Get(20'000), 1);
  // The actor has read that record before it serves another caller. An own call could lie in its place.
  EXPECT_EQ(*ray::Task(CallThrough).Remote(counter, 4).Get(20'000), 5);
  auto second = counter.Task(&Counter::Value).Remote();
  const auto e = Thrown<RayActorException>([&] { second.Get(20'000); });
  EXPECT_TRUE(Mentions(e, "a function of 200000 bytes and the limit is 1024: choose a shorter name")) << e.what();
  EXPECT_EQ(::kill(pid, 0), 0);
}

// Five texts of a failure may share their bytes: what is read is longer than the record.
TEST_F(ClusterFaultTest, ACallerThatPassesALongFailureEndsNoActor) {
  auto counter = ray::Actor(Counter::Create).Remote(1);
  const int pid = *counter.Task(&Counter::Pid).Remote().Get();
  auto first = counter.Task(&Counter::AwaitFile).Remote(go_);
  flatbuffers::FlatBufferBuilder builder;
  const auto text = builder.CreateString(std::string(130'000, 'x'));
  builder.Finish(raylet::wire::CreateFailure(builder, raylet::wire::FailureKind::Other, text, text, text, text, 0, 0,
                                             false, false, text));
  const std::string_view failure(reinterpret_cast<const char*>(builder.GetBufferPointer()), builder.GetSize());
  ASSERT_LE(failure.size(), raylet::kFailureBytesMax);
  ASSERT_EQ(PushCalls("&Counter::Value", {raylet::ValueView::Kind::kFailed, failure, {}}), 1);
  Go();
  EXPECT_EQ(*first.Get(20'000), 1);
  EXPECT_EQ(*ray::Task(CallThrough).Remote(counter, 4).Get(20'000), 5);
  EXPECT_EQ(::kill(pid, 0), 0);
}

TEST_F(ClusterFaultTest, SubmittingToAnActorThatIsFarBehindWaitsInBoundedMemory) {
  constexpr int kCalls = 2000;
  constexpr size_t kBytes = 48 << 10;  // inline: 94 MiB in all
  auto counter = ray::Actor(Counter::Create).Remote(1);
  counter.Task(&Counter::Value).Remote().Get();
  const std::string text(kBytes, 'x');
  const auto peak_kib = [] {
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
  };
  const long before = peak_kib();
  const auto start = std::chrono::steady_clock::now();
  counter.Task(&Counter::Sleep).Remote(500);
  std::vector<ray::ObjectRef<int>> sizes;
  for (int i = 0; i < kCalls; ++i) sizes.push_back(counter.Task(&Counter::Length).Remote(text));
  EXPECT_GE(std::chrono::steady_clock::now() - start, 500ms) << "94 MiB went somewhere while the actor slept";
  for (const auto& size : sizes) ASSERT_EQ(*size.Get(), static_cast<int>(kBytes));
#ifndef RAYLET_SANITIZED  // what was freed stays resident there
  EXPECT_LT(peak_kib() - before, 32 << 10);
#else
  EXPECT_LT(peak_kib() - before, 512 << 10);
#endif
}

TEST_F(ClusterFaultTest, SubmittingToAnActorThatIsNotThereYetWaitsInBoundedMemory) {
  constexpr int kCalls = 1000;
  constexpr size_t kBytes = 48 << 10;  // inline: 47 MiB in all
  const std::string text(kBytes, 'x');
  const auto start = std::chrono::steady_clock::now();  // first: the actor may begin before Remote returns
  auto counter = ray::Actor(Counter::CreateSlowly).Remote(500);
  std::vector<ray::ObjectRef<int>> sizes;
  for (int i = 0; i < kCalls; ++i) sizes.push_back(counter.Task(&Counter::Length).Remote(text));
  EXPECT_GE(std::chrono::steady_clock::now() - start, 500ms) << "47 MiB went somewhere while there was no actor";
  for (const auto& size : sizes) ASSERT_EQ(*size.Get(), static_cast<int>(kBytes));
}

TEST_F(ClusterFaultTest, BlockedWorkersLendTheirCpus) {
  // Both CPUs are held by tasks that wait for tasks of their own.
  auto one = ray::Task(NestedSum).Remote(2);
  auto two = ray::Task(NestedSum).Remote(2);
  EXPECT_EQ(*one.Get(), 3);
  EXPECT_EQ(*two.Get(), 3);
}

TEST_F(ClusterFaultTest, ALongTextThatWasThrownIsCutAndHarmsNobody) {
  auto counter = ray::Actor(Counter::Create).Remote(1);
  for (const size_t bytes : {size_t{1} << 20, size_t{16} << 20}) {
    const auto task = Thrown<RayTaskException>([&] { ray::Task(ThrowLongText).Remote(bytes).Get(20'000); });
    EXPECT_TRUE(Mentions(task, std::to_string(bytes) + " bytes in all"));
    EXPECT_LT(task.thrown_what().size(), size_t{20} << 10);
    const auto call = Thrown<RayTaskException>([&] { counter.Task(&Counter::ThrowLong).Remote(bytes).Get(20'000); });
    EXPECT_TRUE(Mentions(call, std::to_string(bytes) + " bytes in all"));
  }
  EXPECT_EQ(*counter.Task(&Counter::Value).Remote().Get(20'000), 1);
}

TEST_F(ClusterFaultTest, ANameThatIsTooLongIsRefusedWithItsLimitAndQuotedInPart) {
  const std::string name(std::size_t{3} << 20, 'n');
  const auto task = Thrown<RayException>([&] { ray::Task(Add).SetName(name).Remote(1, 2).Get(20'000); });
  EXPECT_TRUE(Mentions(task, "a task's name has 3145728 bytes and the limit is 1024: choose a shorter one"));
  EXPECT_LT(std::string(task.what()).size(), 4096u);
  const auto actor = Thrown<RayException>([&] { ray::Actor(Counter::Create).SetName(name).Remote(1); });
  EXPECT_TRUE(Mentions(actor, "bytes and the limit is 1024: choose a shorter one")) << actor.what();
  EXPECT_EQ(*ray::Task(Add).Remote(1, 2).Get(20'000), 3);
}

TEST_F(ClusterFaultTest, AWorkerThatCannotTellItsResultAnyMoreIsGivenUp) {
  const auto e = Thrown<RayWorkerException>([] { ray::Task(CloseDescriptors).SetMaxRetries(0).Remote().Get(20'000); });
  EXPECT_TRUE(Mentions(e, "could not be told")) << e.what();
}

TEST_F(ClusterFaultTest, AResultThatOthersWaitForReachesThemOnceTheFullStoreHasRoom) {
  const auto late = ray::Task(Repeat).Remote(std::string(200, 'x'),
                                             ray::Task(Add).Remote(ray::Task(OneOnceThereIs).Remote(go_), 299));
  const auto length = ray::Task(LengthOfRefs).Remote(std::vector{late});
  auto filler = std::make_unique<ray::MutableArray<uint8_t>>((size_t{64} << 20) - 40'000);
  Go();
  EXPECT_EQ(late.Get(20'000)->size(), 60'000u);
  EXPECT_THROW(length.Get(300), ray::internal::RayTimeoutException);
  filler.reset();
  EXPECT_EQ(*length.Get(20'000), 60'000u);
}

}  // namespace
}  // namespace cluster_test
