// What an ObjectManager says to other raylets, beside a real store that has none of what it is asked for.
#include "raylet/object_manager.h"

#include <gtest/gtest.h>
#include <uv.h>

#include "tests/harness/daemon_process.h"
#include "tests/harness/run_folder.h"
#include "tests/raylet/transfer_machine.h"

namespace raylet::test {
namespace {

constexpr uint32_t kOwnBase = 7;
constexpr uint32_t kPeerBase = 9;
constexpr size_t kMany = 25'000;  // more than twice what one message may name

struct Said {
  NodeId node;
  wire::ObjectMessage type;
  Bytes body;
};

class ObjectManagerTest : public ::testing::Test, protected ObjectManager::Events {
 protected:
  ObjectManagerTest() {
    view_.Up(peer_, 1, kPeerBase, "127.0.0.1:1", {});
    auto link = ConnectStoreLink(loop_, folder_.File("store"), /*in_cluster=*/true);
    EXPECT_TRUE(link);
    store_ = *std::move(link);
    auto client = store_->NewClient("test");
    EXPECT_TRUE(client);
    ObjectManager::Events& events = *this;
    objects_.emplace(loop_, clock_, kOwnBase, view_, *store_, *std::move(client), events);
  }

  // Everything that is posted, done.
  void Turn() {
    bool done = false;
    loop_.Post([&] { loop_.Post([&] { done = true; }); });
    while (!done) uv_run(loop_.raw(), UV_RUN_ONCE);
  }
  std::vector<size_t> CountIds(wire::ObjectMessage type) const {
    std::vector<size_t> counts;
    for (const Said& said : said_) {
      if (said.type != type) continue;
      EXPECT_EQ(said.node, peer_);
      counts.push_back(type == wire::ObjectMessage::Locate ? Parse<wire::LocateRequestT>(said.body)->objects.size()
                                                           : Parse<wire::FreeCopiesNoticeT>(said.body)->objects.size());
    }
    return counts;
  }

  void TellPeer(const NodeId& node, wire::ObjectMessage type, Bytes body) override {
    said_.push_back({node, type, std::move(body)});
  }
  void DialBulk(const NodeId& node) override {
    if (!there_) return;
    auto [sends, receives] = SocketPair();
    there_->Run([&, &fd = sends] { there_->sender->Serve(own_, std::move(fd)); });
    objects_->Dialled(node, std::move(receives));
  }
  // As its owner's machine answers.
  void SayThatItIsThere(const ObjectId& object) {
    wire::CopiesFoundT found;
    found.copies.emplace_back(ToWire(object), ToWire(peer_), 0);
    Frame frame;
    frame.header.type = static_cast<uint16_t>(wire::ObjectMessage::CopiesFound);
    frame.body = Encode(found);
    EXPECT_TRUE(objects_->OnMessage(peer_, frame));
  }
  template <class Condition>
  testing::AssertionResult RunUntil(Condition condition) {
    if (Eventually(std::chrono::seconds(20), [&] {
          Turn();
          return condition();
        }))
      return testing::AssertionSuccess();
    return testing::AssertionFailure() << "20 s are over";
  }
  bool IsAlive(ProcessId) const override { return true; }
  void OnWillNotCome(PullAsker, const ObjectId&, const Error& why) override { ADD_FAILURE() << why.message; }

  RunFolder folder_;
  Result<DaemonProcess> daemon_ = DaemonProcess::Start("plasma_store", {"-m", "16M", "-s", folder_.File("store")});
  Loop loop_;
  SteadyClock clock_;
  const NodeId own_ = NodeId::FromRandom();
  const NodeId peer_ = NodeId::FromRandom();
  ClusterView view_{own_};
  std::unique_ptr<StoreLink> store_;
  std::optional<Machine> there_;  // the peer's objects, where a test has some
  std::optional<ObjectManager> objects_;
  std::vector<Said> said_;
  std::atomic<uint64_t> next_{1};
};

TEST_F(ObjectManagerTest, WhoeverWantsManyObjectsAsksForThemInMessagesOfBoundedSize) {
  for (size_t i = 0; i < kMany; ++i)
    objects_->Want(NewObjectId(ProcessId{kPeerBase} << 32 | 1, next_), kArgumentAsker, PullPriority::kArgument);
  Turn();
  EXPECT_EQ(CountIds(wire::ObjectMessage::Locate), (std::vector<size_t>{10'000, 10'000, 5'000}));
}

TEST_F(ObjectManagerTest, AnOwnersManyObjectsAreFreedInMessagesOfBoundedSize) {
  const ProcessId owner = ProcessId{kOwnBase} << 32 | 1;
  for (size_t i = 0; i < kMany; ++i) objects_->MadeElsewhere(NewObjectId(owner, next_), peer_);
  objects_->ProcessGone(owner);
  EXPECT_EQ(CountIds(wire::ObjectMessage::FreeCopies), (std::vector<size_t>{10'000, 10'000, 5'000}));
}

class ArgumentsTest : public ObjectManagerTest {
 protected:
  ArgumentsTest() { there_.emplace("32M"); }

  ObjectId PutThere(size_t bytes) {
    const ObjectId object = NewObjectId(ProcessId{kPeerBase} << 32 | 1, next_);
    EXPECT_TRUE(there_->store->CreateAndSeal(object, RandomContent(bytes, 1), {}, {}));
    return object;
  }
  void Bring(const ObjectId& object) {
    objects_->WantArguments({&object, 1});
    Turn();
    SayThatItIsThere(object);
    EXPECT_TRUE(RunUntil([&] { return objects_->transfer().queue().objects() == 0; }))
        << objects_->transfer().WhyWaiting(object);
    EXPECT_TRUE(objects_->IsHere(object));
  }
  // As much as there is room for without what is pinned.
  void FillStore() {
    const auto client = *store_->NewClient("filler");
    for (int i = 0; i < 30; ++i)
      (void)client->CreateAndSeal(ObjectId::FromRandom(), Content(1 << 20), {}, {.evict_if_full = true});
  }
};

TEST_F(ArgumentsTest, ACopyIsPinnedFromItsArrivalUntilItIsReleasedAndMayBeEvictedThen) {
  const ObjectId object = PutThere(1'000'000);
  Bring(object);
  EXPECT_EQ(objects_->pinned_argument_bytes(), 1'000'000u);
  FillStore();
  EXPECT_TRUE(objects_->IsHere(object));
  objects_->ReleaseArguments({&object, 1});
  EXPECT_EQ(objects_->pinned_argument_bytes(), 0u);
  FillStore();
  EXPECT_FALSE(objects_->IsHere(object));
}

TEST_F(ArgumentsTest, NoMoreThanAQuarterOfTheStoreIsPinnedForThem) {
  std::vector<ObjectId> objects;
  for (int i = 0; i < 6; ++i) Bring(objects.emplace_back(PutThere(1'000'000)));
  EXPECT_EQ(objects_->pinned_argument_bytes(), 4'000'000u);  // of 16 MiB
  objects_->ReleaseArguments(objects);
  EXPECT_EQ(objects_->pinned_argument_bytes(), 0u);
}

TEST_F(ArgumentsTest, WhatIsReleasedOnItsWayIsStoppedAndNothingOfItIsPinned) {
  const ObjectId object = PutThere(3'000'000), sought = PutThere(10);
  objects_->WantArguments({&object, 1});
  objects_->WantArguments({&sought, 1});
  Turn();
  SayThatItIsThere(object);
  Turn();
  objects_->ReleaseArguments({&object, 1});
  objects_->ReleaseArguments({&sought, 1});
  EXPECT_EQ(objects_->transfer().queue().objects(), 0u);
  const ObjectId other = PutThere(1000);
  Bring(other);  // over the same connection, behind it
  EXPECT_EQ(objects_->pinned_argument_bytes(), 1000u);
}

}  // namespace
}  // namespace raylet::test
