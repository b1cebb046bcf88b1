// Names of two homes in one control store, which the test empties, takes away, and fills with records of dead raylets.
#include "raylet/actors/actor_names.h"

#include <gtest/gtest.h>

#include <set>

#include "raylet/control/memory_control_store.h"
#include "tests/harness/daemon_process.h"
#include "tests/harness/loop_thread.h"

namespace raylet::test {
namespace {

class ActorNamesTest : public ::testing::Test {
 protected:
  // The names of one raylet.
  struct Home {
    explicit Home(const NodeId& node) : view(node) {}
    ClusterView view;
    std::set<ActorId> bearers;
    std::unique_ptr<ControlLink> link;
    std::unique_ptr<ActorNames> names;
  };

  void TearDown() override {
    thread_.Run([this] { homes_.clear(); });
    thread_.Stop();  // an answer under way still looks at the store
  }
  Home& Join() {
    const NodeRecord record{NodeId::FromRandom(), ++epoch_, MachineNumber{static_cast<uint32_t>(epoch_)},
                            "10.0.0.1:7000", "0.1.0"};
    homes_.push_back(std::make_unique<Home>(record.id));
    Home& home = *homes_.back();
    ControlLinkOptions options;
    options.retry_every = std::chrono::milliseconds(5);
    options.store_is_new = true;
    thread_.Run([&] {
      home.link = std::make_unique<ControlLink>(thread_.loop(), clock_, store_, record, options);
      home.names = std::make_unique<ActorNames>(
          home.view, [&home](const ActorId& actor) { return home.bearers.contains(actor); },
          std::chrono::milliseconds(300));
      home.names->SetControl(*home.link);
    });
    EXPECT_TRUE(thread_.Await<void>([&](auto done) { home.link->Join(Deadline::AfterMs(30'000), done); }));
    return home;
  }
  static ActorSettings Named(const std::string& name) { return {ActorId::FromRandom(), name, "space", 0, false}; }
  Result<void> Take(Home& home, const ActorSettings& actor) {
    auto taken = thread_.Await<void>([&](auto done) { home.names->Take(actor, done); });
    if (taken) home.bearers.insert(actor.id);
    return taken;
  }
  Result<ActorId> Find(Home& home, const std::string& name) {
    const auto found = thread_.Await<FoundActor>([&](auto done) { home.names->Find("space", name, done); });
    if (!found) return Fail(found.error());
    return found->id;
  }
  void Release(Home& home, const ActorId& actor) {
    home.bearers.erase(actor);
    thread_.Run([&] { home.names->Release(actor); });
  }

  LoopThread thread_;
  SteadyClock clock_;
  MemoryControlStore store_{clock_, [this](std::function<void()> work) { thread_.loop().Post(std::move(work)); }};
  std::vector<std::unique_ptr<Home>> homes_;
  uint64_t epoch_ = 0;
};

TEST_F(ActorNamesTest, ANameIsFoundEverywhereUntilItIsReleased) {
  Home& a = Join();
  Home& b = Join();
  const auto actor = Named("ps");
  ASSERT_TRUE(Take(a, actor));
  EXPECT_EQ(Find(b, "ps").value(), actor.id);
  EXPECT_EQ(Find(b, "other").error().code, ErrorCode::kNotFound);
  const auto taken = Take(b, Named("ps"));
  ASSERT_FALSE(taken);
  EXPECT_EQ(taken.error().code, ErrorCode::kAlreadyExists);
  EXPECT_NE(taken.error().message.find(actor.id.hex()), std::string::npos) << taken.error().message;
  Release(a, actor.id);
  EXPECT_TRUE(Eventually(std::chrono::seconds(30), [&] { return Take(b, Named("ps")).has_value(); }));
}

TEST_F(ActorNamesTest, LostNameIsTakenOverAtOnceAndItsLateReleaseTakesNothing) {
  Home& a = Join();
  const auto first = Named("ps"), second = Named("ps");
  ASSERT_TRUE(Take(a, first));
  Release(a, first.id);  // told to the store when it gets to it
  ASSERT_TRUE(Take(a, second));
  EXPECT_EQ(Find(a, "ps").value(), second.id);
  ASSERT_TRUE(Eventually(std::chrono::seconds(30), [&] {
    size_t due = 1;
    thread_.Run([&] { due = a.link->status().due; });
    return due == 0;
  }));
  EXPECT_EQ(Find(a, "ps").value(), second.id);
}

TEST_F(ActorNamesTest, ADeadMachinesNameIsTakenOverAndALivingOnesIsNot) {
  Home& a = Join();
  Home& b = Join();
  Home& c = Join();
  const auto actor = Named("ps");
  ASSERT_TRUE(Take(a, actor));
  EXPECT_FALSE(Take(b, Named("ps"))) << "it has a lease, although nobody has a session with it";
  thread_.Run([&] { b.view.Up(a.link->own().id, 1, MachineNumber{1}, "10.0.0.1:7000", clock_.Now()); });
  ASSERT_TRUE(thread_.Await<void>(
      [&](auto done) { store_.RemoveNode(a.link->own().id, a.link->own().epoch, Deadline::AfterMs(30'000), done); }));
  EXPECT_FALSE(Take(b, Named("ps"))) << "it has no lease, but a session says that it lives";
  const auto heir = Named("ps");
  ASSERT_TRUE(Take(c, heir));
  EXPECT_EQ(Find(b, "ps").value(), heir.id);
}

TEST_F(ActorNamesTest, AStoreThatIsAwayRefusesInTime) {
  Home& a = Join();
  thread_.Run([&] { store_.SetReachable(false); });
  const auto taken = Take(a, Named("ps"));
  ASSERT_FALSE(taken);
  EXPECT_EQ(taken.error().code, ErrorCode::kUnavailable);
  EXPECT_NE(taken.error().message.find("control store"), std::string::npos) << taken.error().message;
  EXPECT_EQ(Find(a, "ps").error().code, ErrorCode::kUnavailable);
}

}  // namespace
}  // namespace raylet::test
