// Objects that a process has found by their ids: nobody has lent them to it, and it keeps them all the same.
#include <gtest/gtest.h>
#include <signal.h>

#include <atomic>
#include <chrono>
#include <iterator>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "client/plasma/store_client.h"
#include "client/ray/cluster/cluster_parts.h"
#include "tests/client/message_of.h"
#include "tests/client/ray/cluster/cluster_functions.h"
#include "tests/client/ray/cluster/keepers.h"
#include "tests/client/ray/cluster/ownership_fixture.h"
#include "tests/harness/stop_process.h"

namespace cluster_test {
namespace {

using ray_test::MessageOf;
using raylet::test::StopProcess;
using namespace std::chrono_literals;

using ClusterByIdTest = ClusterOwnershipTest;

TEST_F(ClusterByIdTest, AnObjectThatWasFoundByItsIdOutlivesTheOwnersReferenceAndTheOwner) {
  Start("2");
  {
    auto owner = ray::Actor(Keeper::Create).Remote();
    auto keeper = ray::Actor(Keeper::Create).Remote();
    for (const int number : {1, 3}) {
      owner.Task(&Keeper::Put).Remote(number).Get();
      keeper.Task(&Keeper::KeepById).Remote(number, *owner.Task(&Keeper::IdOf).Remote(number).Get()).Get();
      owner.Task(&Keeper::Drop).Remote(number).Get();
    }
    EXPECT_EQ(*keeper.Task(&Keeper::Check).Remote().Get(), "");
    Kill(owner);
    EXPECT_EQ(*keeper.Task(&Keeper::Check).Remote().Get(), "");
  }
  NothingIsLeft();
}

TEST_F(ClusterByIdTest, AnArrayOfAnObjectThatWasFoundByItsIdCanBePassedOnLater) {
  Start("2");
  for (const bool killed : {false, true}) {
    auto owner = ray::Actor(Keeper::Create).Remote();
    ray::ObjectRef<ray::Array<int>> ref(*owner.Task(&Keeper::PutArrayObject).Remote(3).Get());
    const ray::Array<int> array = *ref.Get(20'000);
    if (killed)
      Kill(owner);
    else
      owner.Task(&Keeper::Drop).Remote(3).Get();
    EXPECT_EQ(*ray::Task(LastOf).Remote(array).Get(20'000), 3);
    EXPECT_EQ((*ref.Get(20'000))[63], 3);
    ref = {};
    auto keeper = ray::Actor(Keeper::Create).Remote();
    keeper.Task(&Keeper::KeepArray).Remote(3, array).Get(20'000);
    EXPECT_EQ(*keeper.Task(&Keeper::Check).Remote().Get(20'000), "");
  }
  NothingIsLeft();
}

TEST_F(ClusterByIdTest, AFreedObjectThatIsLookedForByItsIdIsLost) {
  Start("2");
  {
    auto owner = ray::Actor(Keeper::Create).Remote();
    owner.Task(&Keeper::Put).Remote(3).Get();
    const std::string id = *owner.Task(&Keeper::IdOf).Remote(3).Get();
    owner.Task(&Keeper::Drop).Remote(3).Get();
    const auto expect_lost = [&](const std::string& why, const std::string& why_of_task) {
      const TextRef found(id);
      const auto task = ray::Task(LengthOf).Remote(found);
      const std::string said = MessageOf([&] { found.Get(20'000); });
      EXPECT_NE(said.find(why), std::string::npos) << said;
      const std::string task_said = MessageOf([&] { task.Get(20'000); });
      EXPECT_NE(task_said.find(why_of_task), std::string::npos) << task_said;
    };
    expect_lost("its owner had freed it", "its owner had freed it");
    Kill(owner);
    // Others may still claim what the owner had. So the task may find the object lost, or that its owner has ended.
    expect_lost("is lost: the process that owned it has", "own");
  }
  NothingIsLeft();
}

// The first thread waits for the owner. The second one finds the same object meanwhile.
TEST_F(ClusterByIdTest, EachThreadThatFindsAnObjectWaitsUntilItsOwnerHoldsIt) {
  Start("2");
  {
    auto owner = ray::Actor(Keeper::Create).Remote();
    const int pid = *owner.Task(&Keeper::Pid).Remote().Get();
    owner.Task(&Keeper::Put).Remote(3).Get();
    const std::string id = *owner.Task(&Keeper::IdOf).Remote(3).Get();
    ASSERT_TRUE(StopProcess(pid));
    std::atomic<int> found{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < 2; ++i)
      threads.emplace_back([&] {
        const TextRef ref(id);
        ++found;
        EXPECT_EQ(*ref.Get(20'000), TextOf(3));
      });
    EXPECT_TRUE(raylet::test::Eventually(20s, [&] { return Status()["objects_claimed"] == 1; })) << Status();
    EXPECT_EQ(found, 0);
    ASSERT_EQ(::kill(pid, SIGCONT), 0);
    for (std::thread& thread : threads) thread.join();
  }
  NothingIsLeft();
}

// Another process lends the object to this one, which has found it by its id. The claim has not arrived.
TEST_F(ClusterByIdTest, ALendIsTakenWhileTheClaimIsUnderWay) {
  Start("2");
  {
    auto owner = ray::Actor(Keeper::Create).Remote();
    auto middle = ray::Actor(Keeper::Create).Remote();
    const int pid = *owner.Task(&Keeper::Pid).Remote().Get();
    owner.Task(&Keeper::Put).Remote(3).Get();
    owner.Task(&Keeper::PassOn).Remote(middle, std::vector{3}).Get();
    const std::string id = *owner.Task(&Keeper::IdOf).Remote(3).Get();
    ASSERT_TRUE(StopProcess(pid));
    std::thread finds([&] { EXPECT_EQ(*TextRef(id).Get(20'000), TextOf(3)); });
    EXPECT_TRUE(raylet::test::Eventually(20s, [&] { return Status()["objects_claimed"] == 1; })) << Status();
    const TextRef lent = middle.Task(&Keeper::Give).Remote(std::vector{3}).Get()->at(3);
    middle.Task(&Keeper::Drop).Remote(3).Get();
    EXPECT_NE(*middle.Task(&Keeper::Shared).Remote().Get(), "") << "it keeps what it lent";
    ASSERT_EQ(::kill(pid, SIGCONT), 0);
    finds.join();
    owner.Task(&Keeper::Drop).Remote(3).Get();
    EXPECT_EQ(*lent.Get(20'000), TextOf(3));
    EXPECT_EQ(*ray::Task(LengthOf).Remote(lent).Get(20'000), static_cast<int>(TextOf(3).size()));
  }
  NothingIsLeft();
}

TEST_F(ClusterByIdTest, AStoppedOwnerOfAFoundObjectHoldsUpNoEndOfAnotherProcess) {
  Start("3");
  {
    auto owner = ray::Actor(Keeper::Create).Remote();
    auto ends = ray::Actor(Keeper::Create).Remote();
    const int pid = *owner.Task(&Keeper::Pid).Remote().Get();
    const TextRef unmade = *owner.Task(&Keeper::StartSlowly).Remote().Get();
    ends.Task(&Keeper::Keep).Remote(std::map<int, TextRef>{{3, ray::Put(TextOf(3))}}).Get();
    ASSERT_TRUE(StopProcess(pid));
    // It claims the object once it has waited a second.
    std::thread waits([&] { EXPECT_THROW(unmade.Get(20'000), ray::internal::RayException); });
    EXPECT_TRUE(raylet::test::Eventually(20s, [&] { return Status()["objects_claimed"] == 1; })) << Status();
    const auto lends = [] { return raylet::client::ClusterParts::SharedHere().owned.lends; };
    EXPECT_GT(lends(), 0u);
    const auto begin = std::chrono::steady_clock::now();
    Kill(ends);
    EXPECT_TRUE(raylet::test::Eventually(20s, [&] { return lends() == 0; })) << Status();
    EXPECT_LT(std::chrono::steady_clock::now() - begin, 10s);
    ASSERT_EQ(::kill(pid, SIGCONT), 0);
    Kill(owner);
    waits.join();
  }
  NothingIsLeft();
}

// Its owner finds the object by its id, too, after it has dropped it.
TEST_F(ClusterByIdTest, AFreedObjectThatItsOwnerLooksForIsLostForOthers) {
  Start("2");
  {
    auto owner = ray::Actor(Keeper::Create).Remote();
    owner.Task(&Keeper::Put).Remote(3).Get();
    const std::string id = *owner.Task(&Keeper::IdOf).Remote(3).Get();
    owner.Task(&Keeper::Drop).Remote(3).Get();
    owner.Task(&Keeper::KeepById).Remote(3, id).Get();
    const std::string said = MessageOf([&] { TextRef(id).Get(20'000); });
    EXPECT_NE(said.find("its owner had freed it"), std::string::npos) << said;
  }
  NothingIsLeft();
}

TEST_F(ClusterByIdTest, AnIdOfNoProcessAndAnObjectOfNoTaskAreNamed) {
  Start("2");
  const auto made = raylet::ObjectId::FromRandom();
  auto client = raylet::client::StoreClient::Connect(store_socket_, "test", raylet::Deadline::After(30s), false);
  ASSERT_TRUE(client) << client.error().message;
  ASSERT_TRUE((*client)->CreateAndSeal(made, {}, {}, {}));
  const auto said = [](const raylet::ObjectId& id) { return MessageOf([&] { TextRef(id.binary()).Get(20'000); }); };
  EXPECT_NE(said(made).find("was not made by ray::Put or a task"), std::string::npos) << said(made);
  const std::string nobodys = said(raylet::ObjectId::FromRandom());
  EXPECT_NE(nobodys.find("is lost: "), std::string::npos) << nobodys;
}

TEST_F(ClusterByIdTest, AGetOfAnObjectThatItsOwnerHasFreedEnds) {
  Start("2");
  {
    auto owner = ray::Actor(Keeper::Create).Remote();
    owner.Task(&Keeper::Put).Remote(3).Get();
    const TextRef unkept = UnkeptRef(*owner.Task(&Keeper::IdOf).Remote(3).Get());
    owner.Task(&Keeper::Drop).Remote(3).Get();
    ASSERT_TRUE(raylet::test::Eventually(std::chrono::seconds(20), [&] { return StoredObjects() == 0; }));
    const std::string said = MessageOf([&] { unkept.Get(20'000); });
    EXPECT_NE(said.find("its owner had freed it"), std::string::npos) << said;
  }
  NothingIsLeft();
}

TEST_F(ClusterByIdTest, AnObjectThatWasFoundByItsIdIsKeptOnceItIsLent) {
  Start("2");
  {
    auto owner = ray::Actor(Keeper::Create).Remote();
    auto keeper = ray::Actor(Keeper::Create).Remote();
    owner.Task(&Keeper::Put).Remote(3).Get();
    keeper.Task(&Keeper::KeepById).Remote(3, *owner.Task(&Keeper::IdOf).Remote(3).Get()).Get();
    owner.Task(&Keeper::PassOn).Remote(keeper, std::vector{3}).Get();
    owner.Task(&Keeper::Drop).Remote(3).Get();
    EXPECT_EQ(*keeper.Task(&Keeper::Check).Remote().Get(), "");
  }
  NothingIsLeft();
}

TEST_F(ClusterByIdTest, AnOwnersLendKeepsAnObjectThatAnotherProcessLentWhichHadFoundItByItsId) {
  Start("2");
  {
    auto owner = ray::Actor(Keeper::Create).Remote();
    auto middle = ray::Actor(Keeper::Create).Remote();
    auto keeper = ray::Actor(Keeper::Create).Remote();
    owner.Task(&Keeper::Put).Remote(3).Get();
    middle.Task(&Keeper::KeepById).Remote(3, *owner.Task(&Keeper::IdOf).Remote(3).Get()).Get();
    middle.Task(&Keeper::PassOn).Remote(keeper, std::vector{3}).Get();
    owner.Task(&Keeper::PassOn).Remote(keeper, std::vector{3}).Get();
    owner.Task(&Keeper::Drop).Remote(3).Get();
    EXPECT_EQ(*keeper.Task(&Keeper::Check).Remote().Get(), "");
  }
  NothingIsLeft();
}

}  // namespace
}  // namespace cluster_test
