// Ownership on two machines. The death of a process loses no object that a living one refers to, wherever the processes
// and the object are. Nothing is left at the end.
#include <gtest/gtest.h>
#include <signal.h>

#include <map>
#include <nlohmann/json.hpp>

#include "tests/client/ray/cluster/keepers.h"
#include "tests/client/ray/cluster/status_of.h"
#include "tests/cluster/machines.h"
#include "tests/harness/redis_server.h"

namespace cluster_test {
namespace {

using raylet::test::Eventually;
using raylet::test::Machine;
using raylet::test::RedisServer;
using raylet::test::RunFolder;
using raylet::test::WriteToken;
using namespace std::chrono_literals;

using nlohmann::json;

const json* FindJob(const json& status, const json& number) {
  for (const json& job : status["jobs"])
    if (job["job"] == number) return &job;
  return nullptr;
}

// Jobs of drivers that have gone, by what each machine (by its address) says. A job that came from another machine is
// looked up there, since a job's work may go from machine to machine.
json JobsOfTheGone(const std::map<std::string, json>& machines) {
  json gone = json::array();
  for (const auto& [address, status] : machines) {
    for (const json& listed : status["jobs"]) {
      const json* job = &listed;
      while (job != nullptr && job->at("from") != "") {
        const auto machine = machines.find(job->at("from").get<std::string>());
        job = machine == machines.end() ? nullptr : FindJob(machine->second, job->at("job_there"));
      }
      if (job == nullptr || job->at("driver_pid") == 0) gone.push_back({{"at", address}, {"job", listed}});
    }
  }
  return gone;
}

class RemoteOwnershipTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ray::RayConfig config;
    config.address = here_.socket();
    config.ray_namespace = kNamespace;
    ray::Init(config);
  }
  void TearDown() override { ray::Shutdown(); }

  static auto KeeperAt(const std::string& resource) {
    return ray::Actor(Keeper::Create).SetResource(resource, 0.01).Remote();
  }
  void NothingIsLeft() {
    for (const Machine* const machine : {&here_, &there_}) {
      SCOPED_TRACE(machine == &here_ ? "here" : "there");
      EXPECT_TRUE(Eventually(20s, [&] { return machine->OwnedObjects() == 0; })) << machine->OwnedObjects();
      ExpectNothingIsKept(machine->socket());
    }
  }

  // No machine lists a job of another driver than this one, whose work may go to and fro.
  void NoOtherJobIsLeft() {
    json gone;
    EXPECT_TRUE(Eventually(20s, [&] {
      std::map<std::string, json> machines;
      for (const Machine* const machine : {&here_, &there_}) {
        const json status = StatusOf(machine->socket());
        machines.emplace(status["address"].get<std::string>(), status);
      }
      gone = JobsOfTheGone(machines);
      return gone.empty();
    })) << gone.dump(1);
  }

  // It has names of actors for both machines.
  static std::string ControlOf(RedisServer& redis) {
    redis.Ask({"SET", "raylet:restored:", "raylet1 restored"});  // nobody had names before
    return "unix://" + redis.socket();
  }

  RunFolder folder_;
  const std::string token_ = WriteToken(folder_);
  RedisServer redis_;
  const std::string control_ = ControlOf(redis_);
  Machine here_{token_, {"--num-cpus", "4", "--resources", R"({"here": 4})", "--control", control_}};
  Machine there_{token_, {"--num-cpus", "4", "--resources", R"({"there": 4})", "--control", control_}};
};

TEST_F(RemoteOwnershipTest, AnObjectOutlivesItsOwnerOnTheOtherMachine) {
  {
    auto maker = KeeperAt("there");
    for (const int number : {1, 3}) maker.Task(&Keeper::Put).Remote(number).Get();
    const auto refs = *maker.Task(&Keeper::Give).Remote(std::vector{1, 3}).Get();
    Kill(maker);
    for (const int number : {1, 3}) EXPECT_EQ(*refs.at(number).Get(20'000), TextOf(number));
  }
  NothingIsLeft();
}

TEST_F(RemoteOwnershipTest, AnObjectOutlivesTheProcessThatPassedItToAnotherMachine) {
  {
    auto owner = KeeperAt("here");
    auto middle = KeeperAt("there");
    auto last = KeeperAt("here");
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

// The result lies on the machine of the task, its owner ends on the other, and a third process holds it.
TEST_F(RemoteOwnershipTest, AResultThatLiesElsewhereOutlivesItsOwner) {
  {
    auto owner = KeeperAt("here");
    owner.Task(&Keeper::SubmitThere).Remote(3).Get();
    const auto refs = *owner.Task(&Keeper::Give).Remote(std::vector{3}).Get();
    Kill(owner);
    EXPECT_EQ(*refs.at(3).Get(20'000), TextOf(3));
  }
  NothingIsLeft();
}

// The box lies on the machine of the task, its owner ends on the other, and the object in it lives with a third
// process.
TEST_F(RemoteOwnershipTest, ReferencesInAResultElsewhereOutliveTheOwnerOfTheResult) {
  {
    auto owner = KeeperAt("here");
    auto maker = KeeperAt("there");
    std::map<int, ray::ObjectRef<LargeBox>> boxes;
    for (const int number : {1, 3}) owner.Task(&Keeper::SubmitLargeBox).Remote(number, "there").Get();
    for (const int number : {4, 6}) owner.Task(&Keeper::CallForLargeBox).Remote(number, maker).Get();
    for (const int number : {1, 3, 4, 6})
      boxes.emplace(number, *owner.Task(&Keeper::GiveLargeBox).Remote(number).Get());
    Kill(owner);
    EXPECT_TRUE(Eventually(20s, [&] { return StatusOf(there_.socket())["ends_unsettled"] == 0; }));
    for (const auto& [number, box] : boxes) EXPECT_EQ(*box.Get(20'000)->first.Get(20'000), TextOf(number));
  }
  NothingIsLeft();
}

TEST_F(RemoteOwnershipTest, ALossThatNobodyWaitedForIsKnownToLaterCalls) {
  {
    auto owner = KeeperAt("here");
    ExpectIsLost(LostUnheard(owner, KeeperAt("there"), here_.socket()));
  }
  NothingIsLeft();
}

TEST_F(RemoteOwnershipTest, ALossIsKnownOnAnotherMachineThanTheLivingOwners) {
  {
    auto owner = KeeperAt("there");
    const TextRef ref = LostUnheard(owner, KeeperAt("here"), here_.socket(), there_.socket());
    ExpectIsLost(ref);
    try {
      ref.Get(20'000);
      ADD_FAILURE() << "a lost object came";
    } catch (const ray::internal::UnreconstructableException& lost) {
      EXPECT_NE(std::string(lost.what()).find("its owner had freed it before it was claimed"), std::string::npos)
          << lost.what();
    }
  }
  NothingIsLeft();
}

TEST_F(RemoteOwnershipTest, AnObjectThatWasReleasedByAnEarlierChannelGoes) {
  LetGoAndOpenAnotherChannel(
      ray::Actor(Keeper::Create).SetName("owner", kNamespace).SetResource("there", 0.01).Remote(), KeeperAt("here"),
      ray::Task(PassOnThrough).SetResource("here", 0.01),
      // The driver's and the task's to the owner, and the owner's to the other keeper.
      [&] { return CountIn(StatusOf(here_.socket()), "/channels_to_other_machines") == 3; });
  NothingIsLeft();
}

TEST_F(RemoteOwnershipTest, KeepsEveryHeldObjectWhereverProcessesAreKilled) {
  for (uint32_t seed = 1; seed <= Seeds(4); ++seed) {
    SCOPED_TRACE(seed);
    Keepers keepers(seed, {"here", "there"}, {here_.socket(), there_.socket()});
    for (int step = 0; step < 50 && !HasFailure(); ++step) keepers.Step();
    keepers.CheckAll();
    keepers.DropAll();
  }
  NothingIsLeft();
  NoOtherJobIsLeft();
  for (const auto& [machine, other] : {std::pair(&here_, &there_), std::pair(&there_, &here_)})
    ExpectNobodyIsKept(machine->socket(), 1 + CountIn(StatusOf(other->socket()), "/workers"));
}

}  // namespace
}  // namespace cluster_test
