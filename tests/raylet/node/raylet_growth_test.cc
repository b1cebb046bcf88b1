// Drivers, workers and actors that have ended leave nothing behind in the raylet's memory, but for the reasons of the
// latest deaths of actors (raylet/actors/dead_actors.h).
#include <malloc.h>

#include "raylet/actors/dead_actors.h"
#include "tests/raylet/node/measured_raylet.h"

namespace raylet::test {
namespace {

#ifndef RAYLET_SANITIZED  // a sanitizer's heap is not the C library's

class RayletGrowth : public ::testing::Test {
 protected:
  // Tables of 64 parts (SpreadMap) take memory for each part once.
  static constexpr int kWarmUp = 400, kTimes = 120;

  RayletGrowth() { ::mallopt(M_ARENA_MAX, 1); }  // mallinfo2 counts the first arena alone

  static RayletOptions TwoCpus() {
    RayletOptions options;
    EXPECT_TRUE(options.resources.Add(kCpu, 2 * kUnitsPerWhole).has_value());
    return options;
  }

  // The bytes that this process, the raylet and its clients, has more after each round.
  template <class Round>
  double BytesEach(MeasuredRaylet& raylet, const Round& round) {
    const auto rounds = [&](int times) {
      for (int i = 0; i < times; ++i) round();
      EXPECT_TRUE(Eventually(kPatience, [&] {
        const nlohmann::json status = raylet.Status();
        return status["jobs"].empty() && status["workers"].empty() && status["ends_unsettled"] == 0;
      })) << raylet.Status();
      return static_cast<double>(::mallinfo2().uordblks);
    };
    const double before = rounds(kWarmUp);
    return (rounds(kTimes) - before) / kTimes;
  }
};

TEST_F(RayletGrowth, DriversAndWorkersThatEndedLeaveNothingBehind) {
  MeasuredRaylet raylet(TwoCpus());
  const double bytes = BytesEach(raylet, [&] {
    auto driver = raylet.Driver();
    driver.AwaitResult(driver.Submit({}));
  });
  EXPECT_LT(bytes, 32);
}

TEST_F(RayletGrowth, ADeadActorLeavesOnlyTheReasonOfItsDeath) {
  MeasuredRaylet raylet(TwoCpus());
  const double bytes = BytesEach(raylet, [&] {
    auto driver = raylet.Driver();
    const ActorId actor = driver.CreateActor({});
    driver.AwaitActor(actor, wire::ActorState::Alive);
    driver.Kill(actor, /*no_restart=*/true);
    driver.AwaitActor(actor, wire::ActorState::Dead);
  });
  EXPECT_EQ(raylet.Status()["actors_dead"], kWarmUp + kTimes);
  EXPECT_LT(bytes, 600) << "of at most " << kDeadActorsMax << " dead actors";
}

#endif

}  // namespace
}  // namespace raylet::test
