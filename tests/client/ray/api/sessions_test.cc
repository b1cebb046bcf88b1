// Handles of an earlier session after the next Init, and Shutdown within tasks and methods, in process.
#include <gtest/gtest.h>

#include <future>
#include <memory>
#include <thread>

#include <ray/api.h>

#include "tests/client/ray/api/earlier_session.h"

namespace sessions_test {

bool ShutDownHere() {
  ray::Shutdown();
  return ray::IsInitialized();
}
bool InitHere() {
  ray::Init();
  return ray::IsInitialized();
}

class Ender {
 public:
  static Ender* Create() {
    ray::Shutdown();
    return new Ender();
  }
  ~Ender() { ray::Shutdown(); }
  bool ShutDown() { return ShutDownHere(); }
  bool ShutDownInATask() { return *ray::Task(ShutDownHere).Remote().Get(); }
};

// Set by a test: a task tells that it has begun, then ends once it may.
std::promise<void>* begun = nullptr;
std::shared_future<void> may_end;
bool ShutDownLate() {
  begun->set_value();
  may_end.wait();
  ray::Shutdown();
  return true;
}

RAY_REMOTE(ShutDownHere, InitHere, ShutDownLate, Ender::Create, &Ender::ShutDown, &Ender::ShutDownInATask);

void InitLocal() {
  ray::RayConfig config;
  config.local_mode = true;
  ray::Init(config);
}

TEST(Sessions, HandlesFromBeforeShutdownAreRefusedAfterTheNextInit) {
  InitLocal();
  auto earlier = std::make_unique<earlier_session::Things>();
  ray::Shutdown();
  InitLocal();
  earlier->ExpectRefused();
  earlier->ExpectNewOnesWork();
  earlier.reset();
  EXPECT_EQ(*ray::Put(1).Get(), 1);
  ray::Shutdown();
}

TEST(Sessions, ShutdownWithinATaskDoesNothing) {
  InitLocal();
  EXPECT_TRUE(*ray::Task(ShutDownHere).Remote().Get());
  EXPECT_TRUE(*ray::Task(InitHere).Remote().Get());
  {
    auto actor = ray::Actor(Ender::Create).Remote();
    EXPECT_TRUE(*actor.Task(&Ender::ShutDown).Remote().Get());
    EXPECT_TRUE(*actor.Task(&Ender::ShutDownInATask).Remote().Get());
  }
  EXPECT_TRUE(ray::IsInitialized());
  ray::Shutdown();
  EXPECT_FALSE(ray::IsInitialized());
}

TEST(Sessions, ShutdownWithinATaskDoesNothingWhileAnotherShutdownWaitsForTheTask) {
  InitLocal();
  std::promise<void> has_begun;
  std::promise<void> end;
  begun = &has_begun;
  may_end = end.get_future().share();
  const auto late = ray::Task(ShutDownLate).Remote();
  has_begun.get_future().wait();
  std::thread ending([] { ray::Shutdown(); });
  // A call fails once the other Shutdown has begun.
  while (true) {
    try {
      ray::Task(ShutDownHere).Remote().Get(1000);
    } catch (const ray::internal::RayTimeoutException&) {
    } catch (const ray::internal::RayException&) {
      break;
    }
  }
  end.set_value();
  ending.join();
  EXPECT_FALSE(ray::IsInitialized());
}

}  // namespace sessions_test
