#include "base/waiter.h"

#include <sys/mman.h>
#include <time.h>

#include <atomic>
#include <thread>

#include "base/shm_segment.h"
#include "testing.h"

namespace raylet {
namespace {

constexpr auto kLong = std::chrono::hours(1);  // as a slice, so that no later look hides a lost wake
Deadline Soon() { return Deadline::AfterMs(30000); }

Duration ThreadCpuTime() {
  timespec time{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

TEST(SpinUntilTest, LooksOnceThoughItsTimeIsOver) {
  int looks = 0;
  EXPECT_TRUE(SpinUntil(TimePoint::min(), [&] { return ++looks == 1; }));
  EXPECT_FALSE(SpinUntil(
      TimePoint::min(), [] { return false; }, /*looks_per_yield=*/1));
}

TEST(SpinUntilTest, SeesWhatBecomesTrueWhileItSpins) {
  int looks = 0;
  EXPECT_TRUE(SpinUntil(TimePoint::max(), [&] { return ++looks > 3 * kLooksPerYield; }));
}

TEST(FutexTest, WaitReturnsAtOnceForAnotherValueAndAtTheTimeoutForTheSame) {
  std::atomic<uint32_t> word{1};
  EXPECT_TRUE(FutexWait(&word, 0, kLong));
  EXPECT_FALSE(FutexWait(&word, 1, std::chrono::milliseconds(2)));
  EXPECT_FALSE(FutexWait(&word, 1, std::chrono::milliseconds(-2)));
}

TEST(FutexTest, AWaiterWithAReadOnlyMappingIsWokenByAnotherProcess) {
  const auto fd = CreateMemfd("test", 4096, false);
  const auto read_only_fd = ReopenReadOnly(fd->get());
  const auto ours = Mapping::Map(fd->get(), 4096, Mapping::Access::kReadWrite);
  const auto theirs = Mapping::Map(read_only_fd->get(), 4096, Mapping::Access::kReadOnly);
  ASSERT_TRUE(ours && theirs);
  auto [reading, writing] = Pipe();
  const int out = writing.get();
  Child child([&] {
    auto* const word = theirs->As<const std::atomic<uint32_t>>();
    if (::write(out, "x", 1) != 1) return 1;
    while (word->load(std::memory_order_acquire) == 0) {
      if (!FutexWait(word, 0, std::chrono::seconds(20))) return 2;
    }
    return 0;
  });
  char ready = 0;
  ASSERT_EQ(::read(reading.get(), &ready, 1), 1);
  auto* const word = ours->As<std::atomic<uint32_t>>();
  word->store(1, std::memory_order_release);
  FutexWakeAll(word);
  EXPECT_EQ(child.Wait(), 0);
}

// Two threads hand a number back and forth; every hand-over is a chance to lose a wake.
void PassBackAndForth(Duration spin_max, uint32_t rounds) {
  struct Side {
    Doorbell bell;
    std::atomic<uint32_t> value{0};
  };
  Side one;
  Side two;
  std::atomic<bool> lost{false};
  const auto wait_for = [&](Side& side, SpinPark& waiter, uint32_t wanted) {
    const bool came = waiter.WaitUntil(
        side.bell, Soon(), [&] { return lost || side.value.load(std::memory_order_acquire) == wanted; }, {}, {}, kLong);
    if (!came) lost = true;
  };
  const auto post = [](Side& side, uint32_t value) {
    side.value.store(value, std::memory_order_release);
    Ring(side.bell);
  };
  std::thread other([&] {
    SpinPark waiter(spin_max);
    for (uint32_t i = 1; i <= rounds && !lost; ++i) {
      wait_for(two, waiter, i);
      post(one, i);
    }
  });
  SpinPark waiter(spin_max);
  for (uint32_t i = 1; i <= rounds && !lost; ++i) {
    post(two, i);
    wait_for(one, waiter, i);
  }
  other.join();
  EXPECT_FALSE(lost) << "a wake was lost";
  EXPECT_EQ(one.bell.sleepers.load(), 0U);
  EXPECT_EQ(two.bell.sleepers.load(), 0U);
}

TEST(SpinParkTest, NoWakeIsLostWhenEveryWaitParks) { PassBackAndForth(Duration::zero(), 5000); }
TEST(SpinParkTest, NoWakeIsLostWhenSpinsEndAboutWhenTheNewsComes) {
  PassBackAndForth(std::chrono::microseconds(5), 20000);
}
TEST(SpinParkTest, NoWakeIsLostWithTheUsualSpin) { PassBackAndForth(std::chrono::microseconds(20), 20000); }

TEST(SpinParkTest, NoPostOfSeveralPostersIsLost) {
  Doorbell bell;
  std::atomic<uint64_t> posted{0};
  constexpr uint64_t kPostsEach = 5000;
  std::vector<std::thread> posters;
  for (int i = 0; i < 3; ++i) {
    posters.emplace_back([&] {
      for (uint64_t k = 0; k < kPostsEach; ++k) {
        posted.fetch_add(1, std::memory_order_release);
        Ring(bell);
      }
    });
  }
  SpinPark waiter(Duration::zero());
  bool lost = false;
  for (uint64_t seen = 0; seen < 3 * kPostsEach && !lost;) {
    lost = !waiter.WaitUntil(
        bell, Soon(), [&] { return posted.load(std::memory_order_acquire) > seen; }, {}, {}, kLong);
    seen = posted.load(std::memory_order_acquire);
  }
  for (auto& poster : posters) poster.join();
  EXPECT_FALSE(lost);
}

TEST(SpinParkTest, TwoThreadsMaySleepAtOneBell) {
  Doorbell bell;
  std::atomic<bool> open{false};
  std::atomic<int> through{0};
  std::vector<std::thread> waiters;
  for (int i = 0; i < 2; ++i) {
    waiters.emplace_back([&] {
      SpinPark waiter(Duration::zero());
      if (waiter.WaitUntil(
              bell, Soon(), [&] { return open.load(); }, {}, {}, kLong))
        ++through;
    });
  }
  while (bell.sleepers.load() < 2) std::this_thread::yield();
  open = true;
  Ring(bell);
  for (auto& each : waiters) each.join();
  EXPECT_EQ(through, 2);
}

TEST(SpinParkTest, TheDeadlineEndsTheWait) {
  Doorbell bell;
  SpinPark waiter;
  const auto start = std::chrono::steady_clock::now();
  EXPECT_FALSE(waiter.WaitUntil(
      bell, Deadline::AfterMs(20), [] { return false; }, [] { return true; }));
  EXPECT_GE(std::chrono::steady_clock::now() - start, std::chrono::milliseconds(20));
  EXPECT_EQ(bell.sleepers.load(), 0U);
}

TEST(SpinParkTest, APassedDeadlineLooksOnceAndNeverParks) {
  Doorbell bell;
  SpinPark waiter;
  EXPECT_FALSE(waiter.WaitUntil(bell, Deadline::AfterMs(0), [] { return false; }, {}));
  EXPECT_TRUE(waiter.WaitUntil(bell, Deadline::AfterMs(0), [] { return true; }, {}));
  EXPECT_EQ(waiter.parks(), 0U);
}

TEST(SpinParkTest, ADeadPeerEndsAnEndlessWait) {
  Doorbell bell;
  SpinPark waiter;
  int asked = 0;
  EXPECT_FALSE(waiter.WaitUntil(
      bell, Deadline::Never(), [] { return false; }, [&] { return ++asked < 3; }, {}, std::chrono::milliseconds(1)));
  EXPECT_EQ(asked, 3);
  EXPECT_EQ(waiter.parks(), 2U);
  EXPECT_EQ(bell.sleepers.load(), 0U);
}

TEST(SpinParkTest, WorkOfAPeerBeforeItsDeathCounts) {
  Doorbell bell;
  SpinPark waiter;
  bool done = false;
  EXPECT_TRUE(waiter.WaitUntil(
      bell, Deadline::Never(), [&] { return done; },
      [&] {
        done = true;  // the last act of the peer
        return false;
      }));
}

TEST(SpinParkTest, BlockingIsToldOnceBeforeTheFirstPark) {
  Doorbell bell;
  SpinPark waiter;
  int told = 0;
  int alive_when_told = -1;
  int asked = 0;
  waiter.WaitUntil(
      bell, Deadline::Never(), [] { return false; }, [&] { return ++asked < 4; },
      [&] {
        ++told;
        alive_when_told = asked;
        EXPECT_EQ(waiter.parks(), 0U);
      },
      std::chrono::milliseconds(1));
  EXPECT_EQ(told, 1);
  EXPECT_EQ(alive_when_told, 0);
  waiter.WaitUntil(
      bell, Deadline::Never(), [] { return true; }, {}, [&] { ++told; });
  EXPECT_EQ(told, 1) << "a wait that does not park tells nobody";
}

// How often a wait that lasts `wait` looks at its condition: hundreds of times when it spins, a few
// times when not.
int LooksOf(SpinPark& waiter, Duration wait) {
  Doorbell bell;
  int looks = 0;
  waiter.WaitUntil(
      bell, Deadline::After(wait),
      [&] {
        ++looks;
        return false;
      },
      {}, {}, kLong);
  return looks;
}

// On a busy machine a short wait may take long, and the waiter learns a little later.
TEST(SpinParkTest, LongWaitsStopTheSpinningAndShortOnesBringItBack) {
  constexpr int kAttempts = 50;
  bool spins_at_first = false;
  for (int i = 0; i < kAttempts && !spins_at_first; ++i) {
    SpinPark fresh;
    spins_at_first = LooksOf(fresh, std::chrono::milliseconds(2)) > 32;
  }
  EXPECT_TRUE(spins_at_first);
  SpinPark waiter;
  for (int i = 0; i < 8; ++i) LooksOf(waiter, std::chrono::milliseconds(2));
  EXPECT_LE(LooksOf(waiter, std::chrono::milliseconds(2)), 5) << "after long waits it parks at once";
  // Waits that end at the moment of parking, as when the other side answers fast. The waiter has to learn this.
  Doorbell bell;
  bool spins_again = false;
  for (int i = 0; i < kAttempts && !spins_again; ++i) {
    for (int k = 0; k < 40; ++k) {
      bool ready = false;
      waiter.WaitUntil(
          bell, Soon(), [&] { return ready; }, {}, [&] { ready = true; });
    }
    spins_again = LooksOf(waiter, std::chrono::milliseconds(2)) > 32;
  }
  EXPECT_TRUE(spins_again) << "after short waits";
}

TEST(SpinParkTest, AnIdleWaitBurnsNoCpu) {
  Doorbell bell;
  SpinPark waiter;
  const Duration before = ThreadCpuTime();
  EXPECT_FALSE(waiter.WaitUntil(
      bell, Deadline::AfterMs(300), [] { return false; }, [] { return true; }));
  EXPECT_LT(ThreadCpuTime() - before, std::chrono::milliseconds(10));
}

}  // namespace
}  // namespace raylet
