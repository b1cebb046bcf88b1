// Several machines with an ObjectTransfer each, between real stores. The test plays the owner's raylet, which knows
// where copies are.
#include "raylet/objects/transfer.h"

#include <gtest/gtest.h>
#include <signal.h>

#include <condition_variable>
#include <mutex>
#include <set>

#include "tests/harness/manual_clock.h"
#include "tests/raylet/objects/transfer_machine.h"

namespace raylet::test {
namespace {

class Node;

// The machines, and the objects of each. Any thread.
struct World {
  std::mutex mutex;
  std::map<NodeId, Node*> nodes;
  std::map<ObjectId, std::set<NodeId>> copies;
  std::set<ObjectId> lost;
  std::set<NodeId> unreachable;
  std::atomic<uint64_t> next{1};  // object
};

class Node final : public ObjectTransfer::Handler {
 public:
  explicit Node(World& world, const std::string& memory = "32M", ObjectTransferLimits limits = {})
      : id(NodeId::FromRandom()), world_(world) {
    SetLogLevel(LogLevel::kError);
    auto started = DaemonProcess::Start("plasma_store", {"-m", memory, "-s", folder_.File("store")});
    if (!started) throw std::runtime_error(started.error().message);
    daemon.emplace(*std::move(started));
    store = Connect();
    loop_.Run([&] {
      transfer.emplace(
          loop_.loop(), clock_, id, Connect(), [this](const NodeId& node, auto done) { Dial(node, std::move(done)); },
          *this, limits);
    });
    const std::lock_guard lock(world.mutex);
    world.nodes[id] = this;
  }
  ~Node() override { Stop(); }
  // Turns the clock after the turn of the last event.
  void TurnClock(Duration by) {
    Run([&] { clock_.Advance(by); });
  }
  // Its connections break, as if the machine had gone.
  void Stop() {
    {
      const std::lock_guard lock(world_.mutex);
      world_.nodes.erase(id);
    }
    Run([&] { transfer.reset(); });
  }

  void Run(const std::function<void()>& work) { loop_.Run(work); }
  ObjectId Put(const Content& data, ProcessId owner = 7) {
    const ObjectId object = NewObjectId(owner, world_.next);
    Put(object, data);
    return object;
  }
  void Put(const ObjectId& object, const Content& data) {
    EXPECT_TRUE(store->CreateAndSeal(object, data, {}, {}));
    const std::lock_guard lock(world_.mutex);
    world_.copies[object].insert(id);
  }
  void Want(const ObjectId& object, Wanter wanter, PullPriority priority = PullPriority::kGet,
            Deadline deadline = Deadline::Never()) {
    Run([&] { EXPECT_TRUE(transfer->pulls().Want(object, wanter, priority, deadline)); });
  }
  // The error that `wanter` has been told about the object; waits for it.
  Error Told(const ObjectId& object, Wanter wanter) {
    std::unique_lock lock(mutex_);
    const bool told = changed_.wait_for(lock, std::chrono::seconds(30), [&] {
      return told_.contains({object, wanter});
    });
    EXPECT_TRUE(told) << "nothing is said of the object";
    return told ? told_[{object, wanter}] : Error{ErrorCode::kTimedOut, "nothing"};
  }
  void ExpectHolds(const ObjectId& object, const Content& data) {
    const auto view = store->Get(object, Deadline::AfterMs(0));
    ASSERT_TRUE(view) << view.error().message;
    EXPECT_TRUE(std::equal(view->data().begin(), view->data().end(), data.begin(), data.end()));
  }

  void OnLocate(std::vector<LocateObject> objects) override {
    wire::LocatedNoticeT located;
    {
      const std::lock_guard lock(world_.mutex);
      for (const LocateObject& each : objects) {
        const auto copies = world_.copies.find(each.object);
        if (world_.lost.contains(each.object)) {
          located.lost.push_back(ToWire(each.object));
        } else if (copies == world_.copies.end()) {
          located.none_yet.push_back(ToWire(each.object));
        } else {
          for (const NodeId& holder : copies->second)
            if (holder != id) located.copies.emplace_back(ToWire(each.object), ToWire(holder), 0);
        }
      }
    }
    transfer->Located(located);
  }
  void Dial(const NodeId& node, const std::function<void(Result<UniqueFd>)>& done) {
    ++dialed;
    const std::lock_guard lock(world_.mutex);
    if (world_.unreachable.contains(node) || !world_.nodes.contains(node))
      return done(Fail(ErrorCode::kDisconnected, "nobody answers there"));
    auto [sends, receives] = SocketPair();
    // In its own time, on its own thread.
    Node& other = *world_.nodes[node];
    other.loop_.loop().Post([&other, from = id, fd = std::make_shared<UniqueFd>(std::move(sends))] {
      if (other.transfer) other.transfer->Serve(from, std::move(*fd));
    });
    done(std::move(receives));
  }
  void OnPullSealed(const ObjectId& object, uint64_t bytes, client::PinnedObject view) override {
    EXPECT_EQ(view.data().size(), bytes);
    ++copied;
    const std::lock_guard lock(world_.mutex);
    world_.copies[object].insert(id);
  }
  void OnSealed(const ObjectId& object, const std::vector<Wanter>& wanters) override {
    for (const Wanter wanter : wanters) Tell(object, wanter, {ErrorCode::kOk, ""});
  }
  void OnLost(Wanter wanter, const ObjectId& object, const Error& why) override { Tell(object, wanter, why); }

  const NodeId id;
  std::optional<DaemonProcess> daemon;
  std::shared_ptr<client::StoreClient> store;
  std::optional<ObjectTransfer> transfer;  // on the loop's thread
  std::atomic<int> copied{0}, dialed{0};

 private:
  std::shared_ptr<client::StoreClient> Connect() {
    auto client = client::StoreClient::Connect(folder_.File("store"), "node", Deadline::AfterMs(20'000), true);
    if (!client) throw std::runtime_error(client.error().message);
    return *client;
  }
  void Tell(const ObjectId& object, Wanter wanter, const Error& what) {
    const std::lock_guard lock(mutex_);
    EXPECT_TRUE(told_.try_emplace({object, wanter}, what).second) << "told twice";
    changed_.notify_all();
  }

  World& world_;
  RunFolder folder_;
  ManualClock clock_{ManualClock::Between::kGoesOn};  // the loop's thread
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::pair<ObjectId, Wanter>, Error> told_;  // under mutex_
  LoopThread loop_;
};

TEST(ObjectTransfer, ManyWantersOfOneObjectShareOnePull) {
  World world;
  Node from(world), to(world);
  const Content data = RandomContent(1'000'000, 1);
  const ObjectId object = from.Put(data);
  to.Run([&] {
    for (Wanter wanter = 1; wanter <= 20; ++wanter)
      EXPECT_TRUE(to.transfer->pulls().Want(object, wanter, static_cast<PullPriority>(wanter % 3), Deadline::Never()));
  });
  for (Wanter wanter = 1; wanter <= 20; ++wanter) EXPECT_EQ(to.Told(object, wanter).code, ErrorCode::kOk);
  to.ExpectHolds(object, data);
  EXPECT_EQ(to.copied, 1);
  from.Run([&] { EXPECT_EQ(from.transfer->sent().bytes_sent.value(), data.size()); });
}

TEST(ObjectTransfer, ThousandsOfSmallObjectsAndAFewLargeOnesAllCome) {
  World world;
  Node from(world), to(world);
  std::map<ObjectId, Content> objects;
  for (uint32_t i = 0; i < 2000; ++i) {
    Content data = RandomContent(i % 400 == 0 ? 1'000'000 : 1000, i);
    const ObjectId object = from.Put(data);
    objects.emplace(object, std::move(data));
  }
  to.Run([&] {
    for (const auto& [object, data] : objects)
      EXPECT_TRUE(to.transfer->pulls().Want(object, 1, PullPriority::kArgument, Deadline::Never()));
  });
  for (const auto& [object, data] : objects) {
    ASSERT_EQ(to.Told(object, 1).code, ErrorCode::kOk);
    to.ExpectHolds(object, data);
  }
}

TEST(ObjectTransfer, AnotherHolderGoesOnWhenOneHasGone) {
  World world;
  Node first(world), second(world), to(world);
  const Content data = RandomContent(20'000'000, 1);
  const ObjectId object = first.Put(data);
  to.Want(object, 1);
  // The first one goes while it sends; the object is elsewhere by then.
  EXPECT_TRUE(Eventually(std::chrono::seconds(20), [&] { return to.transfer->received().bytes_received.value() > 0; }));
  second.Put(object, data);
  first.Stop();
  to.Run([&] { to.transfer->MachineLost(first.id); });
  ASSERT_EQ(to.Told(object, 1).code, ErrorCode::kOk);
  to.ExpectHolds(object, data);
}

TEST(ObjectTransfer, AHolderThatCannotBeReachedIsPassedOver) {
  World world;
  Node away(world), there(world), to(world);
  const Content data = RandomContent(1000, 1);
  const ObjectId object = there.Put(data);
  away.Put(object, data);
  world.unreachable.insert(away.id);
  to.Want(object, 1);
  EXPECT_EQ(to.Told(object, 1).code, ErrorCode::kOk);
}

TEST(ObjectTransfer, LocatesAgainAfterAHolderHasEvictedItsCopy) {
  World world;
  Node gone(world), to(world);
  const Content data = RandomContent(1000, 1);
  const ObjectId object = gone.Put(data);
  ASSERT_TRUE(gone.store->Delete({&object, 1}));
  to.Want(object, 1);
  EXPECT_TRUE(Eventually(std::chrono::seconds(20), [&] {
    std::string why;
    to.Run([&] { why = to.transfer->queue().WhyWaiting(object); });
    return why.find("is not in the store") != std::string::npos;
  }));
  gone.Put(object, data);
  EXPECT_EQ(to.Told(object, 1).code, ErrorCode::kOk);
}

TEST(ObjectTransfer, AWanterHearsOfAFullStoreAtItsDeadline) {
  World world;
  Node from(world), to(world, "16M");
  const ObjectId object = from.Put(RandomContent(10'000'000, 1));
  const ObjectId pinned = to.Put(Content(10'000'000));
  const auto pin = to.store->Get(pinned, Deadline::AfterMs(0));
  ASSERT_TRUE(pin);
  to.Want(object, 1, PullPriority::kArgument);
  EXPECT_TRUE(Eventually(std::chrono::seconds(20), [&] {
    std::string why;
    to.Run([&] { why = to.transfer->queue().WhyWaiting(object); });
    return why.find("10000000") != std::string::npos;
  }));
  to.Want(object, 1, PullPriority::kArgument, Deadline::AfterMs(1));
  const Error why = to.Told(object, 1);
  EXPECT_EQ(why.code, ErrorCode::kTimedOut);
  EXPECT_NE(why.message.find("10000000"), std::string::npos) << why.message;
}

TEST(ObjectTransfer, AStoreThatDoesNotAnswerHoldsUpTheTransferAndNotTheLoop) {
  World world;
  Node from(world), to(world);
  const Content data = RandomContent(1'000'000, 1);
  const ObjectId object = from.Put(data);
  to.daemon->Signal(SIGSTOP);
  to.Want(object, 1);
  EXPECT_TRUE(Eventually(std::chrono::seconds(20), [&] { return from.transfer->sent().bytes_sent.value() > 0; }));
  std::string why;
  to.Run([&] { why = to.transfer->queue().WhyWaiting(object); });  // returns although the store is silent
  EXPECT_NE(why.find("is pulled from node " + from.id.hex()), std::string::npos) << why;
  to.daemon->Signal(SIGCONT);
  ASSERT_EQ(to.Told(object, 1).code, ErrorCode::kOk);
  to.ExpectHolds(object, data);
}

TEST(ObjectTransfer, LostObjectsFailAndFreedObjectsGo) {
  World world;
  Node from(world), to(world);
  const ObjectId lost = from.Put(RandomContent(10, 1)), freed = from.Put(RandomContent(1000, 2));
  world.lost.insert(lost);
  to.Want(lost, 1);
  EXPECT_EQ(to.Told(lost, 1).code, ErrorCode::kNotFound);
  to.Want(freed, 1);
  EXPECT_EQ(to.Told(freed, 1).code, ErrorCode::kOk);
  EXPECT_TRUE(*to.store->Contains(freed));
  to.Run([&] { to.transfer->Free({&freed, 1}); });
  EXPECT_TRUE(Eventually(std::chrono::seconds(20), [&] { return !*to.store->Contains(freed); }));
  // Wanted when its owner lets it go: it will not come.
  const ObjectId never = NewObjectId(7, world.next);
  to.Want(never, 1);
  to.Run([&] { to.transfer->Free({&never, 1}); });
  EXPECT_EQ(to.Told(never, 1).code, ErrorCode::kNotFound);
}

TEST(ObjectTransfer, ThePartThatCameGoesWithTheLastWanter) {
  World world;
  Node from(world), to(world);
  const ObjectId object = from.Put(RandomContent(20'000'000, 1));
  to.Want(object, 1);
  EXPECT_TRUE(Eventually(std::chrono::seconds(20), [&] { return to.transfer->received().bytes_received.value() > 0; }));
  to.Run([&] { to.transfer->pulls().WanterGone(1); });
  EXPECT_TRUE(Eventually(std::chrono::seconds(20), [&] {
    const auto entry = to.store->Describe(object);
    return !entry->has_value() || (*entry)->sealed;  // it may have come whole before
  }));
  to.Run([&] { EXPECT_EQ(to.transfer->queue().objects(), 0u); });
}

TEST(ObjectTransfer, AConnectionThatCarriesNothingIsClosedAndTheNextObjectHasAnother) {
  World world;
  Node from(world), to(world);
  const auto put = [&] { return from.Put(RandomContent(1'000'000, 1)); };
  const ObjectId first = put(), second = put(), third = put();
  to.Want(first, 1);
  ASSERT_EQ(to.Told(first, 1).code, ErrorCode::kOk);
  to.TurnClock(ObjectTransferLimits().idle_max - std::chrono::seconds(10));
  to.Want(second, 1);
  ASSERT_EQ(to.Told(second, 1).code, ErrorCode::kOk);
  EXPECT_EQ(to.dialed, 1);
  // A pull comes at the very moment when the connection has been idle for long enough.
  to.TurnClock(ObjectTransferLimits().idle_max);
  to.Want(third, 1);
  ASSERT_EQ(to.Told(third, 1).code, ErrorCode::kOk);
  EXPECT_EQ(to.dialed, 2);
  to.TurnClock(ObjectTransferLimits().idle_max);
  to.Run([&] { to.transfer->pulls().WantNoLonger(third, 1); });  // any turn
  EXPECT_TRUE(Eventually(std::chrono::seconds(20), [&] {
    size_t sources = 1;
    to.Run([&] { sources = to.transfer->sources(); });
    return sources == 0;
  }));
}

TEST(ObjectTransfer, AConnectionOnWhichAnObjectIsAwaitedIsNotIdleHoweverLongThatTakes) {
  World world;
  Node from(world), to(world);
  const Content data = RandomContent(1'000'000, 1);
  const ObjectId object = from.Put(data);
  to.daemon->Signal(SIGSTOP);
  to.Want(object, 1);
  EXPECT_TRUE(Eventually(std::chrono::seconds(20), [&] { return from.transfer->sent().bytes_sent.value() > 0; }));
  to.TurnClock(10 * ObjectTransferLimits().idle_max);
  to.Run([&] { to.transfer->pulls().WantNoLonger(object, 2); });  // any turn
  to.daemon->Signal(SIGCONT);
  ASSERT_EQ(to.Told(object, 1).code, ErrorCode::kOk);
  to.ExpectHolds(object, data);
  EXPECT_EQ(to.dialed, 1);
}

}  // namespace
}  // namespace raylet::test
