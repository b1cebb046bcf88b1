// A raylet's life in the control store, with a store that the test empties and takes away.
#include "raylet/control/control_link.h"

#include <gtest/gtest.h>

#include "raylet/control/memory_control_store.h"
#include "tests/harness/daemon_process.h"
#include "tests/harness/loop_thread.h"

namespace raylet::test {
namespace {

constexpr std::chrono::milliseconds kRenewEvery{20};

ControlLinkOptions Quick(bool store_is_new = true) {
  ControlLinkOptions options;
  options.renew_every = kRenewEvery;
  options.restored_after = std::chrono::milliseconds(60);
  options.retry_every = std::chrono::milliseconds(5);
  options.store_is_new = store_is_new;
  return options;
}

class ControlLinkTest : public ::testing::Test {
 protected:
  using Links = std::vector<std::unique_ptr<ControlLink>>;

  void TearDown() override {
    thread_.Run([this] { links_.clear(); });
    thread_.Stop();  // an answer under way still looks at the store
  }
  ControlLink& Link(const NodeRecord& record, const ControlLinkOptions& options = Quick()) {
    ControlLink* link = nullptr;
    thread_.Run([&] {
      links_.push_back(std::make_unique<ControlLink>(thread_.loop(), clock_, store_, record, options));
      link = links_.back().get();
    });
    return *link;
  }
  // A raylet's link, that has joined.
  ControlLink& Join(const NodeRecord& record, const ControlLinkOptions& options = Quick()) {
    ControlLink& link = Link(record, options);
    const auto joined = JoinAgain(link);
    EXPECT_TRUE(joined) << joined.error().message;
    return link;
  }
  Result<void> JoinAgain(ControlLink& link) {
    return thread_.Await<void>([&](auto done) { link.Join(Deadline::AfterMs(30'000), done); });
  }
  NodeRecord Record(uint32_t machine = 0) {
    return {NodeId::FromRandom(), ++epoch_, MachineNumber{machine}, "10.0.0.1:7000", "0.1.0"};
  }
  ControlLink::Status Status(ControlLink& link) {
    ControlLink::Status status;
    thread_.Run([&] { status = link.status(); });
    return status;
  }
  Result<void> Take(ControlLink& link, const NameEntry& entry, int64_t deadline_ms = 10'000) {
    return thread_.Await<void>([&](auto done) { link.TakeName(entry, {}, Deadline::AfterMs(deadline_ms), done); });
  }
  Result<NameEntry> Find(const std::string& name) {
    return thread_.Await<NameEntry>(
        [&](auto done) { store_.FindName("space", name, Deadline::AfterMs(30'000), done); });
  }
  Result<ActorPlacement> FindActor(const ActorId& actor) {
    return thread_.Await<ActorPlacement>([&](auto done) { store_.FindActor(actor, Deadline::AfterMs(30'000), done); });
  }
  Result<uint64_t> Put(ControlLink& link, const std::string& value) {
    return thread_.Await<uint64_t>(
        [&](auto done) { link.PutKey("key", value, false, Deadline::AfterMs(30'000), done); });
  }
  Result<KeyValue> Get() {
    return thread_.Await<KeyValue>([&](auto done) { store_.GetKey("key", Deadline::AfterMs(30'000), done); });
  }
  void Flush() {
    thread_.Run([this] { store_.Flush(); });
  }
  void SetReachable(bool reachable) {
    thread_.Run([&] { store_.SetReachable(reachable); });
  }
  static NameEntry Name(const ControlLink& link, const std::string& name, uint64_t epoch = 1) {
    return {"space", name, ActorId::FromRandom(), epoch, link.own().id};
  }
  template <class Condition>
  static bool Comes(Condition condition) {
    return Eventually(std::chrono::seconds(20), condition);
  }

  LoopThread thread_;
  SteadyClock clock_;
  MemoryControlStore store_{clock_, [this](std::function<void()> work) { thread_.loop().Post(std::move(work)); }};
  Links links_;
  uint64_t epoch_ = 0;
};

TEST_F(ControlLinkTest, RayletsSeeEachOtherUntilTheyLeave) {
  ControlLink& first = Join(Record());
  ControlLink& second = Join(Record());
  EXPECT_TRUE(Comes([&] { return Status(first).nodes.size() == 2 && Status(second).nodes.size() == 2; }));
  EXPECT_NE(Status(first).own.machine, kNoMachine);
  ASSERT_TRUE(thread_.Await<void>([&](auto done) { second.Leave(Deadline::AfterMs(30'000), [done] { done({}); }); }));
  EXPECT_TRUE(Comes([&] { return Status(first).nodes.size() == 1; }));
}

TEST_F(ControlLinkTest, AMachineNumberThatIsTakenIsRefused) {
  EXPECT_EQ(Status(Join(Record(7))).own.machine, MachineNumber{7});
  const auto joined = JoinAgain(Link(Record(7)));
  ASSERT_FALSE(joined);
  EXPECT_EQ(joined.error().code, ErrorCode::kAlreadyExists);
  EXPECT_NE(joined.error().message.find("machine number"), std::string::npos);
}

TEST_F(ControlLinkTest, ASecondRayletWithOurNodeIdIsRefused) {
  NodeRecord record = Record();
  Join(record);
  ++record.epoch;
  record.address = "10.0.0.2:7000";
  const auto joined = JoinAgain(Link(record));
  ASSERT_FALSE(joined);
  EXPECT_EQ(joined.error().code, ErrorCode::kAlreadyExists);
  EXPECT_NE(joined.error().message.find("10.0.0.1:7000"), std::string::npos);
}

TEST_F(ControlLinkTest, AnEmptiedStoreIsFilledAgainWithinARenewal) {
  ControlLink& first = Join(Record());
  ControlLink& second = Join(Record());
  const NameEntry name = Name(first, "server");
  const ActorPlacement placement{name.actor, first.own().id, 1, wire::ActorState::Alive};
  ASSERT_TRUE(Take(first, name));
  ASSERT_TRUE(Put(second, "one"));
  ASSERT_TRUE(Put(second, "two"));
  thread_.Run([&] { first.PlaceActor(placement); });
  ASSERT_TRUE(Comes([&] { return FindActor(name.actor).has_value(); }));
  Flush();
  // Another raylet wants the name while the store has lost it. That raylet waits, and does not get the name.
  const auto taken = Take(second, Name(second, "server"));
  ASSERT_FALSE(taken);
  EXPECT_EQ(taken.error().code, ErrorCode::kAlreadyExists) << taken.error().message;
  EXPECT_EQ(*Find("server"), name);
  EXPECT_EQ(*FindActor(name.actor), placement);
  EXPECT_EQ(*Get(), (KeyValue{"key", "two", 2, false}));
  EXPECT_EQ(Status(first).losses, 1u);
  EXPECT_TRUE(Comes([&] { return Status(first).nodes.size() == 2; }));
}

TEST_F(ControlLinkTest, AnEmptyStoreIsRestoredAfterAWhileAndNamesWaitForThat) {
  ControlLink& link = Join(Record(), Quick(false));
  EXPECT_FALSE(Status(link).restored);
  EXPECT_TRUE(Take(link, Name(link, "server")));
  EXPECT_TRUE(Comes([&] { return Status(link).restored; }));
}

TEST_F(ControlLinkTest, WhileTheStoreIsAwayOnlyNamesWait) {
  ControlLink& link = Join(Record());
  SetReachable(false);
  EXPECT_TRUE(Comes([&] { return !Status(link).problem.empty(); }));
  const NameEntry late = Name(link, "late");
  const auto taken = Take(link, late, 30);
  ASSERT_FALSE(taken);
  EXPECT_EQ(taken.error().code, ErrorCode::kUnavailable);
  const ActorPlacement placement{late.actor, link.own().id, 1, wire::ActorState::Alive};
  thread_.Run([&] { link.PlaceActor(placement); });
  EXPECT_GE(Status(link).due, 1u);
  SetReachable(true);
  EXPECT_TRUE(Comes([&] { return FindActor(late.actor).has_value(); }));
  EXPECT_TRUE(Comes([&] { return Status(link).due == 0 && Status(link).problem.empty(); }));
  EXPECT_FALSE(Find("late"));  // withdrawn, had it happened
  EXPECT_TRUE(Take(link, late));
}

TEST_F(ControlLinkTest, OldOwnerHearsWhatWasTakenOver) {
  ControlLink& first = Join(Record());
  ControlLink& second = Join(Record());
  std::vector<std::string> lost;
  thread_.Run([&] {
    first.SetOnLost([&](const Published::Lost& each) { lost.push_back(std::get<NameEntry>(each.item).name); });
  });
  const NameEntry old = Name(first, "server"), newer = Name(second, "server", 2);
  ASSERT_TRUE(Take(first, old));
  ASSERT_TRUE(thread_.Await<void>([&](auto done) { second.TakeName(newer, old, Deadline::AfterMs(30'000), done); }));
  EXPECT_TRUE(Comes([&] {
    size_t count = 0;
    thread_.Run([&] { count = lost.size(); });
    return count == 1;
  }));
  EXPECT_EQ(*Find("server"), newer);
  EXPECT_EQ(Status(first).published, 0u);
  thread_.Run([&] { second.ReleaseName(newer); });
  EXPECT_TRUE(Comes([&] { return !Find("server"); }));
}

TEST_F(ControlLinkTest, ADeletedKeyStaysDeletedThoughItsWriterRemembersIt) {
  ControlLink& first = Join(Record());
  ControlLink& second = Join(Record());
  ASSERT_TRUE(Put(first, "one"));
  EXPECT_EQ(*thread_.Await<uint64_t>([&](auto done) { second.DeleteKey("key", Deadline::AfterMs(30'000), done); }), 2u);
  Flush();
  EXPECT_TRUE(Comes([&] { return Status(second).losses == 1 && Status(second).due == 0; }));
  EXPECT_TRUE(Comes([&] { return Status(first).published == 0; }));
  EXPECT_FALSE(Get());
}

}  // namespace
}  // namespace raylet::test
