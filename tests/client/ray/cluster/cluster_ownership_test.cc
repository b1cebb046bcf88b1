// Ownership on one machine. The death of a process loses no object that a living one refers to, and nothing is left at
// the end.
#include <gtest/gtest.h>
#include <signal.h>

#include <memory>
#include <thread>

#include "client/plasma/store_client.h"
#include "tests/client/ray/cluster/cluster_functions.h"
#include "tests/client/ray/cluster/keepers.h"
#include "tests/client/ray/cluster/status_of.h"
#include "tests/harness/daemon_process.h"
#include "tests/harness/run_folder.h"

namespace cluster_test {
namespace {

using raylet::test::DaemonProcess;
using raylet::test::Eventually;
using raylet::test::RunFolder;
using namespace std::chrono_literals;

class ClusterOwnershipTest : public ::testing::Test {
 protected:
  void Start(const std::string& cpus) {
    store_ = Daemon("plasma_store", {"-m", "64M", "-s", store_socket_});
    raylet_ = Daemon("raylet", {"--socket", raylet_socket_, "--store-socket", store_socket_, "--num-cpus", cpus,
                                "--logs-folder", folder_.path()});
    ray::RayConfig config;
    config.address = raylet_socket_;
    ray::Init(config);
  }
  void TearDown() override { ray::Shutdown(); }

  size_t StoredObjects() const {
    auto client = raylet::client::StoreClient::Connect(store_socket_, "test", raylet::Deadline::After(5s), false);
    if (!client) return ~size_t{0};
    const auto list = (*client)->List();
    return list ? list->size() : ~size_t{0};
  }
  nlohmann::json Status() const { return StatusOf(raylet_socket_); }
  void NothingIsLeft() {
    EXPECT_TRUE(Eventually(20s, [&] { return StoredObjects() == 0; })) << StoredObjects();
    ExpectNothingIsKept(raylet_socket_);
  }

  RunFolder folder_;
  const std::string store_socket_ = folder_.File("store");
  const std::string raylet_socket_ = folder_.File("raylet");
  std::unique_ptr<DaemonProcess> store_, raylet_;

 private:
  static std::unique_ptr<DaemonProcess> Daemon(const std::string& program, std::vector<std::string> arguments) {
    auto started = DaemonProcess::Start(program, std::move(arguments));
    if (!started) throw std::runtime_error(started.error().message);
    return std::make_unique<DaemonProcess>(*std::move(started));
  }
};

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
  NothingIsLeft();
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
  NothingIsLeft();
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
  NothingIsLeft();
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
  NothingIsLeft();
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

TEST_F(ClusterOwnershipTest, KeepsEveryHeldObjectWhereverProcessesAreKilled) {
  Start("4");
  for (uint32_t seed = 1; seed <= Seeds(6); ++seed) {
    SCOPED_TRACE(seed);
    Keepers keepers(seed, {""});
    for (int step = 0; step < 60 && !HasFailure(); ++step) keepers.Step();
    keepers.CheckAll();
  }
  NothingIsLeft();
}

}  // namespace
}  // namespace cluster_test
