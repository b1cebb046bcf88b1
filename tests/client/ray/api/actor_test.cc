// Actors, in process.
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <stdexcept>
#include <string>
#include <vector>

#include <ray/api.h>

#include "tests/client/ray/api/local_mode.h"

namespace actor_test {

using ray::internal::RayActorException;
using ray::internal::RayException;
using ray::internal::RayTaskException;

std::atomic<int> alive{0};

struct First {
  virtual ~First() = default;
  int first = 1;
  int ReadFirst() { return first; }
};
struct Second {
  virtual ~Second() = default;
  int second = 2;
  int ReadSecond() const { return second; }
  virtual std::string Name() { return "second"; }
};

class Counter : public First, public Second {
 public:
  explicit Counter(int start) : count_(start) { ++alive; }
  ~Counter() override { --alive; }
  static Counter* Create(int start) {
    if (start < 0) throw std::invalid_argument("no negative start");
    return new Counter(start);
  }
  static Counter* CreateNothing() { return nullptr; }
  int Add(int x) { return count_ += x; }
  int Fail() { throw std::runtime_error("on purpose"); }
  void Exit() { ray::ExitActor(); }
  bool Restarted() { return ray::WasCurrentActorRestarted(); }
  std::string Name() override { return "counter"; }
  int AddThrough(ray::ActorHandle<Counter> other, int x) { return *other.Task(&Counter::Add).Remote(x).Get(); }

 private:
  int count_;
};

class Meeting {
 public:
  static Meeting* Create() { return new Meeting(); }
  int Wait() { return opened_.get_future().get(); }
  void Open(int value) { opened_.set_value(value); }

 private:
  std::promise<int> opened_;
};

ray::ActorHandle<Counter> MakeCounter(int start) { return ray::Actor(Counter::Create).Remote(start); }

RAY_REMOTE(MakeCounter, Counter::Create, Counter::CreateNothing, &Counter::Add, &Counter::Fail, &Counter::Exit,
           &Counter::Restarted, &Counter::AddThrough, &First::ReadFirst, &Second::ReadSecond, &Second::Name);
RAY_REMOTE(Meeting::Create, &Meeting::Wait, &Meeting::Open);

class ActorTest : public ray_test::InLocalMode {
 protected:
  ActorTest() : InLocalMode("here") {}
  void TearDown() override {
    InLocalMode::TearDown();
    EXPECT_EQ(alive, 0);
  }
};

TEST_F(ActorTest, CallsRunInTheirOrder) {
  auto counter = ray::Actor(Counter::Create).Remote(10);
  std::vector<ray::ObjectRef<int>> results;
  for (int i = 0; i < 100; ++i) results.push_back(counter.Task(&Counter::Add).Remote(1));
  for (int i = 0; i < 100; ++i) EXPECT_EQ(*results[static_cast<size_t>(i)].Get(), 11 + i);
}

TEST_F(ActorTest, ReferencesAreArgumentsOfFactoriesAndMethods) {
  auto counter = ray::Actor(Counter::Create).Remote(ray::Put(5));
  auto six = counter.Task(&Counter::Add).Remote(1);
  EXPECT_EQ(*counter.Task(&Counter::Add).Remote(six).Get(), 12);
}

TEST_F(ActorTest, MethodsOfEveryBaseFindTheirPartOfTheObject) {
  auto counter = ray::Actor(Counter::Create).Remote(0);
  EXPECT_EQ(*counter.Task(&First::ReadFirst).Remote().Get(), 1);
  EXPECT_EQ(*counter.Task(&Second::ReadSecond).Remote().Get(), 2);
  EXPECT_EQ(*counter.Task(&Second::ReadSecond).Remote().Get(), 2);
  EXPECT_EQ(*counter.Task(&Second::Name).Remote().Get(), "counter");
}

TEST_F(ActorTest, HandlesAreArgumentsAndResults) {
  auto one = *ray::Task(MakeCounter).Remote(100).Get();
  auto other = ray::Actor(Counter::Create).Remote(0);
  EXPECT_EQ(*other.Task(&Counter::AddThrough).Remote(one, 1).Get(), 101);
  EXPECT_EQ(*one.Task(&Counter::Add).Remote(1).Get(), 102);
  EXPECT_EQ(one.ID().size(), 20U);
  EXPECT_FALSE(one == other);
}

TEST_F(ActorTest, AThrowingMethodLeavesTheActorAlive) {
  auto counter = ray::Actor(Counter::Create).Remote(0);
  try {
    counter.Task(&Counter::Fail).Remote().Get();
    FAIL() << "nothing was thrown";
  } catch (const RayTaskException& e) {
    EXPECT_EQ(e.function(), "&Counter::Fail");
    EXPECT_EQ(e.thrown_what(), "on purpose");
  }
  EXPECT_EQ(*counter.Task(&Counter::Add).Remote(1).Get(), 1);
}

TEST_F(ActorTest, AThrowingConstructorFailsEveryCall) {
  auto counter = ray::Actor(Counter::Create).Remote(-1);
  const auto early = counter.Task(&Counter::Add).Remote(1);
  try {
    early.Get();
    FAIL() << "nothing was thrown";
  } catch (const RayActorException& e) {
    EXPECT_NE(std::string(e.what()).find("no negative start"), std::string::npos);
  }
  EXPECT_THROW(counter.Task(&Counter::Add).Remote(1).Get(), RayActorException);
  auto nothing = ray::Actor(Counter::CreateNothing).Remote();
  EXPECT_THROW(nothing.Task(&Counter::Add).Remote(1).Get(), RayActorException);
}

TEST_F(ActorTest, AKilledActorIsDeadAndItsNameFree) {
  auto counter = ray::Actor(Counter::Create).SetName("c").SetMaxRestarts(5).Remote(0);
  EXPECT_THROW(ray::Actor(Counter::Create).SetName("c").Remote(0), RayException);
  counter.Kill();
  EXPECT_THROW(counter.Task(&Counter::Add).Remote(1).Get(), RayActorException);
  EXPECT_FALSE(ray::GetActor<Counter>("c"));
  auto next = ray::Actor(Counter::Create).SetName("c").Remote(7);
  EXPECT_EQ(*next.Task(&Counter::Add).Remote(0).Get(), 7);
}

TEST_F(ActorTest, AfterAKillThatAllowsItTheActorStartsAfresh) {
  auto counter = ray::Actor(Counter::Create).SetMaxRestarts(1).Remote(3);
  EXPECT_FALSE(*counter.Task(&Counter::Restarted).Remote().Get());
  EXPECT_EQ(*counter.Task(&Counter::Add).Remote(1).Get(), 4);
  counter.Kill(false);
  // A call may still have met the old object's end; the next ones meet the new object.
  const auto answer = [&] {
    while (true) {
      try {
        return *counter.Task(&Counter::Add).Remote(1).Get();
      } catch (const RayActorException&) {}
    }
  };
  EXPECT_EQ(answer(), 4);
  EXPECT_TRUE(*counter.Task(&Counter::Restarted).Remote().Get());
  counter.Kill(false);
  EXPECT_THROW(counter.Task(&Counter::Add).Remote(1).Get(), RayActorException);
}

TEST_F(ActorTest, NamedActorsAreFoundInTheirNamespace) {
  auto counter = ray::Actor(Counter::Create).SetName("n").Remote(1);
  auto elsewhere = ray::Actor(Counter::Create).SetName("n", "there").Remote(2);
  EXPECT_EQ(*ray::GetActor<Counter>("n")->Task(&Counter::Add).Remote(0).Get(), 1);
  EXPECT_EQ(*ray::GetActor<Counter>("n", "there")->Task(&Counter::Add).Remote(0).Get(), 2);
  EXPECT_FALSE(ray::GetActor<Counter>("nobody"));
  EXPECT_FALSE(ray::GetActor<Counter>(""));
  EXPECT_EQ(ray::GetNamespace(), "here");
}

TEST_F(ActorTest, AnActorEndsWithItsLastHandleAfterItsCalls) {
  auto counter = ray::Actor(Counter::Create).Remote(1);
  const std::string id = counter.ID();
  auto last = counter.Task(&Counter::Add).Remote(1);
  counter = {};
  EXPECT_EQ(*last.Get(), 2);
  while (alive != 0) std::this_thread::yield();
  EXPECT_THROW(ray::ActorHandle<Counter>(id).Task(&Counter::Add).Remote(1).Get(), RayActorException);
}

TEST_F(ActorTest, ANamedActorStaysAfterItsLastHandleUntilItIsKilled) {
  ray::Actor(Counter::Create).SetName("stays").Remote(1);
  EXPECT_EQ(*ray::GetActor<Counter>("stays")->Task(&Counter::Add).Remote(1).Get(), 2);
  EXPECT_EQ(*ray::GetActor<Counter>("stays")->Task(&Counter::Add).Remote(1).Get(), 3);
  ray::GetActor<Counter>("stays")->Kill();
  EXPECT_FALSE(ray::GetActor<Counter>("stays"));
  while (alive != 0) std::this_thread::yield();
}

TEST_F(ActorTest, ExitActorEndsItForGood) {
  auto counter = ray::Actor(Counter::Create).SetMaxRestarts(-1).Remote(1);
  EXPECT_THROW(counter.Task(&Counter::Exit).Remote().Get(), RayActorException);
  EXPECT_THROW(counter.Task(&Counter::Add).Remote(1).Get(), RayActorException);
  EXPECT_THROW(ray::ExitActor(), RayException);
}

TEST_F(ActorTest, ConcurrentCallsMeetInOneActor) {
  auto meeting = ray::Actor(Meeting::Create).SetMaxConcurrency(2).Remote();
  auto waiting = meeting.Task(&Meeting::Wait).Remote();
  meeting.Task(&Meeting::Open).Remote(9).Get();
  EXPECT_EQ(*waiting.Get(), 9);
}

TEST_F(ActorTest, OptionsThatMakeNoSenseAreRefused) {
  EXPECT_THROW(ray::Actor(Counter::Create).SetMaxRestarts(-2).Remote(0), RayException);
  EXPECT_THROW(ray::Actor(Counter::Create).SetMaxConcurrency(0).Remote(0), RayException);
  EXPECT_THROW(ray::Actor(Counter::Create).SetResource("CPU", -1).Remote(0), RayException);
  EXPECT_THROW(ray::Actor(Counter::Create).SetResource("CPU", 1e18).Remote(0), RayException);
  EXPECT_THROW(ray::Actor(Counter::Create).SetResource("CPU", 1e-7).Remote(0), RayException);
  EXPECT_THROW(ray::ActorHandle<Counter>().Task(&Counter::Add), RayException);
}

}  // namespace actor_test
