// Tasks and objects, in process.
#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <stdexcept>
#include <string>
#include <vector>

#include <ray/api.h>

#include "tests/client/ray/api/local_mode.h"

namespace task_test {

using ray::internal::RayException;
using ray::internal::RayTaskException;
using ray::internal::RayTimeoutException;

struct Point {
  int x = 0;
  std::string label;
  std::vector<double> weights;
  MSGPACK_DEFINE(x, label, weights)
};

struct Nested {
  ray::ObjectRef<int> inner;
  std::vector<ray::ObjectRef<std::string>> more;
  MSGPACK_DEFINE(inner, more)
};

// A gate that tasks wait at; one process, so that a plain future serves.
std::promise<void>* gate = nullptr;
std::shared_future<void> opened;

int Plus(int x, int y) { return x + y; }
int SumByReference(const std::vector<int>& values, int& scratch, std::string&& text) {
  scratch = static_cast<int>(text.size());
  for (const int value : values) scratch += value;
  return scratch;
}
std::string Twice(std::string text) { return text + text; }
const std::string& Same(const std::string& text) { return text; }
Point Move(Point point, int by) {
  point.x += by;
  return point;
}
void Nothing() {}
int Throws(int x) {
  if (x >= 0) throw std::out_of_range("x is " + std::to_string(x));
  return x;
}
int AtGate(int x) {
  opened.wait();
  return x;
}
int ReadNested(const Nested& nested) {
  int sum = *nested.inner.Get();
  for (const auto& text : nested.more) sum += static_cast<int>(text.Get()->size());
  return sum;
}
int FollowReference(ray::ObjectRef<int> reference) { return *reference.Get() + 1; }
int Fibonacci(int n) {
  if (n < 2) return n;
  auto a = ray::Task(Fibonacci).Remote(n - 1);
  auto b = ray::Task(Fibonacci).Remote(n - 2);
  return *a.Get() + *b.Get();
}
ray::ObjectRef<int> MakeReference(int x) { return ray::Put(x); }

RAY_REMOTE(Plus, SumByReference, Twice, Same, Move, Nothing, Throws, AtGate, ReadNested, FollowReference, Fibonacci,
           MakeReference);

class TaskTest : public ray_test::InLocalMode {
 protected:
  TaskTest() { opened = gate_.get_future().share(); }
  void TearDown() override {
    Open();
    InLocalMode::TearDown();
  }
  void Open() {
    if (!open_) gate_.set_value();
    open_ = true;
  }

 private:
  std::promise<void> gate_;
  bool open_ = false;
};

TEST_F(TaskTest, InitTwiceIsOneInit) {
  EXPECT_TRUE(ray::IsInitialized());
  ray::Init();
  EXPECT_EQ(*ray::Put(1).Get(), 1);
}

TEST(Task, OutsideOfInitAndShutdownACallSaysWhatToDo) {
  EXPECT_FALSE(ray::IsInitialized());
  try {
    ray::Put(1);
    FAIL() << "nothing was thrown";
  } catch (const RayException& e) {
    EXPECT_NE(std::string(e.what()).find("ray::Init"), std::string::npos);
  }
}

TEST_F(TaskTest, PutThenGetGivesEveryTypeBack) {
  EXPECT_EQ(*ray::Put(7).Get(), 7);
  EXPECT_EQ(*ray::Get(ray::Put(std::string("text"))), "text");
  EXPECT_EQ(*ray::Put(std::vector<float>{1, 2.5f}).Get(), (std::vector<float>{1, 2.5f}));
  EXPECT_EQ(*ray::Put(std::vector<bool>{true, false}).Get(), (std::vector<bool>{true, false}));
  EXPECT_EQ(*ray::Put(std::vector<float>()).Get(), std::vector<float>());
  EXPECT_EQ(*ray::Put(std::map<std::string, int>{{"a", 1}}).Get(), (std::map<std::string, int>{{"a", 1}}));
  const auto point = ray::Put(Point{1, "p", {0.5}}).Get();
  EXPECT_EQ(point->label, "p");
  EXPECT_EQ(point->weights, std::vector<double>{0.5});
}

TEST_F(TaskTest, ArgumentsBindToEveryKindOfParameter) {
  EXPECT_EQ(*ray::Task(Plus).Remote(1, 2).Get(), 3);
  EXPECT_EQ(*ray::Task(SumByReference).Remote(std::vector<int>{1, 2}, 0, "abc").Get(), 6);
  EXPECT_EQ(*ray::Task(Twice).Remote("ab").Get(), "abab");
  EXPECT_EQ(*ray::Task(Same).Remote("a long enough text to live on the heap").Get(),
            "a long enough text to live on the heap");
  EXPECT_EQ(ray::Task(Move).Remote(Point{1, "p", {}}, 2).Get()->x, 3);
}

TEST_F(TaskTest, AReferenceAsArgumentGivesItsValue) {
  const auto three = ray::Task(Plus).Remote(1, 2);
  EXPECT_EQ(*ray::Task(Plus).Remote(three, ray::Put(4)).Get(), 7);
}

TEST_F(TaskTest, AReferenceParameterStaysAReference) {
  EXPECT_EQ(*ray::Task(FollowReference).Remote(ray::Put(4)).Get(), 5);
}

TEST_F(TaskTest, ReferencesWithinValuesAndResultsWork) {
  Nested nested{ray::Put(3), {ray::Put(std::string("ab")), ray::Put(std::string("c"))}};
  auto stored = ray::Put(nested);
  nested = {};
  EXPECT_EQ(*ray::Task(ReadNested).Remote(stored).Get(), 6);
  EXPECT_EQ(*ray::Task(MakeReference).Remote(9).Get()->Get(), 9);
}

TEST_F(TaskTest, AnEmptyReferenceTravelsInsideAValueAndIsRefusedElsewhere) {
  EXPECT_EQ(ray::Put(Nested()).Get()->inner, ray::ObjectRef<int>());
  EXPECT_THROW(ray::ObjectRef<int>().Get(), RayException);
  EXPECT_THROW(ray::Task(Plus).Remote(ray::ObjectRef<int>(), 1), RayException);
}

TEST_F(TaskTest, PassingAReferenceThatIsNotReadyDoesNotBlock) {
  const auto slow = ray::Task(AtGate).Remote(1);
  const auto sum = ray::Task(Plus).Remote(slow, 2);
  EXPECT_THROW(sum.Get(0), RayTimeoutException);
  Open();
  EXPECT_EQ(*sum.Get(), 3);
}

TEST_F(TaskTest, WaitTellsReadyFromUnreadyInOrder) {
  const auto slow = ray::Task(AtGate).Remote(1);
  const auto fast = ray::Put(2);
  const auto failed = ray::Task(Throws).Remote(1);
  const std::vector<ray::ObjectRef<int>> all{slow, fast, failed};
  auto result = ray::Wait(all, 2, -1);
  EXPECT_EQ(result.ready, (std::list<ray::ObjectRef<int>>{fast, failed}));
  EXPECT_EQ(result.unready, (std::list<ray::ObjectRef<int>>{slow}));
  EXPECT_EQ(ray::Wait(all, 3, 10).ready.size(), 2U);
  EXPECT_THROW(ray::Wait(all, 4, 0), RayException);
  EXPECT_THROW(ray::Wait(all, -1, 0), RayException);
  Open();
  EXPECT_EQ(ray::Wait(all, 3, -1).unready.size(), 0U);
}

TEST_F(TaskTest, GetOfManyHasOneTimeoutAndTakesIdsToo) {
  const std::vector<ray::ObjectRef<int>> refs{ray::Put(1), ray::Put(2), ray::Put(1)};
  const auto values = ray::Get(refs, 1000);
  ASSERT_EQ(values.size(), 3U);
  EXPECT_EQ(*values[1], 2);
  const auto by_id = ray::Get<int>(std::vector<std::string>{refs[1].ID(), refs[1].ID()});
  EXPECT_EQ(*by_id[1], 2);
  EXPECT_EQ(refs[0].ID().size(), 20U);
  EXPECT_EQ(ray::ObjectRef<int>(refs[0].ID()), refs[0]);
  const std::vector<ray::ObjectRef<int>> slow{ray::Task(AtGate).Remote(1), ray::Task(AtGate).Remote(2)};
  EXPECT_THROW(ray::Get(slow, 20), RayTimeoutException);
}

TEST_F(TaskTest, VoidTasksEnd) {
  const ray::ObjectRef<void> done = ray::Task(Nothing).Remote();
  done.Get();
  ray::Get(done);
  ray::Get(std::vector<ray::ObjectRef<void>>{done, done});
  EXPECT_EQ(ray::Wait(std::vector<ray::ObjectRef<void>>{done}, 1, -1).ready.size(), 1U);
}

TEST_F(TaskTest, AThrowingTaskTellsFunctionTypeAndWords) {
  const auto failed = ray::Task(Throws).Remote(5);
  for (int again = 0; again < 2; ++again) {
    try {
      failed.Get();
      FAIL() << "nothing was thrown";
    } catch (const RayTaskException& e) {
      EXPECT_EQ(e.function(), "Throws");
      EXPECT_EQ(e.exception_type(), "std::out_of_range");
      EXPECT_EQ(e.thrown_what(), "x is 5");
      EXPECT_TRUE(e.may_have_run());
      EXPECT_NE(std::string(e.what()).find("Throws threw std::out_of_range: x is 5"), std::string::npos);
    }
  }
}

TEST_F(TaskTest, AFailedArgumentFailsTheCall) {
  const auto failed = ray::Task(Throws).Remote(5);
  try {
    ray::Task(Plus).Remote(failed, 1).Get();
    FAIL() << "nothing was thrown";
  } catch (const RayTaskException& e) {
    EXPECT_EQ(e.function(), "Throws");
  }
}

TEST_F(TaskTest, NestedTasksNeverRunOutOfThreads) { EXPECT_EQ(*ray::Task(Fibonacci).Remote(12).Get(), 144); }

TEST_F(TaskTest, ALostObjectSaysSo) {
  std::string id = ray::Put(1).ID();
  EXPECT_THROW(ray::ObjectRef<int>(id).Get(), ray::internal::UnreconstructableException);
  EXPECT_THROW(ray::ObjectRef<int>("short"), RayException);
}

TEST_F(TaskTest, ResourcesThatMakeNoSenseAreRefused) {
  EXPECT_THROW(ray::Task(Nothing).SetResource("", 1).Remote(), RayException);
  EXPECT_THROW(ray::Task(Nothing).SetResource("CPU", 0).Remote(), RayException);
  EXPECT_THROW(ray::Task(Nothing).SetResource("CPU", -1).Remote(), RayException);
  EXPECT_THROW(ray::Task(Nothing).SetResource("CPU", 1.5).Remote(), RayException);
  EXPECT_THROW(ray::Task(Nothing).SetMaxRetries(-2).Remote(), RayException);
  EXPECT_NO_THROW(ray::Task(Nothing).SetResources({{"CPU", 2}, {"disk", 0.5}}).SetName("n").Remote().Get());
  EXPECT_THROW(ray::internal::CheckTaskOptions({{"x", 2.5}}), RayException);
}

TEST_F(TaskTest, ReferencesMayOutliveShutdown) {
  auto ref = ray::Put(std::string("x"));
  auto slow = ray::Task(AtGate).Remote(1);
  Open();
  ray::Shutdown();
  ray::Shutdown();
  EXPECT_THROW(ref.Get(), RayException);
}

}  // namespace task_test
