// Objects and actors that a process has found by their ids: nobody has lent them to it, and it keeps them all the same.
#include <gtest/gtest.h>

#include <string>

#include "tests/client/message_of.h"
#include "tests/client/ray/cluster/cluster_functions.h"
#include "tests/client/ray/cluster/keepers.h"
#include "tests/client/ray/cluster/ownership_fixture.h"

namespace cluster_test {
namespace {

using ray_test::MessageOf;

class ClusterByIdTest : public ClusterOwnershipTest {};

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
    const auto expect_lost = [&](const std::string& why) {
      const TextRef found(id);
      const auto task = ray::Task(LengthOf).Remote(found);
      for (const std::string& said : {MessageOf([&] { found.Get(20'000); }), MessageOf([&] { task.Get(20'000); })})
        EXPECT_NE(said.find(why), std::string::npos) << said;
    };
    expect_lost("its owner had freed it");
    Kill(owner);
    expect_lost("is lost: the process that owned it has");
  }
  NothingIsLeft();
}

TEST_F(ClusterByIdTest, AnActorThatWasFoundByItsIdLivesAsLongAsItsHandles) {
  Start("2");
  {
    auto owner = ray::Actor(Keeper::Create).Remote();
    auto actor = *owner.Task(&Keeper::CreateAnother).Remote().Get();
    ray::ActorHandle<Keeper> found(actor.ID());
    EXPECT_GT(*found.Task(&Keeper::Pid).Remote().Get(20'000), 0);
    actor = {};
    Kill(owner);
    EXPECT_GT(*found.Task(&Keeper::Pid).Remote().Get(20'000), 0);
  }
  NothingIsLeft();
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
