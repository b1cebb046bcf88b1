// The messages of an ObjectManager to other raylets, beside a real store that has none of the wanted objects.
#include "raylet/objects/object_manager.h"

#include <gtest/gtest.h>
#include <uv.h>

#include <numeric>

#include "fbs/id_lists.h"
#include "tests/harness/daemon_process.h"
#include "tests/harness/run_folder.h"
#include "tests/raylet/objects/transfer_machine.h"

namespace raylet::test {
namespace {

constexpr MachineNumber kOwnMachine{7};
constexpr MachineNumber kPeerMachine{9};
constexpr size_t kMany = 5'000;  // more than twice what one message may name

struct Said {
  NodeId node;
  wire::ObjectMessage type;
  Bytes body;
};

class ObjectManagerTest : public ::testing::Test, protected ObjectManager::Events, protected StoreLink::Handler {
 protected:
  ObjectManagerTest() {
    view_.Up(peer_, 1, kPeerMachine, "127.0.0.1:1", {});
    auto link = ConnectStoreLink(loop_, folder_.File("store"));
    EXPECT_TRUE(link);
    store_ = *std::move(link);
    auto client = store_->NewClient("test");
    EXPECT_TRUE(client);
    ObjectManager::Events& events = *this;
    objects_.emplace(
        loop_, clock_, kOwnMachine, view_, *store_, *std::move(client),
        [this](const NodeId&, auto done) { Dial(done); }, events);
    store_->SetHandler(*this);
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

  void OnSealed(const ObjectId& object) override { objects_->SealedHere(object); }
  void OnInherited(uint32_t, std::span<const ObjectId>, bool) override {}
  void OnStoreGone(const Error& reason) override { ADD_FAILURE() << reason.message; }
  void TellPeer(const NodeId& node, wire::ObjectMessage type, Bytes body) override {
    said_.push_back({node, type, std::move(body)});
  }
  void Dial(const std::function<void(Result<UniqueFd>)>& done) {
    if (!there_) return;
    auto [sends, receives] = SocketPair();
    there_->Run([&, &fd = sends] { there_->sender->Serve(own_, std::move(fd)); });
    done(std::move(receives));
  }
  // As its owner's machine answers.
  void SayThatItIsThere(const ObjectId& object) {
    wire::LocatedNoticeT located;
    located.copies.emplace_back(ToWire(object), ToWire(peer_), 0);
    Frame frame;
    frame.header.type = static_cast<uint16_t>(wire::ObjectMessage::Located);
    frame.body = Encode(located);
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
  bool IsAlive(ProcessId process) const override { return !ended_.contains(process); }
  bool IsKept(const ObjectId&) const override { return false; }
  void OnLost(Wanter, const ObjectId& object, const Error& why) override {
    if (!failures_expected_) ADD_FAILURE() << why.message;
    failures_[object] = why.message;
  }
  void PeerDies(const std::string& why) {
    view_.Dead(peer_, why);
    objects_->MachineLost(peer_, kPeerMachine, {ErrorCode::kDisconnected, why});
  }

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
  std::set<ProcessId> ended_;
  bool failures_expected_ = false;
  std::map<ObjectId, std::string> failures_;
  std::atomic<uint64_t> next_{1};
};

TEST_F(ObjectManagerTest, ManyWantedObjectsAreLocatedInMessagesOfBoundedSize) {
  for (size_t i = 0; i < kMany; ++i)
    objects_->Want(NewObjectId(ProcessIdOf(kPeerMachine, 1), next_), kArgumentWanter, PullPriority::kArgument);
  EXPECT_TRUE(RunUntil([&] {
    const auto counts = CountIds(wire::ObjectMessage::Locate);
    return std::accumulate(counts.begin(), counts.end(), size_t{0}) == kMany;
  }));
  for (const size_t count : CountIds(wire::ObjectMessage::Locate)) EXPECT_LE(count, kObjectsPerMessage);
}

TEST_F(ObjectManagerTest, AnOwnersManyObjectsAreFreedInMessagesOfBoundedSize) {
  const ProcessId owner = ProcessIdOf(kOwnMachine, 1);
  std::vector<ObjectId> all;
  for (size_t i = 0; i < kMany; ++i) all.push_back(NewObjectId(owner, next_));
  for (const ObjectId& object : all) objects_->SealedElsewhere(object, peer_);
  objects_->Freed(all);
  EXPECT_EQ(CountIds(wire::ObjectMessage::FreeCopies), (std::vector<size_t>{2'000, 2'000, 1'000}));
}

TEST_F(ObjectManagerTest, AWanterHearsWhichMachineDiedWithItsObjectAndWhy) {
  failures_expected_ = true;
  const ProcessId owner = ProcessIdOf(kOwnMachine, 1);
  const ObjectId awaited = NewObjectId(owner, next_), sought = NewObjectId(owner, next_);
  for (const ObjectId& object : {awaited, sought}) objects_->SealedElsewhere(object, peer_);
  objects_->Want(awaited, owner, PullPriority::kGet);
  Turn();
  PeerDies("nothing was heard of it for 10 s");
  EXPECT_TRUE(RunUntil([&] { return failures_.contains(awaited); }));
  objects_->Want(sought, owner, PullPriority::kGet);
  EXPECT_TRUE(RunUntil([&] { return failures_.contains(sought); }));
  for (const auto& [object, why] : failures_)
    EXPECT_EQ(why, "its last copy was on the machine at 127.0.0.1:1, which is lost: nothing was heard of it for 10 s");
  // Also for objects that the machine's processes own.
  const ObjectId theirs = NewObjectId(ProcessIdOf(kPeerMachine, 1), next_);
  objects_->Want(theirs, owner, PullPriority::kGet);
  EXPECT_TRUE(RunUntil([&] { return failures_.contains(theirs); }));
  EXPECT_EQ(failures_[theirs],
            "its owner was on the machine at 127.0.0.1:1, which is lost: nothing was heard of it for 10 s");
}

TEST_F(ObjectManagerTest, ARemoteRayletHearsWithWhichMachineTheLastCopyWent) {
  const NodeId third = NodeId::FromRandom();
  view_.Up(third, 1, MachineNumber{10}, "127.0.0.1:2", {});
  const ObjectId object = NewObjectId(ProcessIdOf(kOwnMachine, 1), next_);
  objects_->SealedElsewhere(object, peer_);
  PeerDies("it has ended");
  wire::LocateRequestT request;
  request.objects = {ToWire(object)};
  Frame frame;
  frame.header.type = static_cast<uint16_t>(wire::ObjectMessage::Locate);
  const Bytes body = Encode(request);
  frame.body = body;
  ASSERT_TRUE(objects_->OnMessage(third, frame));
  ASSERT_EQ(said_.size(), 1u);
  EXPECT_EQ(said_[0].node, third);
  const auto found = Parse<wire::LocatedNoticeT>(said_[0].body);
  ASSERT_TRUE(found && found->lost_with.size() == 1);
  EXPECT_EQ(FromWire<NodeId>(found->lost_with[0].node()), peer_);
}

class ArgumentsTest : public ObjectManagerTest {
 protected:
  ArgumentsTest() { there_.emplace("32M"); }

  ObjectId PutThere(size_t bytes) {
    const ObjectId object = NewObjectId(ProcessIdOf(kPeerMachine, 1), next_);
    EXPECT_TRUE(there_->store->CreateAndSeal(object, RandomContent(bytes, 1), {}, {}));
    return object;
  }
  void WantUntilSealed(const ObjectId& object) {
    objects_->WantArguments({&object, 1});
    Turn();
    SayThatItIsThere(object);
    EXPECT_TRUE(RunUntil([&] { return objects_->transfer().queue().objects() == 0; }))
        << objects_->transfer().queue().WhyWaiting(object);
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
  WantUntilSealed(object);
  // The store may tell of the seal before the thread that has pulled the object does.
  EXPECT_TRUE(RunUntil([&] { return objects_->pinned_argument_bytes() == 1'000'000u; }));
  FillStore();
  EXPECT_TRUE(objects_->IsHere(object));
  objects_->ReleaseArguments({&object, 1});
  EXPECT_EQ(objects_->pinned_argument_bytes(), 0u);
  FillStore();
  EXPECT_FALSE(objects_->IsHere(object));
}

TEST_F(ArgumentsTest, NoMoreThanAQuarterOfTheStoreIsPinnedForThem) {
  std::vector<ObjectId> objects;
  for (int i = 0; i < 6; ++i) WantUntilSealed(objects.emplace_back(PutThere(1'000'000)));
  EXPECT_EQ(objects_->pinned_argument_bytes(), 4'000'000u);  // of 16 MiB
  objects_->ReleaseArguments(objects);
  EXPECT_EQ(objects_->pinned_argument_bytes(), 0u);
}

TEST_F(ArgumentsTest, AnArgumentReleasedOnItsWayIsStoppedAndNotPinned) {
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
  WantUntilSealed(other);                                                        // over the same connection, behind it
  EXPECT_TRUE(RunUntil([&] { return objects_->pinned_argument_bytes() > 0; }));  // the store has it earlier
  EXPECT_EQ(objects_->pinned_argument_bytes(), 1000u);
}

class CopiesTest : public ArgumentsTest {};

TEST_F(CopiesTest, CopiesGoWithTheirOwnersMachineAndComeAgainWhenItIsBack) {
  const ObjectId copied = PutThere(1'000'000), read = PutThere(1000);
  for (const ObjectId& object : {copied, read}) {
    WantUntilSealed(object);
    objects_->ReleaseArguments({&object, 1});
  }
  const auto client = *store_->NewClient("reader");
  const auto view = client->Get(read, Deadline::AfterMs(0));
  ASSERT_TRUE(view);
  const ObjectId ours = NewObjectId(ProcessIdOf(kOwnMachine, 1), next_), nobodys = ObjectId::FromRandom();
  for (const ObjectId& object : {ours, nobodys}) ASSERT_TRUE(client->CreateAndSeal(object, Content(10), {}, {}));
  PeerDies("nothing was heard of it for 10 s");
  EXPECT_TRUE(RunUntil([&] { return !objects_->IsHere(copied) && !objects_->IsHere(read); }));
  EXPECT_TRUE(objects_->IsHere(ours) && objects_->IsHere(nobodys));
  EXPECT_EQ(view->data().size(), 1000u);  // a reader of the view can go on
  // The machine was only cut off, and begins another session.
  view_.Up(peer_, 1, kPeerMachine, "127.0.0.1:1", {});
  for (const ObjectId& object : {copied, read}) WantUntilSealed(object);
}

// The owner's machine decides whether others still refer to it.
TEST_F(CopiesTest, CopiesSealedAfterARemoteOwnersEndStayUntilItsMachineFreesThem) {
  const ObjectId object = PutThere(1000);
  objects_->WantArguments({&object, 1});
  Turn();
  ended_.insert(OwnerOf(object));
  SayThatItIsThere(object);
  EXPECT_TRUE(RunUntil([&] { return objects_->IsHere(object); }));
  objects_->ReleaseArguments({&object, 1});
  wire::FreeCopiesNoticeT free;
  free.objects.push_back(ToWire(object));
  Frame frame;
  frame.header.type = static_cast<uint16_t>(wire::ObjectMessage::FreeCopies);
  frame.body = Encode(free);
  EXPECT_TRUE(objects_->OnMessage(peer_, frame));
  EXPECT_TRUE(RunUntil([&] { return !objects_->IsHere(object); }));
  EXPECT_EQ(objects_->pinned_argument_bytes(), 0u);
}

TEST_F(CopiesTest, CopiesForARemoteOwnerStayAsFarAsItsMachineKeepsThem) {
  const ProcessId owner = ProcessIdOf(kPeerMachine, 1);
  const ObjectId kept = NewObjectId(owner, next_), freed = NewObjectId(owner, next_);
  const auto client = *store_->NewClient("worker");
  for (const ObjectId& object : {kept, freed}) {
    ASSERT_TRUE(client->CreateAndSeal(object, Content(10), {}, {}));
    objects_->KeptForOwner(object);
  }
  objects_->OwnerGone(owner);
  EXPECT_EQ(objects_->kept(), 2u);
  objects_->KeptWhenSettled(peer_, {&kept, 1});
  objects_->RemoteOwnerSettled(owner);
  EXPECT_TRUE(RunUntil([&] { return !objects_->IsHere(freed); }));
  EXPECT_TRUE(objects_->IsHere(kept));
  EXPECT_EQ(objects_->kept(), 1u);
  PeerDies("nothing was heard of it for 10 s");
  EXPECT_TRUE(RunUntil([&] { return !objects_->IsHere(kept); }));
  EXPECT_EQ(objects_->kept(), 0u);
}

TEST_F(CopiesTest, RemoteCopiesForAProcessOfOursGoOnceTheObjectIsFreed) {
  const ObjectId object = NewObjectId(ProcessIdOf(kOwnMachine, 1), next_);
  ASSERT_TRUE(there_->store->CreateAndSeal(object, Content(1000), {}, {}));
  objects_->SealedElsewhere(object, peer_);
  objects_->WantArguments({&object, 1});
  EXPECT_TRUE(RunUntil([&] { return objects_->IsHere(object); }));
  objects_->ReleaseArguments({&object, 1});
  objects_->OwnerGone(OwnerOf(object));
  EXPECT_TRUE(objects_->IsHere(object));
  EXPECT_TRUE(CountIds(wire::ObjectMessage::FreeCopies).empty());
  objects_->Freed({&object, 1});
  EXPECT_EQ(CountIds(wire::ObjectMessage::FreeCopies), std::vector<size_t>{1});
}

}  // namespace
}  // namespace raylet::test
