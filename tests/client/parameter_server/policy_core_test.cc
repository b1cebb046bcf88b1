// The policies: examples, and random histories of workers of which some are slow and some die, under a clock of the
// test.
#include "client/parameter_server/policy_core.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "tests/client/parameter_server/message_of.h"

namespace policy_core_test {

using parameter_server_test::MessageOf;
using namespace ray::ps;  // NOLINT(google-build-using-namespace): the subject of this file
using namespace std::chrono_literals;
using ray::ps::internal::kNoVersion;
using ray::ps::internal::Offer;
using ray::ps::internal::PolicyCore;
using ray::ps::internal::TimePoint;
using ray::ps::internal::Verdict;
using Action = Verdict::Action;

TEST(PolicyCoreTest, AnAsynchronousGradientCountsAtOnceWithItsStaleness) {
  PolicyCore core(Async{}, 1s);
  EXPECT_EQ(core.Take({.based_on = 0}, {}).staleness, 0U);
  const Verdict late = core.Take({.based_on = 0}, {});
  EXPECT_EQ(late.action, Action::kStep);
  EXPECT_EQ(late.staleness, 1U);
  EXPECT_EQ(late.scale, 1);
  EXPECT_EQ(late.version, 2U);
  EXPECT_TRUE(core.MayRead(0, kNoVersion, {}));
  EXPECT_EQ(core.counts().staleness[0], 1U);
  EXPECT_EQ(core.counts().staleness[1], 1U);
}

TEST(PolicyCoreTest, AStaleGradientCountsLessWhereTheRateIsScaled) {
  PolicyCore core(ScaledByStaleness{}, 1s);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(core.Take({.based_on = core.version()}, {}).scale, 1);
  EXPECT_EQ(core.Take({.based_on = 0}, {}).scale, 0.25);
  EXPECT_EQ(core.Take({}, {}).scale, 1);  // no version was named: it is the current one
}

TEST(PolicyCoreTest, ARoundClosesWithTheLastWorker) {
  PolicyCore core(Synchronous{2}, 1s);
  EXPECT_TRUE(core.MayRead(0, 0, {}));
  EXPECT_EQ(core.Take({0, 0, 1}, {}).action, Action::kHold);
  EXPECT_FALSE(core.MayRead(0, kNoVersion, {}));
  EXPECT_FALSE(core.MayRead(1, 1, {}));  // it wants the version that another shard has
  EXPECT_TRUE(core.MayRead(1, kNoVersion, {}));
  EXPECT_TRUE(core.MayRead(ray::ps::internal::kNoRank, kNoVersion, {}));
  const Verdict last = core.Take({1, 0, 1}, {});
  EXPECT_EQ(last.action, Action::kHoldAndClose);
  EXPECT_EQ(last.version, 1U);
  EXPECT_TRUE(core.MayRead(0, 1, {}));
  EXPECT_EQ(core.counts().rounds, 1U);
}

TEST(PolicyCoreTest, TheSameOfferMadeTwiceCountsOnce) {
  PolicyCore core(Synchronous{2}, 1s);
  core.Take({0, 0, 5}, {});
  EXPECT_EQ(core.Take({0, 0, 5}, {}).action, Action::kKnown);
  EXPECT_EQ(core.counts().applied, 1U);
  EXPECT_EQ(core.version(), 0U);
}

TEST(PolicyCoreTest, ErrorsNameTheValueAndWhatWasExpected) {
  EXPECT_EQ(MessageOf([] { PolicyCore(Synchronous{}, 1s); }),
            "the policy Synchronous{workers = 0} has no workers: it takes 1 or more");
  EXPECT_EQ(MessageOf([] { PolicyCore(Stale{.workers = 0, .staleness = 3}, 1s); }),
            "the policy Stale{workers = 0, staleness = 3} has no workers: it takes 1 or more");
  EXPECT_EQ(MessageOf([] { PolicyCore(FirstOf{.workers = 0, .backups = 2}, 1s); }),
            "the policy FirstOf{workers = 0, backups = 2} has no workers: it takes 1 or more");
  PolicyCore core(Synchronous{3}, 1s);
  EXPECT_EQ(MessageOf([&] {
              core.Take({3, 0, 1}, {});
            }),
            "a worker with rank 3 called, and this server has the ranks 0 to 2: use Worker(rank) with one of them");
  EXPECT_EQ(MessageOf([&] { core.Take({}, {}); }),
            "a worker with no rank called, and this server has the ranks 0 to 2: use Worker(rank) with one of them");
  EXPECT_EQ(MessageOf([&] {
              core.Take({0, 7, 1}, {});
            }),
            "the gradient was computed from version 7, and the newest version is 0");
  core.Take({0, 0, 1}, {});
  EXPECT_EQ(MessageOf([&] {
              core.Take({0, 0, 2}, {});
            }),
            "rank 0 gave its gradient for version 0 already: Get waits for the next version");
}

TEST(PolicyCoreTest, ADeadWorkerHoldsARoundUntilItsDeadlineAndNoLonger) {
  PolicyCore core(Synchronous{3}, 100ms);
  const TimePoint start{};
  EXPECT_FALSE(core.Expire(start + 1h));  // nobody waits in a round that has not begun
  core.Take({0, 0, 1}, start);
  core.Take({1, 0, 1}, start + 50ms);
  EXPECT_FALSE(core.Expire(start + 99ms));
  EXPECT_TRUE(core.Expire(start + 100ms));
  EXPECT_TRUE(core.MayRead(0, 1, start + 100ms));
  EXPECT_EQ(core.counts().rounds_cut, 1U);
  const Verdict late = core.Take({2, 0, 1}, start + 101ms);  // it was only slow
  EXPECT_EQ(late.action, Action::kDrop);
  EXPECT_EQ(late.staleness, 1U);
  EXPECT_EQ(late.version, 1U);
  EXPECT_EQ(core.counts().dropped, 1U);
  EXPECT_EQ(core.Take({2, 1, 2}, start + 102ms).action, Action::kHold);
}

TEST(PolicyCoreTest, ADeadWorkerIsWaitedForOnceAndAgainWhenItIsBack) {
  PolicyCore core(Synchronous{2}, 100ms);
  const TimePoint start{};
  core.Take({0, 0, 1}, start);
  EXPECT_TRUE(core.Expire(start + 100ms));
  EXPECT_EQ(core.counts().left_behind, 1U);
  EXPECT_EQ(core.needed(), 1U);
  EXPECT_EQ(core.Take({0, 1, 2}, start + 101ms).action, Action::kHoldAndClose);
  EXPECT_TRUE(core.MayRead(1, kNoVersion, start + 102ms));
  EXPECT_EQ(core.needed(), 2U);
  EXPECT_EQ(core.Take({0, 2, 3}, start + 103ms).action, Action::kHold);
  EXPECT_EQ(core.Take({1, 2, 1}, start + 104ms).action, Action::kHoldAndClose);
}

TEST(PolicyCoreTest, ANewRankIsWaitedForOnceItReads) {
  PolicyCore core(Synchronous{1}, 100ms);
  EXPECT_FALSE(core.SetRanks(2));
  EXPECT_EQ(core.Take({0, 0, 1}, {}).action, Action::kHoldAndClose);
  EXPECT_TRUE(core.MayRead(1, kNoVersion, {}));
  EXPECT_EQ(core.Take({0, 1, 2}, {}).action, Action::kHold);
  EXPECT_EQ(core.Take({1, 1, 1}, {}).action, Action::kHoldAndClose);
  EXPECT_EQ(core.version(), 2U);
}

TEST(PolicyCoreTest, ARoundIsCompleteWithoutTheRanksThatHaveGone) {
  PolicyCore core(FirstOf{.workers = 2, .backups = 1}, 100ms);
  core.Take({2, 0, 1}, {});
  EXPECT_FALSE(core.SetRanks(2)) << "nobody that is left has given a gradient";
  EXPECT_EQ(core.Take({0, 0, 1}, {}).action, Action::kHoldAndClose);
  EXPECT_EQ(MessageOf([&] {
              core.Take({2, 1, 2}, {});
            }),
            "a worker with rank 2 called, and this server has the ranks 0 to 1: use Worker(rank) with one of them");
  PolicyCore both(Synchronous{2}, 100ms);
  both.Take({0, 0, 1}, {});
  EXPECT_TRUE(both.SetRanks(1));
  EXPECT_EQ(both.version(), 1U);
}

TEST(PolicyCoreTest, ANewClockDoesNotHoldOthersBack) {
  PolicyCore core(Stale{.workers = 1, .staleness = 0}, 100ms);
  for (uint64_t i = 0; i < 5; ++i) core.Take({0, i, i}, {});
  core.SetRanks(2);
  EXPECT_TRUE(core.MayRead(0, kNoVersion, {}));
  EXPECT_EQ(core.Take({1, 5, 0}, {}).staleness, 0U);
  EXPECT_TRUE(core.MayRead(0, kNoVersion, {}));
}

TEST(PolicyCoreTest, ANumberOfWorkersThatDoesNotFitThePolicyIsNamed) {
  using ray::ps::internal::WithRanks;
  EXPECT_EQ(ray::ps::internal::TextOf(WithRanks(FirstOf{.workers = 2, .backups = 1}, 5)),
            "FirstOf{workers = 4, backups = 1}");
  EXPECT_EQ(MessageOf([] { WithRanks(FirstOf{.workers = 2, .backups = 1}, 1); }),
            "1 workers were asked for, and the policy FirstOf{workers = 2, backups = 1} takes 2 or more");
  EXPECT_EQ(MessageOf([] { WithRanks(Synchronous{2}, 0); }),
            "0 workers were asked for, and the policy Synchronous{workers = 2} takes 1 or more");
  EXPECT_EQ(MessageOf([] { WithRanks(Async{}, 3); }),
            "the policy Async{} knows no workers, so their number cannot be set");
}

// A worker died after it had given its gradient to some of the shards alone.
TEST(PolicyCoreTest, AShardThatIsBehindTheOthersClosesAnEmptyRoundAtTheDeadline) {
  PolicyCore core(Synchronous{1}, 100ms);
  const TimePoint start{};
  EXPECT_FALSE(core.MayRead(0, 1, start));
  EXPECT_FALSE(core.Expire(start + 99ms));
  EXPECT_TRUE(core.Expire(start + 100ms));
  EXPECT_TRUE(core.MayRead(0, 1, start + 100ms));
}

TEST(PolicyCoreTest, ASlowWorkerHoldsFastOnesAtTheBoundUntilItsDeadline) {
  PolicyCore core(Stale{.workers = 2, .staleness = 2}, 100ms);
  const TimePoint start{};
  for (uint64_t i = 0; i < 2; ++i) {
    core.Take({0, core.version(), i}, start);
    EXPECT_TRUE(core.MayRead(0, kNoVersion, start));
  }
  core.Take({0, core.version(), 2}, start);
  EXPECT_FALSE(core.MayRead(0, kNoVersion, start));
  core.Take({1, 0, 0}, start + 90ms);
  EXPECT_TRUE(core.MayRead(0, kNoVersion, start + 90ms));
  core.Take({0, core.version(), 3}, start + 90ms);
  EXPECT_FALSE(core.MayRead(0, kNoVersion, start + 95ms));
  core.Expire(start + 194ms);  // the wait that ended with the slow worker's update counts no longer
  EXPECT_FALSE(core.MayRead(0, kNoVersion, start + 194ms));
  core.Expire(start + 195ms);
  EXPECT_TRUE(core.MayRead(0, kNoVersion, start + 195ms));
  EXPECT_EQ(core.counts().left_behind, 1U);
  core.Take({1, 1, 1}, start + 300ms);  // back again, beside the others
  EXPECT_TRUE(core.MayRead(1, kNoVersion, start + 300ms));
  core.Take({0, core.version(), 4}, start + 300ms);
  EXPECT_TRUE(core.MayRead(0, kNoVersion, start + 300ms));
}

// ---- random histories
// ------------------------------------------------------------------------------------------------

// Workers that read, compute for a random time, and offer. Plays them in the order of time.
class Simulation {
 public:
  struct Worker {
    uint64_t rank = 0;
    uint64_t read = 0;    // the version that it read last
    uint64_t clock = 0;   // updates so far
    bool reading = true;  // else computing
    bool dead = false;
    uint64_t dropped = 0;
    uint64_t applied = 0;
  };

  Simulation(const Policy& policy, uint64_t seed) : core(policy, kDeadline), random_(seed) {
    workers.resize(core.ranks());
    for (size_t i = 0; i < workers.size(); ++i) {
      workers[i].rank = i;
      due_.insert({now, i});
    }
  }

  // Called at each read and at each verdict.
  std::function<void(const Worker&)> on_read = [](const Worker&) {};
  std::function<void(const Worker&, uint64_t based_on, const Verdict&)> on_verdict = [](const Worker&, uint64_t,
                                                                                        const Verdict&) {};
  std::function<void()> on_cut = [] {};
  std::function<std::chrono::microseconds(const Worker&)> compute_time = [](const Worker&) { return 100us; };

  void Run(size_t events) {
    for (size_t i = 0; i < events && !due_.empty(); ++i) {
      const auto [time, index] = *due_.begin();
      due_.erase(due_.begin());
      now = time;
      if (core.Expire(now)) on_cut();
      Worker& worker = workers[index];
      if (worker.dead) continue;
      if (worker.reading) {
        if (!core.MayRead(worker.rank, kNoVersion, now)) {
          due_.insert({now + 50us, index});
          continue;
        }
        worker.read = core.version();
        worker.reading = false;
        on_read(worker);
        due_.insert({now + compute_time(worker) + std::chrono::microseconds(random_() % 300), index});
      } else {
        const uint64_t based_on = worker.read;
        const Verdict verdict = core.Take({worker.rank, based_on, worker.clock}, now);
        ++worker.clock;
        ++(verdict.action == Action::kDrop ? worker.dropped : worker.applied);
        worker.reading = true;
        on_verdict(worker, based_on, verdict);
        due_.insert({now, index});
      }
    }
  }

  static constexpr std::chrono::milliseconds kDeadline{20};
  PolicyCore core;
  std::vector<Worker> workers;
  TimePoint now{};

 private:
  std::mt19937_64 random_;
  std::set<std::pair<TimePoint, size_t>> due_;
};

// The rounds as a shard would keep them: what is held, and what each version is made of.
struct Rounds {
  explicit Rounds(Simulation& simulation) : of(simulation) {
    of.on_verdict = [this](const auto& worker, uint64_t based_on, const Verdict& verdict) {
      if (verdict.action == Action::kDrop) {
        ++dropped;
        EXPECT_LT(based_on, of.core.version());
        return;
      }
      EXPECT_TRUE(held.emplace(worker.rank, based_on).second) << "two gradients of one rank in a round";
      sum += 1 + worker.rank;
      if (verdict.action == Action::kHoldAndClose) {
        EXPECT_EQ(held.size(), of.core.needed());
        EXPECT_LE(held.size(), needed);
        Close();
      }
    };
    of.on_cut = [this] {
      EXPECT_LT(held.size(), needed);
      ++cut;
      Close();
    };
  }
  void Close() {
    const uint64_t version = of.core.version() - 1;
    for (const auto& [rank, based_on] : held) EXPECT_EQ(based_on, version) << "a round mixes versions";
    held.clear();
  }

  Simulation& of;
  std::map<uint64_t, uint64_t> held;  // rank → the version it was computed from
  size_t needed = 0;
  uint64_t dropped = 0, cut = 0, sum = 0;
};

void ExpectCountsAreExact(const Simulation& simulation, const Rounds& rounds) {
  uint64_t applied = 0, dropped = 0, sum = 0;
  for (const auto& worker : simulation.workers) {
    applied += worker.applied;
    dropped += worker.dropped;
    sum += worker.applied * (1 + worker.rank);
  }
  EXPECT_EQ(simulation.core.counts().applied, applied);
  EXPECT_EQ(simulation.core.counts().dropped, dropped);
  EXPECT_EQ(rounds.dropped, dropped);
  EXPECT_EQ(rounds.sum, sum);
  EXPECT_EQ(rounds.cut, simulation.core.counts().rounds_cut);
  EXPECT_EQ(simulation.core.counts().rounds, simulation.core.version());
}

TEST(PolicyPropertyTest, SynchronousRoundsHaveEachWorkersGradientOnce) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    Simulation simulation(Synchronous{1 + seed % 5}, seed);
    Rounds rounds(simulation);
    rounds.needed = simulation.core.ranks();
    simulation.Run(3000);
    ExpectCountsAreExact(simulation, rounds);
    EXPECT_EQ(simulation.core.counts().dropped, 0U);
    EXPECT_GT(simulation.core.version(), 100U);
  }
}

TEST(PolicyPropertyTest, RoundsGoOnAfterWorkersDieOneByOne) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    Simulation simulation(Synchronous{4}, seed);
    Rounds rounds(simulation);
    rounds.needed = 4;
    for (size_t dead = 0; dead < 3; ++dead) {
      simulation.workers[dead].dead = true;
      const uint64_t version = simulation.core.version();
      const TimePoint start = simulation.now;
      simulation.Run(8000);
      const auto rounds_made = static_cast<int64_t>(simulation.core.version() - version);
      EXPECT_GE(rounds_made, 400) << "seed " << seed;
      // Others wait for it once. A round without it takes at most 400 µs of work and 50 µs of a look.
      EXPECT_EQ(simulation.core.counts().rounds_cut, dead + 1) << "seed " << seed;
      EXPECT_LE(simulation.now - start, rounds_made * 460us + Simulation::kDeadline + 1ms);
    }
    ExpectCountsAreExact(simulation, rounds);
  }
}

TEST(PolicyPropertyTest, StragglersAreDroppedAndCountedWhileOthersGoOn) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    Simulation simulation(FirstOf{.workers = 3, .backups = 1 + seed % 2}, seed);
    Rounds rounds(simulation);
    rounds.needed = 3;
    simulation.compute_time = [](const auto& worker) { return worker.rank == 0 ? 5000us : 100us; };
    const TimePoint start = simulation.now;
    simulation.Run(5000);
    ExpectCountsAreExact(simulation, rounds);
    EXPECT_GT(simulation.workers[0].dropped, 0U);
    EXPECT_EQ(simulation.workers[0].applied, 0U);
    EXPECT_EQ(simulation.core.counts().rounds_cut, 0U);
    // A healthy round takes at most 400 µs of work and 50 µs of a look.
    EXPECT_LE(simulation.now - start, (simulation.core.version() + 1) * 460us + 6ms);
  }
}

// A read at clock c has all updates of the others up to clock c - staleness.
TEST(PolicyPropertyTest, NoReadIsFurtherAheadThanTheBound) {
  for (uint64_t seed = 0; seed < 40; ++seed) {
    const uint64_t bound = seed % 4;
    Simulation simulation(Stale{.workers = 2 + seed % 4, .staleness = bound}, seed);
    simulation.compute_time = [&](const auto& worker) { return worker.rank == 0 ? 900us : 100us; };
    uint64_t furthest = 0;
    simulation.on_read = [&](const auto& reader) {
      for (const auto& other : simulation.workers) {
        ASSERT_LE(reader.clock, other.clock + bound);
        if (reader.clock > other.clock) furthest = std::max(furthest, reader.clock - other.clock);
      }
    };
    simulation.on_verdict = [&](const auto&, uint64_t, const Verdict& verdict) {
      EXPECT_EQ(verdict.action, Action::kStep);
      EXPECT_LE(verdict.staleness, bound);
    };
    simulation.Run(3000);
    EXPECT_EQ(furthest, bound) << "the fast ones never reached the bound";
    EXPECT_EQ(simulation.core.counts().left_behind, 0U);
    EXPECT_EQ(simulation.core.counts().applied, simulation.core.version());
  }
}

TEST(PolicyPropertyTest, StaleWorkersGoOnAfterOneDies) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    Simulation simulation(Stale{.workers = 3, .staleness = 1}, seed);
    simulation.Run(500);
    simulation.workers[1].dead = true;
    const uint64_t version = simulation.core.version();
    const TimePoint start = simulation.now;
    simulation.Run(2000);
    EXPECT_GT(simulation.core.version(), version + 100);
    EXPECT_EQ(simulation.core.counts().left_behind, 1U);
    EXPECT_GE(simulation.now - start, Simulation::kDeadline);
  }
}

}  // namespace policy_core_test
