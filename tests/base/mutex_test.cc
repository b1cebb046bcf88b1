#include "base/mutex.h"

#include <thread>

#include "testing.h"

namespace raylet {
namespace {

TEST(MutexTest, AScopeLetsGoOfTheMutexInBetween) {
  Mutex mutex;
  MutexLock lock(mutex);
  bool was_free = false;
  const auto look = [&] {
    was_free = mutex.TryLock();
    if (was_free) mutex.Unlock();
  };
  std::thread(look).join();
  EXPECT_FALSE(was_free);
  lock.Unlock();
  std::thread(look).join();
  EXPECT_TRUE(was_free);
  lock.Lock();
  std::thread(look).join();
  EXPECT_FALSE(was_free);
}

TEST(MutexTest, AScopeThatLetGoDoesNotUnlockAgain) {
  Mutex mutex;
  {
    MutexLock lock(mutex);
    lock.Unlock();
  }
  EXPECT_TRUE(mutex.TryLock());
  mutex.Unlock();
}

struct Flag {
  Mutex mutex;
  ConditionVariable changed;
  bool set RAYLET_GUARDED_BY(mutex) = false;
};

TEST(ConditionVariableTest, AWaitEndsWithTheNotificationAndHoldsTheMutexAgain) {
  Flag flag;
  std::thread setter([&flag] {
    const MutexLock lock(flag.mutex);
    flag.set = true;
    flag.changed.NotifyAll();
  });
  {
    const MutexLock lock(flag.mutex);
    while (!flag.set) flag.changed.Wait(flag.mutex);
    bool was_free = false;
    std::thread([&] { was_free = flag.mutex.TryLock(); }).join();
    EXPECT_FALSE(was_free);
  }
  setter.join();
}

TEST(ConditionVariableTest, AWaitEndsAtItsDeadline) {
  Flag flag;
  const Deadline deadline = Deadline::AfterMs(2);
  const MutexLock lock(flag.mutex);
  while (!deadline.Passed()) flag.changed.Wait(flag.mutex, deadline);
  EXPECT_FALSE(flag.set);
}

}  // namespace
}  // namespace raylet
