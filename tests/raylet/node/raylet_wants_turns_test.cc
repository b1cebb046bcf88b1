// How long the raylet's loop works without looking for events while processes want and claim very many objects and end.
// In a cluster the objects are located and pulled, their owners' machine tells the others of them, and machines are
// lost. Some are lost with many tasks and actors.
#include "client/plasma/store_client.h"
#include "fbs/id_lists.h"
#include "tests/raylet/node/measured_raylet.h"

namespace raylet::test {
namespace {

#ifdef RAYLET_SANITIZED
constexpr size_t kWantedObjects = 10'000;
constexpr size_t kPulledObjects = 2'000;
constexpr size_t kWaitingTasks = 2'000;
constexpr size_t kWatchedActors = 500;
constexpr size_t kHostedActors = 200;
constexpr size_t kProcesses = 100;
#else
constexpr size_t kWantedObjects = 50'000;
constexpr size_t kPulledObjects = 15'000;  // each takes the time of its pull
constexpr size_t kWaitingTasks = 20'000;
constexpr size_t kWatchedActors = 3'000;
constexpr size_t kHostedActors = 900;  // a thousand may be under way to one machine
constexpr size_t kProcesses = 1'000;
#endif
constexpr size_t kWantedPerNotice = 2'000;

std::vector<ObjectId> NewObjects(ProcessId owner, size_t count = kWantedObjects) {
  std::atomic<uint64_t> next{1'000'000};  // above the owner's others
  std::vector<ObjectId> objects;
  for (size_t i = 0; i < count; ++i) objects.push_back(NewObjectId(owner, next));
  return objects;
}

void Want(WireProcess& process, std::span<const ObjectId> objects, bool wait) {
  for (; !objects.empty(); objects = objects.subspan(std::min(objects.size(), kWantedPerNotice))) {
    wire::WantNoticeT notice;
    notice.wait = wait;
    for (const ObjectId& object : objects.first(std::min(objects.size(), kWantedPerNotice)))
      notice.objects.push_back(ToWire(object));
    ASSERT_TRUE(process.Send(wire::RayletMessage::WantObjects, notice));
  }
}

void Claim(WireProcess& process, std::span<const ObjectId> objects) {
  for (; !objects.empty(); objects = objects.subspan(std::min(objects.size(), kWantedPerNotice))) {
    wire::ClaimNoticeT notice;
    notice.objects = ToWire(objects.first(std::min(objects.size(), kWantedPerNotice)));
    ASSERT_TRUE(process.Send(wire::RayletMessage::ClaimObjects, notice));
  }
}

// Actors that ask for one of these are placed on the machine that has them.
constexpr const char* kPlace = "place";
RayletOptions WithPlaces(RayletOptions options) {
  EXPECT_TRUE(options.resources.Add(kPlace, int64_t{kHostedActors} * kUnitsPerWhole).has_value());
  options.limits.workers_max = 1;  // the creations of the others wait there
  return options;
}

RayletOptions InCluster(const PeerToken& token, const std::string& peer = {}) {
  RayletOptions options;
  options.cluster.emplace();
  options.cluster->listen = *MakeTcpAddress("127.0.0.1", 0);
  options.cluster->token = token;
  if (!peer.empty()) options.cluster->peers.push_back(*ParseTcpAddress(peer));
  return options;
}

testing::AssertionResult Becomes(MeasuredRaylet& raylet, const char* what, size_t expected) {
  const nlohmann::json::json_pointer at(what);
  size_t count = 0;
  const bool becomes = Eventually(kPatienceForAll, [&] {
    const nlohmann::json status = raylet.Status();
    count = status.at(at).get<size_t>();
    return count == expected;
  });
  if (becomes) return testing::AssertionSuccess();
  return testing::AssertionFailure() << what << " is " << count << ", not " << expected;
}

TEST(RayletTurns, StayShortWhileAProcessWaitsForManyObjectsOfAnotherOneAndEnds) {
  MeasuredRaylet raylet;
  const auto owner = raylet.Driver();
  std::optional<WireProcess> driver = raylet.Driver();
  raylet.TakeLongestTurn();
  Want(*driver, NewObjects(owner.process()), /*wait=*/true);
  EXPECT_TRUE(Becomes(raylet, "/objects_watched", kWantedObjects));
  raylet.ExpectShortTurns("wanting");
  driver.reset();
  EXPECT_TRUE(Becomes(raylet, "/objects_watched", 0));
  raylet.ExpectShortTurns("ending");
}

TEST(ClusteredRayletTurns, StayShortWhileAProcessWaitsForManyObjectsOfItsOwnAndEnds) {
  MeasuredRaylet raylet(InCluster(PeerToken()));
  std::optional<WireProcess> driver = raylet.Driver();
  raylet.TakeLongestTurn();
  constexpr size_t kOwn = kWantedObjects;
  Want(*driver, NewObjects(driver->process(), kOwn), /*wait=*/true);
  EXPECT_TRUE(Becomes(raylet, "/objects_watched", kOwn));
  EXPECT_TRUE(Becomes(raylet, "/transfers/remote_copies", kOwn));
  raylet.ExpectShortTurns("wanting");
  driver.reset();
  EXPECT_TRUE(Becomes(raylet, "/objects_watched", 0));
  EXPECT_TRUE(Becomes(raylet, "/transfers/remote_copies", 0));
  raylet.ExpectShortTurns("ending");
}

class TwoRayletsTurns : public ::testing::Test {
 protected:
  TwoRayletsTurns() {
    EXPECT_TRUE(Eventually(kPatienceForAll, [&] {
      const nlohmann::json peers = here_.Status()["peers"];
      return std::count_if(peers.begin(), peers.end(), [](const auto& peer) { return peer["state"] == "up"; }) == 1;
    })) << here_.Status();
    owner_.emplace(there_.Driver());
    wanter_.emplace(here_.Driver());
    BeginToMeasure();
  }
  void BeginToMeasure() {
    here_.TakeLongestTurn();
    there_.TakeLongestTurn();
  }
  void ExpectShortTurns(const std::string& what) {
    here_.ExpectShortTurns(what + "_here");
    there_.ExpectShortTurns(what + "_there");
  }
  // Nobody has sealed one yet.
  void WantAll(size_t count = kWantedObjects) {
    objects_ = NewObjects(owner_->process(), count);
    Want(*wanter_, objects_, /*wait=*/true);
    EXPECT_TRUE(Becomes(here_, "/transfers/objects_wanted", count));
    EXPECT_TRUE(Becomes(there_, "/transfers/remote_copies", count));
    ExpectShortTurns("wanting");
  }
  void SealAllThere() {
    const auto store =
        *client::StoreClient::Connect(there_.store_socket(), "test", Deadline::After(kPatience), /*retry=*/false);
    for (const ObjectId& object : objects_) ASSERT_TRUE(store->CreateAndSeal(object, {}, {}, {}));
  }
  void DeleteAllThere() {
    const auto store =
        *client::StoreClient::Connect(there_.store_socket(), "test", Deadline::After(kPatience), /*retry=*/false);
    ASSERT_TRUE(store->Delete(objects_));
  }

  const PeerToken token_;
  MeasuredRaylet there_{WithPlaces(InCluster(token_))};
  MeasuredRaylet here_{InCluster(token_, there_.address())};
  std::optional<WireProcess> owner_, wanter_;
  std::vector<ObjectId> objects_;
};

TEST_F(TwoRayletsTurns, StayShortWhileTheWanterOfManyObjectsEnds) {
  WantAll();
  wanter_.reset();
  EXPECT_TRUE(Becomes(here_, "/transfers/objects_wanted", 0));
  EXPECT_TRUE(Becomes(here_, "/objects_watched", 0));
  ExpectShortTurns("ending");
}

TEST_F(TwoRayletsTurns, StayShortWhileTheOwnerOfManyWantedObjectsEnds) {
  WantAll();
  owner_.reset();
  EXPECT_TRUE(Becomes(there_, "/transfers/remote_copies", 0));
  EXPECT_TRUE(Becomes(here_, "/transfers/objects_wanted", 0));
  ExpectShortTurns("ending");
}

TEST_F(TwoRayletsTurns, StayShortWhileManyWantedObjectsArePulledAndTheirOwnerEnds) {
  WantAll(kPulledObjects);
  SealAllThere();
  EXPECT_TRUE(Becomes(here_, "/transfers/objects_wanted", 0));
  EXPECT_TRUE(Becomes(there_, "/transfers/remote_copies", kPulledObjects));
  ExpectShortTurns("pulling");
  owner_.reset();
  EXPECT_TRUE(Becomes(there_, "/transfers/remote_copies", 0));
  ExpectShortTurns("ending");
}

TEST_F(TwoRayletsTurns, StayShortWhileTheMachineOfManyWantedObjectsIsLost) {
  WantAll();
  there_.Stop();
  EXPECT_TRUE(Becomes(here_, "/transfers/objects_wanted", 0));
  here_.ExpectShortTurns("loss");
}

TEST_F(TwoRayletsTurns, StayShortWhileAMachineWithManyTasksAndActorsIsLost) {
  ActorOptions hosted;
  hosted.resources = {{kPlace, kUnitsPerWhole}};
  for (size_t i = 0; i < kHostedActors; ++i) wanter_->CreateActor(hosted);
  ASSERT_TRUE(Eventually(kPatienceForAll, [&] {
    const nlohmann::json queues = there_.Status()["queues"];
    return !queues.empty() && queues[0]["count"] == kHostedActors - 1;  // the first one has the worker
  })) << there_.Status()["queues"];
  ActorOptions nowhere;
  nowhere.resources = {{"absent", kUnitsPerWhole}};
  for (size_t i = 0; i < kWatchedActors; ++i) {
    wire::OpenChannelRequestT request;
    request.actor = std::make_unique<wire::Id20>(ToWire(owner_->CreateActor(nowhere)));
    ASSERT_TRUE(wanter_->Send(wire::RayletMessage::OpenChannel, request, 1'000'000 + i));
  }
  const auto objects = NewObjects(owner_->process(), 10);
  TaskOptions task;
  for (size_t i = 0; i < kWaitingTasks; ++i) {
    task.wait_for = {objects[i % objects.size()]};
    wanter_->Submit(task);
  }
  EXPECT_TRUE(Becomes(here_, "/tasks_waiting_for_objects", kWaitingTasks));
  BeginToMeasure();
  there_.Stop();
  size_t results = 0, refused = 0, dead = 0;
  for (bool told = false; results < kWaitingTasks || !told;) {
    const auto frame = wanter_->Next(kPatience);
    ASSERT_TRUE(frame && *frame) << results << " results, " << refused << " refusals, " << dead << " ends of actors";
    const auto type = static_cast<wire::RayletMessage>((*frame)->header.type);
    results += type == wire::RayletMessage::TaskResult ? 1 : 0;
    refused += type == wire::RayletMessage::OpenChannelReply ? 1 : 0;
    if (type == wire::RayletMessage::ActorChanged)
      dead += Parse<wire::ActorNoticeT>((*frame)->body)->state == wire::ActorState::Dead ? 1 : 0;
    if (type != wire::RayletMessage::ProcessDied) continue;
    told = true;
    EXPECT_EQ(refused, kWatchedActors) << "actors end before the processes of their machine";
    EXPECT_EQ(dead, kWatchedActors + kHostedActors);
  }
  here_.ExpectShortTurns("loss");  // before the status is asked for, which is a long turn of its own
  EXPECT_TRUE(Becomes(here_, "/tasks", 0));
  EXPECT_TRUE(Becomes(here_, "/actors_living", 0));
}

TEST_F(TwoRayletsTurns, StayShortWhileAThousandProcessesHearThatAMachineIsLost) {
  wanter_.reset();
  std::vector<WireProcess> processes;
  for (size_t i = 0; i < kProcesses; ++i) processes.push_back(here_.Driver());
  BeginToMeasure();
  const Duration before = here_.CpuTime();
  there_.Stop();
  for (WireProcess& process : processes) {
    const auto frame = process.Await(wire::RayletMessage::ProcessDied);
    ASSERT_TRUE(frame) << frame.error().message;
    wire::ClaimsMadeNoticeT made;
    made.process = Parse<wire::ProcessNoticeT>(frame->body)->process;
    ASSERT_TRUE(process.Send(wire::RayletMessage::ClaimsMade, made));
  }
  for (WireProcess& process : processes) ASSERT_TRUE(process.Await(wire::RayletMessage::ProcessSettled));
  RecordProperty("cpu_us", std::to_string((here_.CpuTime() - before) / std::chrono::microseconds(1)));
  here_.ExpectShortTurns("loss");
}

TEST_F(TwoRayletsTurns, StayShortWhileTheMachineWithTheLastCopiesOfManyObjectsIsLost) {
  WantAll(kPulledObjects);
  SealAllThere();
  EXPECT_TRUE(Becomes(there_, "/transfers/remote_copies", kPulledObjects));
  EXPECT_TRUE(Becomes(here_, "/transfers/objects_wanted", 0));
  DeleteAllThere();
  BeginToMeasure();
  here_.Stop();
  EXPECT_TRUE(Becomes(there_, "/transfers/objects_lost", kPulledObjects));
  EXPECT_TRUE(Becomes(there_, "/transfers/remote_copies", 0));
  there_.ExpectShortTurns("loss");
  owner_.reset();
  EXPECT_TRUE(Becomes(there_, "/transfers/objects_lost", 0));
  there_.ExpectShortTurns("ending");
}

TEST_F(TwoRayletsTurns, StayShortWhileTheOwnerOfManyClaimedObjectsEndsAndThenTheirClaimer) {
  objects_ = NewObjects(owner_->process());
  Claim(*wanter_, objects_);
  EXPECT_TRUE(Becomes(there_, "/objects_claimed", objects_.size()));
  ExpectShortTurns("claiming");
  owner_.reset();
  EXPECT_TRUE(Eventually(kPatienceForAll, [&] { return there_.Status()["jobs"].empty(); }));
  EXPECT_TRUE(Becomes(there_, "/ends_unsettled", 0));
  EXPECT_TRUE(Becomes(here_, "/ends_unsettled", 0));
  ExpectShortTurns("ending");
  EXPECT_TRUE(Becomes(there_, "/objects_claimed", objects_.size()));
  wanter_.reset();
  EXPECT_TRUE(Becomes(there_, "/objects_claimed", 0));
  ExpectShortTurns("releasing");
}

}  // namespace
}  // namespace raylet::test
