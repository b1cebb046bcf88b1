// What a caller gives up, because a daemon is stopped, leaves nothing behind when the daemon goes on.
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <future>
#include <string>
#include <utility>
#include <vector>

#include "client/ray/cluster/cluster_parts.h"
#include "client/ray/cluster/cluster_runtime.h"
#include "tests/client/ray/cluster/cluster_functions.h"
#include "tests/client/ray/cluster/status_of.h"
#include "tests/cluster/machines.h"
#include "tests/harness/sleeps.h"

namespace cluster_test {
namespace {

using ray::internal::ActorHandleState;
using ray::internal::CallOptions;
using ray::internal::NameOf;
using ray::internal::ObjectHandle;
using ray::internal::RayException;
using raylet::client::ClusterParts;
using raylet::client::ClusterRuntime;
using raylet::test::Eventually;
using raylet::test::Machine;
using raylet::test::RunFolder;
using raylet::test::Sleeps;
using raylet::test::WriteToken;
using namespace std::chrono_literals;

constexpr raylet::Duration kPatience = 1500ms;  // with a daemon that is stopped

ray::internal::Packed PackedOf(std::string bytes) {
  ray::internal::Packed packed;
  packed.bytes = std::move(bytes);
  return packed;
}

class GivenUpTest : public ::testing::Test {
 protected:
  explicit GivenUpTest(raylet::Duration patience = kPatience) : runtime_(Connect(machine_, patience), nullptr) {}
  static ClusterParts& Connect(const Machine& machine, raylet::Duration patience) {
    ClusterParts::Options options;
    options.raylet.socket = machine.socket();
    options.raylet.patience = patience;
    return ClusterParts::Connect(std::move(options));
  }
  ActorHandleState Create(const std::string& name, bool detached = false) {
    CallOptions options;
    options.name = name;
    options.detached = detached;
    return runtime_.CreateActor(NameOf(Witness::Create), {}, options);
  }
  // What it throws, in no more time than its patience and some.
  std::string CreateInVain(const std::string& name, bool detached = false) {
    const auto start = std::chrono::steady_clock::now();
    try {
      static_cast<void>(Create(name, detached));
    } catch (const RayException& e) {
      EXPECT_LT(std::chrono::steady_clock::now() - start, 10s);
      return e.what();
    }
    return "nothing was thrown";
  }
  void ExpectThatItLives(const ActorHandleState& actor) {
    const ObjectHandle pid = runtime_.SubmitActorCall(actor, NameOf(&Witness::Pid), {}, {});
    EXPECT_FALSE(runtime_.Get(pid, 30'000).bytes.empty());
  }
  // Submits tasks to a raylet that is stopped, until one fails since the socket takes no more.
  std::vector<ObjectHandle> FillSocket() {
    CallOptions options;
    options.resources["none"] = 1;
    options.name = std::string(1'000, 'x');
    std::vector<ObjectHandle> tasks;
    do {
      tasks.push_back(runtime_.SubmitTask(NameOf(Nothing), {}, options));
    } while (!runtime_.Wait(std::span(&tasks.back(), 1), 1, 0)[0]);
    return tasks;
  }
  size_t Living() { return StatusOf(machine_.socket()).at("actors_living"); }

  RunFolder folder_;
  Machine machine_{WriteToken(folder_), {"--num-cpus", "2"}};
  ClusterRuntime runtime_;
};

constexpr raylet::Duration kLongPatience = 5s;
class LongPatienceTest : public GivenUpTest {
 protected:
  LongPatienceTest() : GivenUpTest(kLongPatience) {}
};

TEST_F(GivenUpTest, AnActorWhoseCreationWasGivenUpIsNotThereAndItsNameIsFreeAtOnce) {
  for (const bool detached : {false, true}) {
    machine_.raylet->Signal(SIGSTOP);
    const std::string thrown = CreateInVain("one", detached);
    EXPECT_NE(thrown.find("did not answer the creation of actor one"), std::string::npos) << thrown;
    EXPECT_NE(thrown.find("called off"), std::string::npos) << thrown;
    machine_.raylet->Signal(SIGCONT);
    const ActorHandleState actor = Create("one");
    ExpectThatItLives(actor);
    EXPECT_EQ(Living(), 1u);
    runtime_.KillActor(actor, /*no_restart=*/true);
    EXPECT_EQ(runtime_.FindActor("one", "").actor, nullptr);
    EXPECT_EQ(Living(), 0u);
  }
}

// The creation is on its way when the socket fills up. What calls it off finds no room there.
TEST_F(GivenUpTest, AnActorWhoseCreationIsAnsweredTooLateEndsThoughTheRayletTookNothingMore) {
  machine_.raylet->Signal(SIGSTOP);
  std::atomic<pid_t> thread{0};
  auto creating = std::async(std::launch::async, [&] {
    thread = ::gettid();
    return CreateInVain("one", /*detached=*/true);
  });
  ASSERT_TRUE(Eventually(20s, [&] { return thread != 0 && Sleeps(thread); }));  // it has been sent
  const std::vector<ObjectHandle> tasks = FillSocket();
  const std::string thrown = creating.get();
  EXPECT_NE(thrown.find("called off"), std::string::npos) << thrown;
  machine_.raylet->Signal(SIGCONT);
  EXPECT_TRUE(Eventually(20s, [&] { return Living() == 0; }));
  EXPECT_EQ(runtime_.FindActor("one", "").actor, nullptr);
  ExpectThatItLives(Create("one"));
}

TEST_F(LongPatienceTest, AThreadThatWaitsForAStoppedRayletHoldsBackNoneThatLetsGoOfAnActor) {
  ActorHandleState actor = Create("");  // a name would keep it
  ExpectThatItLives(actor);
  machine_.raylet->Signal(SIGSTOP);
  const std::vector<ObjectHandle> tasks = FillSocket();
  auto submitting = std::async(std::launch::async, [&] { return runtime_.SubmitTask(NameOf(Nothing), {}, {}); });
  ASSERT_EQ(submitting.wait_for(500ms), std::future_status::timeout);
  const auto start = std::chrono::steady_clock::now();
  actor.reset();
  EXPECT_LT(std::chrono::steady_clock::now() - start, kLongPatience / 2);
  machine_.raylet->Signal(SIGCONT);
  EXPECT_TRUE(Eventually(20s, [&] { return Living() == 0; }));
}

// Nobody can take this back, so it is said once the raylet listens again.
TEST_F(GivenUpTest, AnActorWhoseLastHandleGoesWhileTheRayletTakesNothingEndsLater) {
  ActorHandleState actor = Create("");  // a name would keep it
  ExpectThatItLives(actor);
  machine_.raylet->Signal(SIGSTOP);
  const std::vector<ObjectHandle> tasks = FillSocket();
  actor.reset();
  machine_.raylet->Signal(SIGCONT);
  EXPECT_TRUE(Eventually(20s, [&] { return Living() == 0; }));
}

TEST_F(GivenUpTest, AnObjectThatAStoppedStoreDidNotTakeInTimeIsNotThereLater) {
  const ObjectHandle small = runtime_.Put(PackedOf("small"));
  machine_.store->Signal(SIGSTOP);
  char id[ray::internal::kIdBytes];
  EXPECT_THROW(runtime_.PackReference(small, id), RayException);
  EXPECT_THROW(static_cast<void>(runtime_.Put(PackedOf(std::string(100'000, 'x')))), RayException);
  machine_.store->Signal(SIGCONT);
  const ObjectHandle stored = runtime_.Put(PackedOf(std::string(100'000, 'x')));  // behind all that was said before
  EXPECT_EQ(machine_.StoredObjects(), 1u);
}

TEST_F(GivenUpTest, AnArrayThatAStoppedStoreDidNotSealInTimeIsNotThereLater) {
  const auto array = runtime_.AllocateArray(100'000);
  machine_.store->Signal(SIGSTOP);
  EXPECT_THROW(array->Seal(), RayException);
  EXPECT_THROW(array->Seal(), RayException);
  machine_.store->Signal(SIGCONT);
  const ObjectHandle stored = runtime_.Put(PackedOf(std::string(100'000, 'x')));
  EXPECT_EQ(machine_.StoredObjects(), 1u);
}

}  // namespace
}  // namespace cluster_test
