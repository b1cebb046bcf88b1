// Ownership on one machine. The death of a process loses no object that a living one refers to, and nothing is left at
// the end.
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <thread>

#include <fstream>
#include "tests/client/ray/cluster/cluster_functions.h"
#include "tests/client/ray/cluster/keepers.h"
#include "tests/client/ray/cluster/ownership_fixture.h"
#include "tests/harness/stop_process.h"

namespace cluster_test {
namespace {

using raylet::test::Eventually;
using namespace std::chrono_literals;

TEST_F(ClusterOwnershipTest, AnObjectOfATasksWorkerOutlivesThatIdleWorker) {
  Start("1");
  const auto ref = *ray::Task(GiveThrough).Remote(3).Get();
  // The pool trims idle workers.
  EXPECT_TRUE(Eventually(20s, [&] { return Status()["workers"].size() <= 1; })) << Status()["workers"];
  EXPECT_EQ(*ref.Get(20'000), TextOf(3));
}

TEST_F(ClusterOwnershipTest, AnObjectOutlivesTheActorThatMadeIt) {
  Start("2");
  {
    auto maker = ray::Actor(Keeper::Create).Remote();
    for (const int number : {1, 3}) maker.Task(&Keeper::Put).Remote(number).Get();
    const auto refs = *maker.Task(&Keeper::Give).Remote(std::vector{1, 3}).Get();
    Kill(maker);
    for (const int number : {1, 3}) EXPECT_EQ(*refs.at(number).Get(20'000), TextOf(number));
  }
  NothingIsLeft();
}

TEST_F(ClusterOwnershipTest, AnObjectOutlivesTheProcessThatPassedItOn) {
  Start("2");
  {
    auto owner = ray::Actor(Keeper::Create).Remote();
    auto middle = ray::Actor(Keeper::Create).Remote();
    auto last = ray::Actor(Keeper::Create).Remote();
    owner.Task(&Keeper::Put).Remote(3).Get();
    owner.Task(&Keeper::PassOn).Remote(middle, std::vector{3}).Get();
    middle.Task(&Keeper::PassOn).Remote(last, std::vector{3}).Get();
    owner.Task(&Keeper::Drop).Remote(3).Get();
    Kill(middle);
    EXPECT_EQ(*last.Task(&Keeper::Check).Remote().Get(), "");
    Kill(owner);
    EXPECT_EQ(*last.Task(&Keeper::Check).Remote().Get(), "");
  }
  NothingIsLeft();
}

// The reply lies in the dead actor's ring, and no thread has taken it.
TEST_F(ClusterOwnershipTest, AReplyThatNobodyHasTakenKeepsWhatItNames) {
  Start("2");
  int came = 0;
  for (int moment = 0; moment < 12 || (came == 0 && moment < 200); ++moment) {
    auto maker = ray::Actor(Keeper::Create).Remote();
    maker.Task(&Keeper::Put).Remote(3).Get();
    const int pid = *maker.Task(&Keeper::Pid).Remote().Get();
    const auto untaken = maker.Task(&Keeper::Give).Remote(std::vector{3});
    std::this_thread::sleep_for(moment * 2ms);  // any moment will do: the call may be under way, or answered
    ASSERT_EQ(::kill(pid, SIGKILL), 0);
    std::map<int, TextRef> refs;
    try {
      refs = *untaken.Get(20'000);
    } catch (const ray::internal::RayActorException&) {
      continue;
    }
    ++came;
    EXPECT_EQ(*refs.at(3).Get(20'000), TextOf(3)) << "at moment " << moment;
  }
  EXPECT_GT(came, 0);
}

// What kept the object until the middle one's end was settled goes another way to the owner than the raylet's claim.
TEST_F(ClusterOwnershipTest, AnOwnerThatIsStoppedHoldsWhatIsClaimedBeforeItLetsGo) {
  Start("2");
  {
    auto owner = ray::Actor(Keeper::Create).Remote();
    auto middle = ray::Actor(Keeper::Create).Remote();
    const int owner_pid = *owner.Task(&Keeper::Pid).Remote().Get();
    owner.Task(&Keeper::Put).Remote(3).Get();
    ray::ObjectRef<std::map<int, TextRef>> box;
    {
      const auto refs = *owner.Task(&Keeper::Give).Remote(std::vector{3}).Get();
      middle.Task(&Keeper::Keep).Remote(refs).Get();
    }
    owner.Task(&Keeper::Drop).Remote(3).Get();
    middle.Task(&Keeper::PutBox).Remote(1, std::vector{3}).Get();
    box = *middle.Task(&Keeper::GiveBox).Remote(1).Get();
    ASSERT_TRUE(raylet::test::StopProcess(owner_pid));
    Kill(middle);
    EXPECT_TRUE(Eventually(20s, [&] { return Status()["objects_claimed"] >= 2; })) << Status();
    ASSERT_EQ(::kill(owner_pid, SIGCONT), 0);
    EXPECT_EQ(*box.Get(20'000)->at(3).Get(20'000), TextOf(3));
  }
  NothingIsLeft();
}

TEST_F(ClusterOwnershipTest, AResultThatNobodyHasReadOutlivesTheProcessItCameFrom) {
  Start("2");
  {
    auto maker = ray::Actor(Keeper::Create).Remote();
    maker.Task(&Keeper::Put).Remote(3).Get();
    const auto unread = maker.Task(&Keeper::Give).Remote(std::vector{3});
    Kill(maker);
    EXPECT_EQ(*unread.Get(20'000)->at(3).Get(20'000), TextOf(3));
  }
  NothingIsLeft();
}

TEST_F(ClusterOwnershipTest, ObjectsInAnObjectOutliveBothOwners) {
  Start("2");
  {
    auto maker = ray::Actor(Keeper::Create).Remote();
    auto boxer = ray::Actor(Keeper::Create).Remote();
    maker.Task(&Keeper::Put).Remote(3).Get();
    maker.Task(&Keeper::PassOn).Remote(boxer, std::vector{3}).Get();
    boxer.Task(&Keeper::PutBox).Remote(9, std::vector{3}).Get();
    const auto box = *boxer.Task(&Keeper::GiveBox).Remote(9).Get();
    boxer.Task(&Keeper::Drop).Remote(3).Get();
    maker.Task(&Keeper::Drop).Remote(3).Get();
    Kill(boxer);
    Kill(maker);
    EXPECT_EQ(*box.Get(20'000)->at(3).Get(20'000), TextOf(3));
  }
  NothingIsLeft();
}

TEST_F(ClusterOwnershipTest, AnArrayIsPassedOnAfterItsCreatorHasEnded) {
  Start("2");
  {
    auto maker = ray::Actor(Keeper::Create).Remote();
    auto taker = ray::Actor(Keeper::Create).Remote();
    maker.Task(&Keeper::PutArray).Remote(5).Get();
    const auto array = *maker.Task(&Keeper::GiveArray).Remote(5).Get();
    Kill(maker);
    taker.Task(&Keeper::KeepArray).Remote(5, array).Get();
    EXPECT_EQ(*taker.Task(&Keeper::Check).Remote().Get(), "");
    const auto put = ray::Put(std::vector{array});
    EXPECT_EQ((*put.Get(20'000))[0][0], 5);
  }
  NothingIsLeft();
}

TEST_F(ClusterOwnershipTest, AnActorOutlivesItsCreatorWhileSomebodyHoldsAHandle) {
  Start("2");
  int pid = 0;
  {
    auto maker = ray::Actor(Keeper::Create).Remote();
    auto taker = ray::Actor(Keeper::Create).Remote();
    auto child = *maker.Task(&Keeper::CreateAnother).Remote().Get();
    taker.Task(&Keeper::KeepActor).Remote(child).Get();
    pid = *child.Task(&Keeper::Pid).Remote().Get();
    child.Task(&Keeper::Put).Remote(3).Get();
    Kill(maker);
    EXPECT_EQ(*child.Task(&Keeper::Check).Remote().Get(), "");
    child = ray::ActorHandle<Keeper>();
    EXPECT_EQ(*taker.Task(&Keeper::PidOfKept).Remote().Get(), pid) << "the taker holds a handle as well";
    EXPECT_EQ(Status()["actors_living"], 2);
  }
  EXPECT_TRUE(Eventually(20s, [&] { return Status()["actors_living"] == 0; })) << Status()["actors"];
  NothingIsLeft();
}

TEST_F(ClusterOwnershipTest, AnActorThatATaskMadeOutlivesTheIdleWorkerOfThatTask) {
  Start("1");
  auto child = *ray::Task(CreateKeeper).Remote().Get();
  const int pid = *child.Task(&Keeper::Pid).Remote().Get();
  EXPECT_TRUE(Eventually(20s, [&] { return Status()["workers"].size() <= 2; })) << Status()["workers"];
  EXPECT_EQ(*child.Task(&Keeper::Pid).Remote().Get(), pid);
}

// The task's worker becomes idle first, and another one soon after it. Only one idle worker is kept.
TEST_F(ClusterOwnershipTest, AnUnmadeResultOutlivesTheUseOfItsOwnersWorker) {
  Start("1");
  auto slow = ray::Actor(Keeper::Create).Remote();
  auto signal = ray::Actor(Keeper::Create).Remote();
  const std::string go = folder_.File("go");
  const auto waits = ray::Task(GetOnceThereIs).Remote(signal, go);
  EXPECT_TRUE(Eventually(20s, [&] {
    const auto workers = Status()["workers"];
    return std::any_of(workers.begin(), workers.end(), [](const auto& worker) { return worker["blocked"] == true; });
  })) << Status()["workers"];
  const auto unmade = *ray::Task(CallFor).Remote(slow, 2'000).Get();
  std::ofstream(go).put('x');
  waits.Get();
  EXPECT_EQ(*unmade.Get(20'000), 2'000);
  // Nothing keeps that worker any more.
  EXPECT_TRUE(Eventually(20s, [&] { return Status()["workers"].size() == 3; })) << Status()["workers"];
}

TEST_F(ClusterOwnershipTest, AnUnmadeResultOutlivesTheLastHandleOfTheActorThatOwnsIt) {
  Start("2");
  {
    const auto unmade = *ray::Actor(Keeper::Create).Remote().Task(&Keeper::StartFor).Remote(1'500).Get();
    EXPECT_EQ(*unmade.Get(20'000), 1'500);
  }
  NothingIsLeft();
}

// The task waits for the CPU that its owner, the actor, holds.
TEST_F(ClusterOwnershipTest, AnUnmadeResultThatNeedsWhatItsOwnersActorHadIsMadeOnceTheActorHasEnded) {
  Start("1");
  {
    auto actor = std::make_optional(ray::Actor(Keeper::Create).SetResource("CPU", 1).Remote());
    const auto unmade = *actor->Task(&Keeper::StartFor).Remote(100).Get();
    actor.reset();
    EXPECT_EQ(*unmade.Get(20'000), 100);
  }
  NothingIsLeft();
}

// It lingers as long as somebody wants the result, and no longer.
class LingeringActorTest : public ClusterOwnershipTest {
 protected:
  void Begin() {
    Start("2");
    actor_ = ray::Actor(Keeper::Create).Remote();
    pid_ = *actor_->Task(&Keeper::Pid).Remote().Get();
    unmade_ = *actor_->Task(&Keeper::StartFor).Remote(3'600'000).Get();
  }
  void ExpectLingersUntilNobodyWantsTheResult() {
    EXPECT_TRUE(Eventually(20s, [&] {
      const auto workers = Status()["workers"];
      return std::any_of(workers.begin(), workers.end(),
                         [&](const auto& worker) { return worker["pid"] == pid_ && worker["state"] == "stopping"; });
    })) << Status()["workers"];
    unmade_.reset();
    EXPECT_TRUE(Eventually(20s, [&] { return ::kill(pid_, 0) != 0; })) << Status()["workers"];
    actor_.reset();
    NothingIsLeft();
  }
  std::optional<ray::ActorHandle<Keeper>> actor_;
  std::optional<ray::ObjectRef<int>> unmade_;
  int pid_ = 0;
};

TEST_F(LingeringActorTest, EndsWithItsLastHandleWhenNobodyWantsItsResultThatIsNeverMade) {
  Begin();
  actor_.reset();
  ExpectLingersUntilNobodyWantsTheResult();
}

// The driver keeps a handle, so it releases the result through its channel.
TEST_F(LingeringActorTest, EndsItselfWhenNobodyWantsItsResultThatIsNeverMade) {
  Begin();
  const auto exit = actor_->Task(&Keeper::Exit).Remote();
  ExpectLingersUntilNobodyWantsTheResult();
  EXPECT_THROW(exit.Get(20'000), ray::internal::RayActorException);
}

class StalledOwnershipTest : public ClusterOwnershipTest {};

// The end of the process in the middle runs out after 30 s. The raylet sleeps through that time, while the claims lie
// in its sockets.
TEST_F(StalledOwnershipTest, ARayletThatStoodStillTakesTheClaimsThatCameMeanwhile) {
  Start("4");
  {
    auto owner = ray::Actor(Keeper::Create).Remote();
    auto middle = ray::Actor(Keeper::Create).Remote();
    std::vector<ray::ActorHandle<Keeper>> holders;
    std::vector<int> pids;
    for (const int number : {1, 2, 3, 4}) {
      holders.push_back(ray::Actor(Keeper::Create).Remote());
      pids.push_back(*holders.back().Task(&Keeper::Pid).Remote().Get());
      owner.Task(&Keeper::Put).Remote(number).Get();
      owner.Task(&Keeper::PassOn).Remote(middle, std::vector{number}).Get();
      middle.Task(&Keeper::PassOn).Remote(holders.back(), std::vector{number}).Get();
      owner.Task(&Keeper::Drop).Remote(number).Get();
    }
    for (const int pid : pids) ASSERT_TRUE(raylet::test::StopProcess(pid));
    Kill(middle);
    EXPECT_TRUE(Eventually(20s, [&] { return Status()["ends_unsettled"] == 1; }));
    raylet_->Signal(SIGSTOP);
    for (const int pid : pids) ::kill(pid, SIGCONT);
    std::this_thread::sleep_for(32s);
    raylet_->Signal(SIGCONT);
    for (auto& holder : holders) EXPECT_EQ(*holder.Task(&Keeper::Check).Remote().Get(20'000), "");
  }
  NothingIsLeft();
}

TEST_F(ClusterOwnershipTest, AnUnmadeObjectIsLostWithItsOwner) {
  Start("4");
  auto owner = ray::Actor(Keeper::Create).Remote();
  const auto ref = *owner.Task(&Keeper::StartSlowly).Remote().Get();
  Kill(owner);
  EXPECT_THROW(ref.Get(20'000), ray::internal::UnreconstructableException);
}

TEST_F(ClusterOwnershipTest, AWaitForAnotherProcesssObjectIsWokenWhenTheObjectIsMade) {
  Start("2");
  auto signal = ray::Actor(Counter::Create).Remote(0);
  auto maker = ray::Actor(Counter::Create).Remote(0);
  const auto made = maker.Task(&Counter::Sleep).Remote(300);
  const auto waits = ray::Task(WaitThrough).Remote(std::vector{made}, signal, 20'000);
  EXPECT_EQ(*waits.Get(20'000), 1);
}

TEST_F(ClusterOwnershipTest, AWaitEndsWithTheOwnerOfTheObject) {
  Start("4");
  auto owner = ray::Actor(Keeper::Create).Remote();
  const auto ref = *owner.Task(&Keeper::StartSlowly).Remote().Get();
  std::thread killer([&] { Kill(owner); });
  EXPECT_EQ(ray::Wait(std::vector{ref}, 1, 20'000).ready.size(), 1u) << "a lost object is ready: Get throws";
  killer.join();
}

TEST_F(ClusterOwnershipTest, AProcessThatCameLaterHearsThatTheOwnerOfAnUnmadeObjectHasEnded) {
  Start("4");
  auto owner = ray::Actor(Keeper::Create).Remote();
  const auto ref = *owner.Task(&Keeper::StartSlowly).Remote().Get();
  Kill(owner);
  auto late = ray::Actor(Keeper::Create).Remote();
  late.Task(&Keeper::Keep).Remote(std::map<int, TextRef>{{1, ref}}).Get();
  const std::string wrong = *late.Task(&Keeper::Check).Remote().Get(60'000);
  EXPECT_NE(wrong.find("is lost: the process that owned it has died"), std::string::npos) << wrong;
}

TEST_F(ClusterOwnershipTest, ALossThatNobodyWaitedForIsKnownToLaterCalls) {
  Start("4");
  {
    auto owner = ray::Actor(Keeper::Create).Remote();
    ExpectIsLost(LostUnheard(owner, ray::Actor(Keeper::Create).Remote(), raylet_socket_));
  }
  NothingIsLeft();
}

// Two borrowers that lend an object to each other do not hold each other for ever.
TEST_F(ClusterOwnershipTest, AnObjectThatBorrowersLendToEachOtherGoesWithTheLastReference) {
  Start("2");
  {
    auto owner = ray::Actor(Keeper::Create).Remote();
    auto first = ray::Actor(Keeper::Create).Remote();
    auto second = ray::Actor(Keeper::Create).Remote();
    owner.Task(&Keeper::Put).Remote(3).Get();
    owner.Task(&Keeper::PassOn).Remote(first, std::vector{3}).Get();
    for (int i = 0; i < 2; ++i) {
      first.Task(&Keeper::PassOn).Remote(second, std::vector{3}).Get();
      second.Task(&Keeper::PassOn).Remote(first, std::vector{3}).Get();
    }
    owner.Task(&Keeper::PassOn).Remote(second, std::vector{3}).Get();
    owner.Task(&Keeper::Drop).Remote(3).Get();
    first.Task(&Keeper::Drop).Remote(3).Get();
    EXPECT_EQ(*second.Task(&Keeper::Check).Remote().Get(), "");
    second.Task(&Keeper::Drop).Remote(3).Get();
    EXPECT_TRUE(Eventually(20s, [&] { return StoredObjects() == 0; })) << StoredObjects();
  }
  NothingIsLeft();
}

TEST_F(ClusterOwnershipTest, AnObjectOfATasksWorkerOutlivesAnActorThatTookTheIdleWorker) {
  Start("1");
  {
    const auto ref = *ray::Task(PutInATask).Remote(3).Get();
    auto actor = ray::Actor(Keeper::Create).Remote();
    actor.Task(&Keeper::Put).Remote(6).Get();
    EXPECT_EQ(*ref.Get(20'000), TextOf(3));
    Kill(actor);
    EXPECT_EQ(*ref.Get(20'000), TextOf(3));
  }
  NothingIsLeft();
}

TEST_F(ClusterOwnershipTest, AnActorThatKeepsOneOfTwoReferencesLetsGoOfTheOther) {
  Start("2");
  auto keeper = ray::Actor(Keeper::Create).Remote();
  {
    const std::map<int, TextRef> refs{{3, ray::Put(TextOf(3))}, {6, ray::Put(TextOf(6))}};
    keeper.Task(&Keeper::KeepOne).Remote(3, refs).Get();
    EXPECT_EQ(StoredObjects(), 2u);
  }
  EXPECT_TRUE(Eventually(20s, [&] { return StoredObjects() == 1; })) << StoredObjects();
  EXPECT_EQ(*keeper.Task(&Keeper::Check).Remote().Get(), "");
  keeper.Task(&Keeper::Drop).Remote(3).Get();
  NothingIsLeft(/*actors=*/1);
}

TEST_F(ClusterOwnershipTest, ATaskThatKeepsOneOfTwoReferencesLetsGoOfTheOther) {
  Start("1");
  {
    const std::map<int, TextRef> refs{{3, ray::Put(TextOf(3))}, {6, ray::Put(TextOf(6))}};
    ray::Task(KeepInThisWorker).Remote(3, refs).Get();
  }
  EXPECT_TRUE(Eventually(20s, [&] { return StoredObjects() == 1; })) << StoredObjects();
  EXPECT_EQ(*ray::Task(ReadFromThisWorker).Remote().Get(), TextOf(3));
}

// The boxes are arguments themselves: one goes with what is in it, and the other stays with what is in it.
TEST_F(ClusterOwnershipTest, AnActorThatKeepsWhatIsInOneArgumentLetsGoOfTheOtherArgument) {
  Start("2");
  auto keeper = ray::Actor(Keeper::Create).Remote();
  {
    const auto box = ray::Put(std::map<int, TextRef>{{3, ray::Put(TextOf(3))}});
    const auto other = ray::Put(std::map<int, TextRef>{{6, ray::Put(TextOf(6))}});
    keeper.Task(&Keeper::KeepOneOfTwoBoxes).Remote(3, box, other).Get();
  }
  EXPECT_TRUE(Eventually(20s, [&] { return StoredObjects() == 1; })) << StoredObjects();
  EXPECT_EQ(*keeper.Task(&Keeper::Check).Remote().Get(), "");
  keeper.Task(&Keeper::Drop).Remote(3).Get();
  NothingIsLeft(/*actors=*/1);
}

// As above, with boxes that others made: the driver has not looked into them.
TEST_F(ClusterOwnershipTest, AnActorThatKeepsWhatIsInABorrowedArgumentLetsGoOfTheOtherArgument) {
  Start("4");
  auto keeper = ray::Actor(Keeper::Create).Remote();
  auto maker = ray::Actor(Keeper::Create).Remote();
  {
    std::vector<ray::ObjectRef<std::map<int, TextRef>>> boxes;
    for (const int number : {3, 6}) {
      maker.Task(&Keeper::Put).Remote(number).Get();
      maker.Task(&Keeper::PutBox).Remote(number + 100, std::vector{number}).Get();
      boxes.push_back(*maker.Task(&Keeper::GiveBox).Remote(number + 100).Get());
      maker.Task(&Keeper::Drop).Remote(number).Get();
      maker.Task(&Keeper::Drop).Remote(number + 100).Get();
    }
    EXPECT_EQ(StoredObjects(), 4u);
    keeper.Task(&Keeper::KeepOneOfTwoBoxes).Remote(3, boxes[0], boxes[1]).Get();
  }
  EXPECT_TRUE(Eventually(20s, [&] { return StoredObjects() == 2; })) << StoredObjects();
  EXPECT_EQ(*keeper.Task(&Keeper::Check).Remote().Get(), "");
  Kill(maker);
  EXPECT_EQ(*keeper.Task(&Keeper::Check).Remote().Get(), "");
  keeper.Task(&Keeper::Drop).Remote(3).Get();
  NothingIsLeft(/*actors=*/1);
}

TEST_F(ClusterOwnershipTest, AnActorThatKeepsOneOfTwoArraysLetsGoOfTheOther) {
  Start("2");
  auto keeper = ray::Actor(Keeper::Create).Remote();
  {
    auto maker = ray::Actor(Keeper::Create).Remote();
    std::map<int, ray::Array<int>> arrays;
    for (const int number : {5, 7}) {
      maker.Task(&Keeper::PutArray).Remote(number).Get();
      arrays.emplace(number, *maker.Task(&Keeper::GiveArray).Remote(number).Get());
      maker.Task(&Keeper::Drop).Remote(number).Get();
    }
    keeper.Task(&Keeper::KeepOneArray).Remote(7, arrays).Get();
    arrays.clear();
    EXPECT_TRUE(Eventually(20s, [&] { return StoredObjects() == 1; })) << StoredObjects();
    EXPECT_EQ(*keeper.Task(&Keeper::Check).Remote().Get(), "");
  }
  EXPECT_EQ(*keeper.Task(&Keeper::Check).Remote().Get(), "");
  keeper.Task(&Keeper::Drop).Remote(7).Get();
  NothingIsLeft(/*actors=*/1);
}

TEST_F(ClusterOwnershipTest, AnActorThatKeepsOneOfTwoHandlesLetsGoOfTheOther) {
  Start("4");
  auto keeper = ray::Actor(Keeper::Create).Remote();
  int pid = 0;
  {
    std::vector<ray::ActorHandle<Keeper>> both = {CreateKeeper(), CreateKeeper()};
    pid = *both[0].Task(&Keeper::Pid).Remote().Get();
    both[1].Task(&Keeper::Pid).Remote().Get();
    keeper.Task(&Keeper::KeepOneActor).Remote(both).Get();
    EXPECT_EQ(Status()["actors_living"], 3);
  }
  EXPECT_TRUE(Eventually(20s, [&] { return Status()["actors_living"] == 2; })) << Status()["actors"];
  EXPECT_EQ(*keeper.Task(&Keeper::PidOfKept).Remote().Get(), pid);
}

TEST_F(ClusterOwnershipTest, AnObjectThatWasReleasedByAnEarlierChannelGoes) {
  Start("4", kNamespace);
  LetGoAndOpenAnotherChannel(ray::Actor(Keeper::Create).SetName("owner", kNamespace).Remote(),
                             ray::Actor(Keeper::Create).Remote(), ray::Task(PassOnThrough), [&] {
                               const auto actors = Status()["actors"];
                               return std::all_of(actors.begin(), actors.end(),
                                                  [](const auto& actor) { return actor["channels"] == 2; });
                             });
  NothingIsLeft();
}

TEST_F(ClusterOwnershipTest, KeepsEveryHeldObjectWhereverProcessesAreKilled) {
  Start("4", kNamespace);
  for (uint32_t seed = 1; seed <= Seeds(6); ++seed) {
    SCOPED_TRACE(seed);
    Keepers keepers(seed, {""}, {raylet_socket_});
    for (int step = 0; step < 60 && !HasFailure(); ++step) keepers.Step();
    keepers.CheckAll();
    keepers.DropAll();
  }
  NothingIsLeft();
  ExpectNobodyIsKept(raylet_socket_);
}

}  // namespace
}  // namespace cluster_test
