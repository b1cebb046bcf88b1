#include "raylet/actors/actor_directory.h"

#include <gtest/gtest.h>

namespace raylet {
namespace {

using wire::ActorState;

constexpr ProcessId kOwner = 10;
constexpr ProcessId kCaller = 11;
constexpr WorkerId kWorker = 5;

TaskPtr Creation(const std::string& name = "", int32_t max_restarts = 0, bool detached = false) {
  auto task = std::make_shared<Task>();
  task->id = TaskId::FromRandom();
  task->job = 1;
  task->owner = kOwner;
  task->name = task->function = "Counter::Create";
  task->actor = ActorSettings{ActorId::FromRandom(), name, "space", max_restarts, detached};
  return task;
}

struct Bench {
  template <class Decision>
  std::vector<Decision> Take() {
    std::vector<Decision> taken;
    for (auto& decision : directory.TakeDecisions())
      if (auto* const match = std::get_if<Decision>(&decision)) taken.push_back(*match);
    return taken;
  }
  void Forget() { directory.TakeDecisions(); }
  // An actor that lives in kWorker.
  ActorId Living(const TaskPtr& creation) {
    EXPECT_TRUE(directory.Create(creation).has_value());
    directory.Placed(creation->actor->id, Place::Here(kWorker));
    directory.Constructed(creation->actor->id, 77);
    Forget();
    return creation->actor->id;
  }
  ActorDirectory directory;
};

Failure Crash() {
  Failure failure;
  failure.message = "crash";
  return failure;
}

TEST(ActorDirectory, GrantsWaitingCallersAChannelInOrderOnceTheActorLives) {
  Bench bench;
  const auto creation = Creation();
  const ActorId id = creation->actor->id;
  ASSERT_TRUE(bench.directory.Create(creation).has_value());
  EXPECT_EQ(bench.Take<CreateActorNow>().size(), 1u);
  ASSERT_TRUE(bench.directory.Open(id, kCaller, 1).has_value());
  ASSERT_TRUE(bench.directory.Open(id, kOwner, 2).has_value());
  bench.directory.Placed(id, Place::Here(kWorker));
  EXPECT_TRUE(bench.Take<GrantChannel>().empty());
  bench.directory.Constructed(id, 77);
  const auto granted = bench.Take<GrantChannel>();
  ASSERT_EQ(granted.size(), 2u);
  EXPECT_EQ(granted[0].caller, kCaller);
  EXPECT_EQ(granted[0].place, Place::Here(kWorker));
  EXPECT_EQ(granted[0].process, 77u);
  EXPECT_EQ(granted[1].request_id, 2u);
}

TEST(ActorDirectory, ACallerWhoseGrantFailedGetsTheNextOneOrHearsOfItsEnd) {
  Bench bench;
  const ActorId id = bench.Living(Creation("", 1));
  ASSERT_TRUE(bench.directory.Open(id, kCaller, 1).has_value());
  EXPECT_EQ(bench.Take<GrantChannel>().size(), 1u);
  bench.directory.GrantFailed(id, kCaller, 1);
  EXPECT_TRUE(bench.Take<GrantChannel>().empty()) << "it would fail again";
  bench.directory.WorkerGone(id, Place::Here(kWorker), Crash());
  bench.directory.Placed(id, Place::Here(6));
  bench.directory.Constructed(id, 78);
  ASSERT_EQ(bench.Take<GrantChannel>().size(), 1u);
  bench.directory.WorkerGone(id, Place::Here(6), Crash());
  bench.Forget();
  bench.directory.GrantFailed(id, kCaller, 1);
  EXPECT_EQ(bench.Take<RefuseChannel>().size(), 1u);
}

TEST(ActorDirectory, NameIsTakenByOneAndFreeAfterItsDeath) {
  Bench bench;
  const ActorId id = bench.Living(Creation("ps"));
  const auto refused = bench.directory.Create(Creation("ps"));
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, ErrorCode::kAlreadyExists);
  EXPECT_NE(refused.error().message.find(id.hex()), std::string::npos);
  bench.directory.Kill(id, true);
  EXPECT_FALSE(bench.directory.Find("ps", "space", kCaller).has_value());
  EXPECT_TRUE(bench.directory.Create(Creation("ps")).has_value());
}

TEST(ActorDirectory, RestartsAsOftenAsAllowedAndTellsWatchers) {
  Bench bench;
  const auto creation = Creation("", 1);
  const ActorId id = bench.Living(creation);
  bench.directory.WorkerGone(id, Place::Here(kWorker), Crash());
  auto decisions = bench.directory.TakeDecisions();
  ASSERT_EQ(decisions.size(), 2u);
  EXPECT_EQ(std::get<TellActorChanged>(decisions[0]).state, ActorState::Restarting);
  EXPECT_EQ(std::get<CreateActorNow>(decisions[1]).creation, creation);
  bench.directory.Placed(id, Place::Here(6));
  bench.directory.Constructed(id, 77);
  EXPECT_EQ(bench.Take<TellActorChanged>()[0].restarts, 1u);
  bench.directory.WorkerGone(id, Place::Here(6), Crash());
  const auto told = bench.Take<TellActorChanged>();
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(told[0].state, ActorState::Dead);
  EXPECT_EQ(told[0].failure->message, "crash");
}

TEST(ActorDirectory, KillWithRestartNeedsNoBudget) {
  Bench bench;
  const ActorId id = bench.Living(Creation());
  bench.directory.Kill(id, false);
  const auto ended = bench.Take<EndActorWorker>();
  ASSERT_EQ(ended.size(), 1u);
  EXPECT_TRUE(ended[0].at_once);
  bench.directory.WorkerGone(id, Place::Here(kWorker), Crash());
  EXPECT_EQ(bench.Take<CreateActorNow>().size(), 1u);
  ASSERT_NE(bench.directory.Get(id), nullptr);
}

TEST(ActorDirectory, TellsWhyAConstructorFailed) {
  Bench bench;
  const auto creation = Creation("", 5);
  ASSERT_TRUE(bench.directory.Create(creation).has_value());
  bench.directory.Placed(creation->actor->id, Place::Here(kWorker));
  bench.Forget();
  Failure thrown;
  thrown.what = "no luck";
  bench.directory.ConstructorFailed(creation->actor->id, thrown);
  EXPECT_EQ(bench.Take<TellActorChanged>()[0].failure->what, "no luck");
  ASSERT_TRUE(bench.directory.Open(creation->actor->id, kCaller, 3).has_value());
  EXPECT_EQ(bench.Take<RefuseChannel>()[0].failure->what, "no luck");
}

TEST(ActorDirectory, OnlyTheOwnerReleasesAnActorAndNeverADetachedOne) {
  Bench bench;
  const ActorId id = bench.Living(Creation("mine"));
  bench.directory.Release(id, kCaller);
  EXPECT_TRUE(bench.Take<EndActorWorker>().empty());
  bench.directory.Release(id, kOwner);
  const auto ended = bench.Take<EndActorWorker>();
  ASSERT_EQ(ended.size(), 1u);
  EXPECT_FALSE(ended[0].at_once);
  EXPECT_FALSE(bench.directory.Find("mine", "space", kCaller).has_value());
  bench.directory.WorkerGone(id, Place::Here(kWorker), Crash());
  EXPECT_NE(bench.Take<TellActorChanged>()[0].failure->message.find("no handle"), std::string::npos);

  const ActorId detached = bench.Living(Creation("", 0, true));
  bench.directory.Release(detached, kOwner);
  EXPECT_TRUE(bench.Take<EndActorWorker>().empty());
}

TEST(ActorDirectory, OwnersDeathEndsItsActorsUnlessTheyAreDetached) {
  Bench bench;
  const ActorId mortal = bench.Living(Creation());
  const ActorId detached = bench.Living(Creation("d", 0, true));
  ASSERT_TRUE(bench.directory.Open(mortal, kCaller, 1).has_value());
  bench.Forget();
  bench.directory.ProcessesGone({kOwner});
  bench.directory.OwnersSettled({kOwner});
  const auto told = bench.Take<TellActorChanged>();
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(told[0].process, kCaller);
  EXPECT_EQ(told[0].actor, mortal);
  EXPECT_NE(bench.directory.Get(detached), nullptr);
}

// A process of another job may hold handles of an actor whose creator has ended.
TEST(ActorDirectory, EndsWithTheJobWhatOutlivedItsCreatorButNotWhatASurvivorCreated) {
  Bench bench;
  constexpr ProcessId kSurvivor = 12;
  const auto of_survivor = std::make_shared<Task>(*Creation());
  of_survivor->owner = kSurvivor;
  const auto of_another_job = std::make_shared<Task>(*Creation());
  of_another_job->job = 2;
  const ActorId adopted = bench.Living(Creation("", /*max_restarts=*/-1));
  const ActorId detached = bench.Living(Creation("server", 0, true));
  const ActorId created_by_survivor = bench.Living(of_survivor), other = bench.Living(of_another_job);
  bench.directory.ProcessesGone({kOwner});
  bench.directory.OwnersSettled({kOwner}, [](const ActorId&) { return true; });
  ASSERT_NE(bench.directory.Get(adopted), nullptr);
  bench.directory.JobEnded(1, {kSurvivor});
  const auto ended = bench.Take<EndActorWorker>();
  ASSERT_EQ(ended.size(), 1u);
  EXPECT_EQ(ended[0].actor, adopted);
  EXPECT_EQ(bench.directory.Get(adopted), nullptr);
  for (const ActorId& lives : {detached, created_by_survivor, other}) EXPECT_NE(bench.directory.Get(lives), nullptr);
}

TEST(ActorDirectory, SaysWhenTheLastDetachedActorOfAJobHasEnded) {
  Bench bench;
  const auto unplaced = Creation("waits", 0, /*detached=*/true);
  ASSERT_TRUE(bench.directory.Create(unplaced).has_value());
  const ActorId living = bench.Living(Creation("lives", 0, /*detached=*/true));
  bench.directory.Kill(living, /*no_restart=*/true);
  EXPECT_TRUE(bench.Take<LastDetachedEnded>().empty());
  bench.directory.Kill(unplaced->actor->id, /*no_restart=*/true);
  const auto ended = bench.Take<LastDetachedEnded>();
  ASSERT_EQ(ended.size(), 1u);
  EXPECT_EQ(ended[0].job, 1u);
}

TEST(ActorDirectory, CallersOfAnUnknownActorHearThatItIsUnknown) {
  Bench bench;
  ASSERT_TRUE(bench.directory.Open(ActorId::FromRandom(), kCaller, 9).has_value());
  const auto refused = bench.Take<RefuseChannel>();
  ASSERT_EQ(refused.size(), 1u);
  EXPECT_EQ(refused[0].request_id, 9u);
  EXPECT_NE(refused[0].failure->message.find("knows no actor"), std::string::npos);
}

TEST(ActorDirectory, BoundsTheRequestsOfOneCaller) {
  Bench bench;
  const auto creation = Creation();
  ASSERT_TRUE(bench.directory.Create(creation).has_value());
  for (uint64_t i = 0; i < kOpensPerCallerMax; ++i)
    ASSERT_TRUE(bench.directory.Open(creation->actor->id, kCaller, i + 1).has_value());
  EXPECT_EQ(bench.directory.Open(creation->actor->id, kCaller, 999).error().code, ErrorCode::kFull);
}

// ---- on other machines

const NodeId kThere = NodeId::FromRandom();
constexpr MachineNumber kTheirMachine{9};
constexpr ProcessId kTheirs = ProcessIdOf(kTheirMachine, 4);

ActorId LivingThere(Bench& bench, const TaskPtr& creation) {
  EXPECT_TRUE(bench.directory.Create(creation).has_value());
  bench.directory.Placed(creation->actor->id, Place::There(kThere));
  bench.directory.Constructed(creation->actor->id, 77);
  bench.Forget();
  return creation->actor->id;
}

size_t Lose(Bench& bench, const char* why, TimePoint serves_until, std::map<JobId, ProcessSet> jobs = {}) {
  size_t lost = 0;
  for (size_t part = 0; part < ActorDirectory::kParts; ++part) {
    lost += bench.directory.MachineLost({kThere, kTheirMachine, "10.0.0.7:7000", why, serves_until, {}, jobs}, part);
  }
  return lost;
}

TEST(ActorDirectory, AMachinesDeathRestartsItsActorsOrFailsThemWithItsName) {
  Bench bench;
  const ActorId mortal = LivingThere(bench, Creation());
  const auto creation = Creation("again", 1);
  const ActorId restarts = LivingThere(bench, creation);
  const ActorId here = bench.Living(Creation());
  Lose(bench, "nothing was heard of it", {});
  std::vector<CreateActorNow> created;
  for (auto& decision : bench.directory.TakeDecisions()) {
    if (auto* const create = std::get_if<CreateActorNow>(&decision)) created.push_back(*create);
    if (auto* const tell = std::get_if<TellActorChanged>(&decision)) {
      EXPECT_NE(tell->failure->message.find("the machine at 10.0.0.7:7000 died or could not be reached any more "
                                            "(nothing was heard of it) while it"),
                std::string::npos)
          << tell->failure->message;
      EXPECT_EQ(tell->state, tell->actor == mortal ? ActorState::Dead : ActorState::Restarting);
    }
    EXPECT_EQ(std::get_if<EndActorWorker>(&decision), nullptr) << "nobody is there to hear of it";
  }
  ASSERT_EQ(created.size(), 1u);
  EXPECT_EQ(created[0].creation, creation);
  EXPECT_EQ(bench.directory.Get(mortal), nullptr);
  ASSERT_NE(bench.directory.Get(restarts), nullptr);
  EXPECT_TRUE(bench.directory.Get(restarts)->place.IsNowhere());
  EXPECT_EQ(bench.directory.Get(here)->state, ActorState::Alive);
}

TEST(ActorDirectory, AMachinesDeathForgetsItsWatchersAndWaiters) {
  Bench bench;
  const auto creation = Creation();
  ASSERT_TRUE(bench.directory.Create(creation).has_value());
  ASSERT_TRUE(bench.directory.Open(creation->actor->id, kTheirs, 1).has_value());
  Lose(bench, "nothing was heard of it", {});
  bench.directory.Placed(creation->actor->id, Place::Here(kWorker));
  bench.directory.Constructed(creation->actor->id, 77);
  for (auto& decision : bench.directory.TakeDecisions()) {
    EXPECT_EQ(std::get_if<GrantChannel>(&decision), nullptr);
    if (auto* const tell = std::get_if<TellActorChanged>(&decision)) {
      EXPECT_EQ(tell->process, kOwner);
    }
  }
}

TEST(ActorDirectory, AMachinesDeathEndsWhatProcessesOfItsJobsHaveCreated) {
  Bench bench;
  const ActorId theirs = bench.Living(Creation());
  const ActorId detached = bench.Living(Creation("", 0, /*detached=*/true));
  EXPECT_EQ(Lose(bench, "nothing was heard of it", {}, {{2, {}}}), 0u);
  EXPECT_EQ(Lose(bench, "nothing was heard of it", {}, {{1, {}}}), 1u);
  EXPECT_EQ(bench.directory.Get(theirs), nullptr);
  EXPECT_NE(bench.directory.Get(detached), nullptr);
  EXPECT_TRUE(bench.directory.HasDetached(1));
  bench.directory.Kill(detached, /*no_restart=*/true);
  EXPECT_FALSE(bench.directory.HasDetached(1));
}

TEST(ActorDirectory, AMachinesDeathIsToldOfSomeActorsAtATime) {
  Bench bench;
  for (int i = 0; i < 640; ++i) LivingThere(bench, Creation());
  size_t lost = 0, most = 0;
  for (size_t part = 0; part < ActorDirectory::kParts; ++part) {
    const size_t ended =
        bench.directory.MachineLost({kThere, kTheirMachine, "10.0.0.7:7000", "it is silent", {}, {}, {}}, part);
    EXPECT_EQ(bench.Take<TellActorChanged>().size(), ended);
    lost += ended;
    most = std::max(most, ended);
  }
  EXPECT_EQ(lost, 640u);
  EXPECT_LT(most, 40u);
}

TEST(ActorDirectory, KillsARemoteActorAndRestartsItWhenItsWorkerHasGone) {
  Bench bench;
  const ActorId id = LivingThere(bench, Creation());
  bench.directory.Kill(id, false);
  const auto ended = bench.Take<EndActorWorker>();
  ASSERT_EQ(ended.size(), 1u);
  EXPECT_EQ(ended[0].place, Place::There(kThere));
  bench.directory.WorkerGone(id, Place::There(NodeId::FromRandom()), Crash());
  EXPECT_TRUE(bench.Take<CreateActorNow>().empty()) << "it does not live on that machine";
  bench.directory.WorkerGone(id, Place::There(kThere), Crash());
  EXPECT_EQ(bench.Take<CreateActorNow>().size(), 1u);
}

TEST(ActorDirectory, ACreationThatComesBackIsQueuedHereAgain) {
  Bench bench;
  const auto creation = Creation();
  const ActorId id = creation->actor->id;
  ASSERT_TRUE(bench.directory.Create(creation).has_value());
  bench.directory.Placed(id, Place::There(kThere));
  bench.directory.Returned(id, kThere);
  EXPECT_TRUE(bench.directory.Get(id)->place.IsNowhere());
  bench.directory.Placed(id, Place::There(kThere));
  bench.directory.Release(id, kOwner);  // asks the machine to end it, which sends it back meanwhile
  bench.Forget();
  bench.directory.Returned(id, kThere);
  EXPECT_EQ(bench.Take<CancelCreation>().size(), 1u);
  EXPECT_EQ(bench.directory.Get(id), nullptr);
}

TEST(ActorDirectory, EachIncarnationHasItsNumberInGrantsAndInTheNewsOfItsEnd) {
  Bench bench;
  const auto creation = Creation("", -1);
  const ActorId id = bench.Living(creation);
  for (uint32_t incarnation = 1; incarnation <= 3; ++incarnation) {
    ASSERT_TRUE(bench.directory.Open(id, kCaller, incarnation).has_value());
    EXPECT_EQ(bench.Take<GrantChannel>().at(0).incarnation, incarnation);
    bench.directory.WorkerGone(id, Place::Here(kWorker), Crash());
    bool told = false;
    for (auto& decision : bench.directory.TakeDecisions()) {
      if (auto* const tell = std::get_if<TellActorChanged>(&decision)) {
        told = true;
        EXPECT_EQ(tell->ended, incarnation);
        EXPECT_FALSE(tell->host_lost) << "its host said so, and its last replies count";
      }
      if (auto* const create = std::get_if<CreateActorNow>(&decision)) {
        EXPECT_EQ(create->incarnation, incarnation + 1);
        EXPECT_EQ(create->not_before, TimePoint());
      }
    }
    EXPECT_TRUE(told);
    bench.directory.Placed(id, Place::Here(kWorker));
    bench.directory.Constructed(id, 77 + incarnation);
    for (const TellActorChanged& tell : bench.Take<TellActorChanged>()) EXPECT_EQ(tell.ended, 0u);
  }
}

TEST(ActorDirectory, ARestartWaitsUntilALostHostSurelyServesNoMore) {
  Bench bench;
  const auto creation = Creation("", 1);
  const ActorId id = LivingThere(bench, creation);
  const TimePoint until{std::chrono::seconds(50)};
  Lose(bench, "it made no sense", until);
  const auto created = bench.Take<CreateActorNow>();
  ASSERT_EQ(created.size(), 1u);
  EXPECT_EQ(created[0].not_before, until);
  EXPECT_TRUE(bench.directory.MayRestart(id, created[0].incarnation));
  EXPECT_FALSE(bench.directory.MayRestart(id, created[0].incarnation + 1));
  bench.directory.Kill(id, /*no_restart=*/true);
  EXPECT_FALSE(bench.directory.MayRestart(id, created[0].incarnation)) << "it has ended meanwhile";
}

TEST(ActorDirectory, WatchersHearThatALostHostNeverSaidItsActorsEnd) {
  Bench bench;
  const ActorId restarts = LivingThere(bench, Creation("", 1));
  const ActorId mortal = LivingThere(bench, Creation());
  const ActorId killed = LivingThere(bench, Creation());
  bench.directory.Kill(killed, false);
  const auto before = bench.Take<TellActorChanged>();
  ASSERT_EQ(before.size(), 1u);
  EXPECT_FALSE(before[0].host_lost) << "its host is to say so";
  Lose(bench, "nothing was heard of it", {});
  std::set<ActorId> told;
  for (const TellActorChanged& tell : bench.Take<TellActorChanged>()) {
    EXPECT_TRUE(tell.host_lost);
    EXPECT_EQ(tell.ended, 1u);
    EXPECT_EQ(tell.state, tell.actor == mortal ? ActorState::Dead : ActorState::Restarting);
    told.insert(tell.actor);
  }
  EXPECT_EQ(told, (std::set<ActorId>{restarts, mortal, killed}));
}

}  // namespace
}  // namespace raylet
