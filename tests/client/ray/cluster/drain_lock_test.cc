#include "client/ray/cluster/drain_lock.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

namespace raylet::client {
namespace {

bool IsTaken(DrainLock& lock, Doorbell& bell) {
  if (!lock.TryAcquire()) return true;
  lock.Release(bell);
  return false;
}

TEST(DrainLockTest, OneThreadHasItAtATime) {
  DrainLock lock;
  Doorbell bell;
  ASSERT_TRUE(lock.TryAcquire());
  EXPECT_TRUE(IsTaken(lock, bell));
  lock.Release(bell);
  EXPECT_FALSE(IsTaken(lock, bell));
}

// A sleeper counts on the ring: without one it would not look again.
TEST(DrainLockTest, ReleaseRingsOnlyWhereSomebodyCameByMeanwhile) {
  DrainLock lock;
  Doorbell bell;
  bell.sleepers = 1;
  ASSERT_TRUE(lock.TryAcquire());
  lock.Release(bell);
  EXPECT_EQ(bell.rings, 0u);
  ASSERT_TRUE(lock.TryAcquire());
  EXPECT_TRUE(IsTaken(lock, bell));
  lock.Release(bell);
  EXPECT_EQ(bell.rings, 1u);
  ASSERT_TRUE(lock.TryAcquire());
  lock.Release(bell);
  EXPECT_EQ(bell.rings, 1u);
}

TEST(DrainLockTest, AcquireParksUntilTheHolderLetsGo) {
  DrainLock lock;
  Doorbell bell;
  ASSERT_TRUE(lock.TryAcquire());
  std::atomic<bool> has_it{false};
  std::thread waiter([&] {
    lock.Acquire(bell);
    has_it = true;
    lock.Release(bell);
  });
  while (bell.sleepers == 0) std::this_thread::yield();
  EXPECT_FALSE(has_it);
  lock.Release(bell);
  waiter.join();
  EXPECT_TRUE(has_it);
  EXPECT_FALSE(IsTaken(lock, bell));
}

TEST(DrainLockTest, ThreadsThatAcquireAndThreadsThatTryNeverHoldItTogether) {
  DrainLock lock;
  Doorbell bell;
  int held = 0;  // a race here is what the thread sanitizer looks for
  int taken = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&, waits = i % 2 == 0] {
      for (int round = 0; round < 1000; ++round) {
        if (waits)
          lock.Acquire(bell);
        else if (!lock.TryAcquire())
          continue;
        EXPECT_EQ(++held, 1);
        ++taken;
        --held;
        lock.Release(bell);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_GE(taken, 2000);
}

}  // namespace
}  // namespace raylet::client
