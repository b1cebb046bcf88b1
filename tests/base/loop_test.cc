#include "base/loop.h"

#include <signal.h>
#include <uv.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "testing.h"

namespace raylet {
namespace {

using std::chrono::milliseconds;

TEST(LoopTest, PostedWorkRunsInOrderAndWhatComesAfterStopIsDropped) {
  Loop loop;
  std::vector<int> ran;
  loop.Post([&] { ran.push_back(1); });
  loop.Post([&] {
    ran.push_back(2);
    loop.Post([&] { ran.push_back(3); });
    loop.Post([&] { loop.Stop(); });
  });
  loop.Run();
  EXPECT_EQ(ran, (std::vector<int>{1, 2, 3}));
  loop.Post([&] { ran.push_back(4); });
  loop.Run();
  EXPECT_EQ(ran.size(), 3U);
}

TEST(LoopTest, ATimerFiresBetweenTheTurnsOfMuchPostedWork) {
  Loop loop;
  size_t done = 0, done_before_timer = 0;
  for (size_t i = 0; i < 10 * Loop::kPostedPerTurn; ++i) loop.Post([&] { ++done; });
  Timer timer(loop, milliseconds(0), {}, [&] { done_before_timer = done; });
  loop.Post([&] { loop.Stop(); });
  loop.Run();
  EXPECT_LE(done_before_timer, Loop::kPostedPerTurn);
  EXPECT_EQ(done, 10 * Loop::kPostedPerTurn);
}

TEST(LoopTest, MeasuresItsLongestTurnWithoutTheTimeThatItWaits) {
  Loop loop;
  const ThreadCpuClock clock;
  loop.MeasureTurns(clock);
  Duration longest{};
  const auto work = [&] {
    const TimePoint begin = clock.Now();
    while (clock.Now() - begin < milliseconds(20)) {}
  };
  Timer begin(loop, milliseconds(1), {}, work);
  Timer end(loop, milliseconds(300), {}, [&] {
    longest = loop.TakeLongestTurn();
    loop.Stop();
  });
  loop.Run();
  EXPECT_GE(longest, milliseconds(20));
  EXPECT_LT(longest, milliseconds(200));
}

TEST(LoopTest, StopBeforeRunLetsRunReturn) {
  Loop loop;
  int ran = 0;
  loop.Post([&] { ++ran; });
  loop.Stop();
  loop.Run();
  EXPECT_EQ(ran, 1);
}

TEST(LoopTest, OtherThreadsPostAndStop) {
  Loop loop;
  std::atomic<int> ran{0};
  std::vector<std::thread> posters;
  for (int i = 0; i < 3; ++i) {
    posters.emplace_back([&] {
      for (int k = 0; k < 1000; ++k) {
        loop.Post([&] {
          if (++ran == 3000) loop.Stop();
        });
      }
    });
  }
  loop.Run();
  for (auto& poster : posters) poster.join();
  EXPECT_EQ(ran, 3000);
}

TEST(LoopTest, WorkThatIsDroppedLetsGoOfWhatItHeld) {
  const auto held = std::make_shared<int>(1);
  {
    Loop loop;
    loop.Post([held] {});
    EXPECT_EQ(held.use_count(), 2);
  }
  EXPECT_EQ(held.use_count(), 1);
}

TEST(LoopTest, EndOfTurnWorkRunsOnceAfterAllReadyEvents) {
  Loop loop;
  std::vector<int> order;
  loop.AtEndOfTurn([&] { order.push_back(0); });  // before the loop runs at all
  loop.Post([&] {
    loop.AtEndOfTurn([&] {
      order.push_back(3);
      loop.AtEndOfTurn([&] {
        order.push_back(4);
        loop.Stop();
      });
    });
    order.push_back(1);
  });
  loop.Post([&] { order.push_back(2); });
  loop.Run();
  EXPECT_EQ(order, (std::vector<int>{0, 1, 2, 3, 4}));
}

TEST(EndOfTurnTest, RunsOnceForAllThatAskAndAgainForALaterAsk) {
  Loop loop;
  std::vector<int> order;
  int runs = 0;
  std::unique_ptr<EndOfTurn> second;
  EndOfTurn first(loop, [&] {
    order.push_back(1);
    if (++runs == 1) return second->Ask();  // is due already
    loop.Stop();
  });
  second = std::make_unique<EndOfTurn>(loop, [&] {
    order.push_back(2);
    first.Ask();
  });
  for (int i = 0; i < 3; ++i) {
    first.Ask();
    second->Ask();
  }
  loop.AtEndOfTurn([&] { order.push_back(3); });
  loop.Run();
  EXPECT_EQ(order, (std::vector<int>{1, 2, 3, 1}));
}

TEST(EndOfTurnTest, DoesNotRunOnceItsOwnerHasGoneEvenInItsOwnWork) {
  Loop loop;
  int runs = 0;
  auto before = std::make_unique<EndOfTurn>(loop, [&] { ++runs; });
  before->Ask();
  before.reset();
  std::unique_ptr<EndOfTurn> itself;
  itself = std::make_unique<EndOfTurn>(loop, [&loop, &runs, &itself, kept = std::make_shared<int>(10)] {
    itself->Ask();
    itself.reset();
    runs += *kept;
    loop.Stop();
  });
  itself->Ask();
  loop.Run();
  EXPECT_EQ(runs, 10);
}

TEST(TimerTest, FiresOnceOrRepeatedly) {
  Loop loop;
  int once = 0;
  int often = 0;
  Timer single(loop, milliseconds(1), milliseconds(0), [&] { ++once; });
  Timer repeating(loop, milliseconds(1), milliseconds(1), [&] {
    if (++often == 5) loop.Stop();
  });
  loop.Run();
  EXPECT_EQ(once, 1);
  EXPECT_EQ(often, 5);
}

TEST(TimerTest, ALongTurnDoesNotShortenTheDelay) {
  Loop loop;
  Timer timer;
  loop.Post([&] {
    const auto busy_until = std::chrono::steady_clock::now() + milliseconds(30);
    while (std::chrono::steady_clock::now() < busy_until) {}
    const auto start = std::chrono::steady_clock::now();
    timer = Timer(loop, milliseconds(20), milliseconds(0), [&loop, start] {
      EXPECT_GE(std::chrono::steady_clock::now() - start, milliseconds(18));  // libuv counts whole milliseconds
      loop.Stop();
    });
  });
  loop.Run();
}

// As if the process had been stopped.
void Stall(milliseconds time) { std::this_thread::sleep_for(time); }

TEST(TimerTest, CountsNoTimeInWhichTheLoopStoodStill) {
  Loop loop;
  const auto start = std::chrono::steady_clock::now();
  Timer timer(loop, milliseconds(400), milliseconds(0), [&] {
    EXPECT_GE(std::chrono::steady_clock::now() - start, milliseconds(1000 + 300));
    loop.Stop();
  });
  loop.Post([] { Stall(milliseconds(1000)); });
  loop.Run();
}

TEST(TimerTest, FiresAfterAStallOnlyOnceTheEventsOfTheStallAreServed) {
  Loop loop;
  // An event on the first descriptor makes the test look at the second, as a registration follows its connection.
  auto [first, first_end] = SocketPair();
  auto [second, second_end] = SocketPair();
  std::vector<std::string> order;
  FdWatcher on_second(loop, second.get(), [&](FdWatcher::Events) {
    order.push_back("served");
    on_second.Watch({});
  });
  FdWatcher on_first(loop, first.get(), [&](FdWatcher::Events) {
    on_first.Watch({});
    on_second.Watch({true, false});
  });
  on_first.Watch({true, false});
  std::vector<Timer> timers;
  for (const int delay : {20, 250, 1000})
    timers.emplace_back(loop, milliseconds(delay), milliseconds(0), [&] { order.push_back("fired"); });
  Timer repeated(loop, milliseconds(150), milliseconds(150), [&] { order.push_back("fired"); });
  loop.Post([&, one = first_end.get(), two = second_end.get()] {
    ASSERT_EQ(::write(one, "x", 1), 1);
    ASSERT_EQ(::write(two, "x", 1), 1);
    Stall(milliseconds(1400));
  });
  Timer end(loop, milliseconds(1200), milliseconds(0), [&] { loop.Stop(); });
  loop.Run();
  ASSERT_GE(order.size(), 5U);
  EXPECT_EQ(order[0], "served");
}

TEST(TimerTest, RepeatedTimerFiresSoonAfterAStall) {
  Loop loop;
  TimePoint stalled_until;
  Timer timer(loop, milliseconds(10), milliseconds(900), [&] {
    if (stalled_until == TimePoint()) {
      loop.Post([&] {
        Stall(milliseconds(2000));
        stalled_until = std::chrono::steady_clock::now();
      });
      return;
    }
    EXPECT_LT(std::chrono::steady_clock::now() - stalled_until, milliseconds(850));
    loop.Stop();
  });
  loop.Run();
}

TEST(TimerTest, TimerFiresOnAMachineThatIsAlwaysLate) {
  Loop loop;
  int turns = 0;
  bool fired = false;
  std::function<void()> late = [&] {
    Stall(milliseconds(320));
    if (!fired && ++turns < 20) loop.Post(late);
  };
  Timer timer(loop, milliseconds(300), milliseconds(0), [&] {
    fired = true;
    loop.Stop();
  });
  loop.Post(late);
  Timer end(loop, milliseconds(15'000), milliseconds(0), [&] { loop.Stop(); });
  loop.Run();
  EXPECT_TRUE(fired);
}

TEST(TimerTest, DestroyedOrCancelledTimerNeverFires) {
  Loop loop;
  int fired = 0;
  {
    Timer gone(loop, milliseconds(0), milliseconds(0), [&] { ++fired; });
  }
  Timer cancelled(loop, milliseconds(0), milliseconds(0), [&] { ++fired; });
  EXPECT_TRUE(cancelled);
  cancelled.Cancel();
  EXPECT_FALSE(cancelled);
  cancelled.Cancel();
  Timer end(loop, milliseconds(5), milliseconds(0), [&] { loop.Stop(); });
  loop.Run();
  EXPECT_EQ(fired, 0);
}

TEST(TimerTest, MayDestroyItselfAndOthersInItsCallback) {
  Loop loop;
  const auto held = std::make_shared<int>(7);
  int fired = 0;
  std::optional<Timer> one;
  std::optional<Timer> two;
  const auto fire = [&, held] {
    one.reset();
    two.reset();
    fired += *held;  // the callback outlives its timer until it returns
  };
  one.emplace(loop, milliseconds(1), milliseconds(1), fire);
  two.emplace(loop, milliseconds(1), milliseconds(1), fire);
  Timer end(loop, milliseconds(10), milliseconds(0), [&] { loop.Stop(); });
  loop.Run();
  EXPECT_EQ(fired, 7) << "whichever came first ended both";
}

TEST(TimerTest, MovesWithoutLosingItsCallback) {
  Loop loop;
  Timer first(loop, milliseconds(1), milliseconds(0), [&] { loop.Stop(); });
  Timer second = std::move(first);
  EXPECT_FALSE(first);  // NOLINT(bugprone-use-after-move): a moved-from timer is empty
  Timer third;
  third = std::move(second);
  loop.Run();
  EXPECT_TRUE(third);
}

TEST(TimerTest, TimerThatOutlivesItsLoopIsEmpty) {
  Timer timer;
  {
    Loop loop;
    timer = Timer(loop, milliseconds(1), milliseconds(0), [] {});
  }
  EXPECT_FALSE(timer);
}

TEST(FdWatcherTest, TellsWhatTheDescriptorIsReadyFor) {
  Loop loop;
  auto [one, two] = SocketPair();
  bool readable = false;
  bool writable = false;
  FdWatcher watcher(loop, one.get(), [&](FdWatcher::Events events) {
    readable |= events.readable;
    writable |= events.writable;
    loop.Stop();
  });
  watcher.Watch({false, true});
  loop.Post([&, other = two.get()] { ASSERT_EQ(::write(other, "x", 1), 1); });
  loop.Run();
  EXPECT_TRUE(writable);
  EXPECT_FALSE(readable) << "not asked for";
}

TEST(FdWatcherTest, StoppedItIsSilentAndMayGoBeforeItsDescriptor) {
  Loop loop;
  auto pair = SocketPair();
  UniqueFd& one = pair.first;  // clang 14 captures no structured binding
  int calls = 0;
  std::optional<FdWatcher> watcher;
  watcher.emplace(loop, one.get(), [&](FdWatcher::Events) {
    ++calls;
    watcher.reset();
    one.Reset();
  });
  watcher->Watch({true, true});
  watcher->Watch({});
  Timer later(loop, milliseconds(5), milliseconds(0), [&] {
    EXPECT_EQ(calls, 0);
    watcher->Watch({false, true});
  });
  Timer end(loop, milliseconds(15), milliseconds(0), [&] { loop.Stop(); });
  loop.Run();
  EXPECT_EQ(calls, 1);
}

TEST(SignalWatcherTest, IsToldOfASignal) {
  Loop loop;
  SignalWatcher watcher(loop, SIGUSR1, [&] { loop.Stop(); });
  loop.Post([] { ::raise(SIGUSR1); });
  loop.Run();
}

TEST(LoopTest, RunReturnsAfterTheLastCloseCallback) {
  Loop loop;
  const auto held = std::make_shared<int>(0);
  Timer timer(loop, milliseconds(1000), milliseconds(0), [held] {});
  loop.Post([&] {
    timer.Cancel();
    EXPECT_EQ(held.use_count(), 2) << "freed in the close callback, not before";
    loop.Stop();
  });
  loop.Run();
  EXPECT_EQ(held.use_count(), 1);
}

TEST(LoopTest, LoopClosesAllHandlesAtItsEnd) {
  uv_timer_t by_hand{};
  const auto held = std::make_shared<int>(0);
  {
    auto [one, two] = SocketPair();
    Loop loop;
    uv_timer_init(loop.raw(), &by_hand);
    uv_timer_start(
        &by_hand, [](uv_timer_t*) {}, 1000, 0);
    // A timer that a callback's capture keeps: it goes while the loop drains.
    auto inner = std::make_shared<Timer>(loop, milliseconds(1000), milliseconds(0), [held] {});
    Timer outer(loop, milliseconds(1000), milliseconds(0), [inner = std::move(inner)] {});
    FdWatcher watcher(loop, one.get(), [](FdWatcher::Events) {});
    watcher.Watch({true, false});
    SignalWatcher signal(loop, SIGUSR2, [] {});
    outer = Timer();
  }
  EXPECT_EQ(held.use_count(), 1);
}

}  // namespace
}  // namespace raylet
