// Calls and tasks that run again: after the death of an actor's process, and after an exception.
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <string>
#include <vector>

#include "tests/client/ray/cluster/cluster_fixture.h"
#include "tests/harness/daemon_process.h"
#include "tests/harness/run_folder.h"

namespace cluster_test::retry {
namespace {

using ray::internal::RayActorException;
using ray::internal::RayException;
using ray::internal::RayTaskException;
using raylet::test::Eventually;
using namespace std::chrono_literals;

constexpr auto kPatience = 60s;

// How many lines the file has, this one included.
int AppendLine(const std::string& path) {
  std::ofstream(path, std::ios::app) << "x\n" << std::flush;
  std::ifstream file(path);
  int lines = 0;
  for (std::string line; std::getline(file, line);) ++lines;
  return lines;
}
// Throws until it has run so often.
int ThrowUntil(const std::string& path, int runs) {
  const int run = AppendLine(path);
  if (run < runs) throw std::runtime_error("not yet");
  return run;
}
// Ends its process until it has run so often.
int DieUntil(const std::string& path, int runs) {
  const int run = AppendLine(path);
  if (run < runs) ::kill(::getpid(), SIGKILL);
  return run;
}

class Mortal {
 public:
  static Mortal* Create() { return new Mortal(); }
  int DieUntil(const std::string& path, int runs) { return retry::DieUntil(path, runs); }
  int ThrowUntil(const std::string& path, int runs) { return retry::ThrowUntil(path, runs); }
  int Append(int number) {
    numbers_.push_back(number);
    return static_cast<int>(numbers_.size());
  }
  std::vector<int> Numbers() { return numbers_; }
  float Last(const ray::Array<float>& array, const std::string& path, int runs) {
    DieUntil(path, runs);
    return array[array.size() - 1];
  }
  int Pid() { return ::getpid(); }

 private:
  std::vector<int> numbers_;
};

// Through a handle that came as an argument.
int DieThrough(ray::ActorHandle<Mortal> mortal, const std::string& path, int runs) {
  return *mortal.Task(&Mortal::DieUntil).Remote(path, runs).Get();
}

RAY_REMOTE(ThrowUntil, DieUntil, Mortal::Create, &Mortal::DieUntil, &Mortal::ThrowUntil, &Mortal::Append,
           &Mortal::Numbers, &Mortal::Last, &Mortal::Pid, DieThrough);

class RetryTest : public ClusterTest {
 protected:
  const raylet::test::RunFolder folder_;
  const std::string path_ = folder_.File("runs");
};

TEST_F(RetryTest, ACallRunsAgainInTheNextProcessOfItsActor) {
  auto mortal = ray::Actor(Mortal::Create).SetMaxRestarts(-1).SetMaxTaskRetries(2).Remote();
  EXPECT_EQ(*mortal.Task(&Mortal::DieUntil).Remote(path_, 3).Get(), 3);
}

TEST_F(RetryTest, ACallRunsNoMoreOftenThanAskedFor) {
  auto mortal = ray::Actor(Mortal::Create).SetMaxRestarts(-1).SetMaxTaskRetries(1).Remote();
  EXPECT_THROW(mortal.Task(&Mortal::DieUntil).Remote(path_, 3).Get(), RayActorException);
  EXPECT_EQ(AppendLine(path_), 3) << "it ran twice";
}

TEST_F(RetryTest, ACallWithoutRetriesIsNotRepeated) {
  auto mortal = ray::Actor(Mortal::Create).SetMaxRestarts(-1).Remote();
  EXPECT_THROW(mortal.Task(&Mortal::DieUntil).Remote(path_, 2).Get(), RayActorException);
  EXPECT_EQ(AppendLine(path_), 2);
  EXPECT_EQ(*mortal.Task(&Mortal::DieUntil).SetMaxRetries(5).Remote(path_, 4).Get(), 4) << "this one is";
}

TEST_F(RetryTest, CallsBehindTheOneThatDiedKeepTheirOrder) {
  auto mortal = ray::Actor(Mortal::Create).SetMaxRestarts(-1).SetMaxTaskRetries(-1).Remote();
  const auto dies = mortal.Task(&Mortal::DieUntil).Remote(path_, 2);
  for (int i = 0; i < 100; ++i) mortal.Task(&Mortal::Append).Remote(i);
  std::vector<int> wanted(100);
  for (int i = 0; i < 100; ++i) wanted[static_cast<size_t>(i)] = i;
  EXPECT_EQ(*mortal.Task(&Mortal::Numbers).Remote().Get(), wanted);
  EXPECT_EQ(*dies.Get(), 2);
}

TEST_F(RetryTest, ACallAfterKillWithRestartRunsAgain) {
  auto mortal = ray::Actor(Mortal::Create).SetMaxRestarts(-1).SetMaxTaskRetries(-1).Remote();
  const int pid = *mortal.Task(&Mortal::Pid).Remote().Get();
  mortal.Kill(/*no_restart=*/false);
  std::vector<ray::ObjectRef<int>> calls;
  for (int i = 0; i < 100; ++i) calls.push_back(mortal.Task(&Mortal::Append).Remote(i));
  ray::Get(calls);
  EXPECT_NE(*mortal.Task(&Mortal::Pid).Remote().Get(), pid);
}

TEST_F(RetryTest, ArgumentsInTheStoreAreThereForEveryRun) {
  auto mortal = ray::Actor(Mortal::Create).SetMaxRestarts(-1).SetMaxTaskRetries(-1).Remote();
  const auto last = mortal.Task(&Mortal::Last).Remote(ray::Task(Ramp).Remote(100'000), path_, 3);
  EXPECT_EQ(*last.Get(), 99'999.0F);
}

TEST_F(RetryTest, AHandleTakesTheRetriesAlong) {
  auto mortal = ray::Actor(Mortal::Create).SetMaxRestarts(-1).SetMaxTaskRetries(3).Remote();
  EXPECT_EQ(*ray::Task(DieThrough).Remote(mortal, path_, 3).Get(), 3);
  const auto copy = ray::ActorHandle<Mortal>::FromBytes(mortal.ToBytes());
  EXPECT_EQ(*copy.Task(&Mortal::DieUntil).Remote(path_, 5).Get(), 5);
}

TEST_F(RetryTest, AHandleThatIsFoundByNameHasTheRetriesOfTheActor) {
  ray::Actor(Mortal::Create).SetName("mortal").SetMaxRestarts(-1).SetMaxTaskRetries(3).Remote();
  auto found = ray::GetActor<Mortal>("mortal");
  ASSERT_TRUE(found);
  EXPECT_EQ(*found->Task(&Mortal::DieUntil).Remote(path_, 4).Get(), 4);
  found->Kill();
}

TEST_F(RetryTest, ADeadActorRepeatsNothing) {
  auto mortal = ray::Actor(Mortal::Create).SetMaxRestarts(1).SetMaxTaskRetries(-1).Remote();
  EXPECT_THROW(mortal.Task(&Mortal::DieUntil).Remote(path_, 100).Get(), RayActorException);
  EXPECT_EQ(AppendLine(path_), 3) << "in both of its processes";
}

TEST_F(RetryTest, ATaskWithMinusOneRetriesRunsAgainForEver) {
  constexpr int kRuns = 2 * ray::internal::kDefaultTaskRetries + 2;
  EXPECT_EQ(*ray::Task(DieUntil).SetMaxRetries(-1).Remote(path_, kRuns).Get(), kRuns);
  EXPECT_EQ(*ray::Task(ThrowUntil).SetMaxRetries(-1).SetRetryExceptions().Remote(path_ + ".throws", kRuns).Get(),
            kRuns);
}

TEST_F(RetryTest, ATaskThatThrowsRunsAgainWhereAskedFor) {
  EXPECT_EQ(*ray::Task(ThrowUntil).SetRetryExceptions().Remote(path_, 4).Get(), 4);
  EXPECT_THROW(ray::Task(ThrowUntil).SetRetryExceptions().SetMaxRetries(1).Remote(path_, 100).Get(), RayTaskException);
  EXPECT_EQ(AppendLine(path_), 7);
  EXPECT_THROW(ray::Task(ThrowUntil).Remote(path_, 100).Get(), RayTaskException);
  EXPECT_EQ(AppendLine(path_), 9);
}

TEST_F(RetryTest, ACallThatThrowsRunsAgainWhereAskedFor) {
  auto mortal = ray::Actor(Mortal::Create).SetMaxTaskRetries(3).Remote();
  EXPECT_EQ(*mortal.Task(&Mortal::ThrowUntil).SetRetryExceptions().Remote(path_, 4).Get(), 4);
  EXPECT_THROW(mortal.Task(&Mortal::ThrowUntil).Remote(path_, 100).Get(), RayTaskException);
  EXPECT_EQ(AppendLine(path_), 6);
}

TEST_F(RetryTest, ACancelledTaskIsNotRepeatedForItsException) {
  const auto task = ray::Task(ThrowUntil).SetRetryExceptions().SetMaxRetries(1'000'000'000).Remote(path_, 1 << 30);
  ASSERT_TRUE(Eventually(kPatience, [&] { return ::access(path_.c_str(), F_OK) == 0; }));
  ray::Cancel(task);
  EXPECT_THROW(task.Get(), ray::internal::RayTaskCancelledException);
  EXPECT_EQ(*ray::Task(Add).Remote(1, 2).Get(), 3);
}

TEST_F(RetryTest, ANameOfACallIsInTheExceptionOfItsActorsDeath) {
  auto mortal = ray::Actor(Mortal::Create).Remote();
  try {
    mortal.Task(&Mortal::DieUntil).SetName("the last one").Remote(path_, 2).Get();
    ADD_FAILURE() << "it was answered by a dead process";
  } catch (const RayActorException& e) {
    EXPECT_NE(std::string(e.what()).find("during call 'the last one' (&Mortal::DieUntil)"), std::string::npos)
        << e.what();
  }
}

TEST_F(RetryTest, NegativeRetriesAreRefused) {
  EXPECT_THROW(ray::Actor(Mortal::Create).SetMaxTaskRetries(-2).Remote(), RayException);
  auto mortal = ray::Actor(Mortal::Create).Remote();
  EXPECT_THROW(mortal.Task(&Mortal::Pid).SetMaxRetries(-2).Remote(), RayException);
}

}  // namespace
}  // namespace cluster_test::retry
