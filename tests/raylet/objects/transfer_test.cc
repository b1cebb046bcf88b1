// Two machines and more with an ObjectTransfer each, between real stores; the test is the owner who knows where copies
// are.
#include "raylet/objects/transfer.h"

#include <gtest/gtest.h>
#include <signal.h>

#include <condition_variable>
#include <mutex>
#include <set>

#include "tests/raylet/objects/transfer_machine.h"

namespace raylet::test {
namespace {

class Node;

// Who is where, and who has what. Any thread.
struct World {
  std::mutex mutex;
  std::map<NodeId, Node*> nodes;
  std::map<ObjectId, std::set<NodeId>> copies;
  std::set<ObjectId> lost;
  std::set<NodeId> unreachable;
  std::atomic<uint64_t> next{1};  // object
};

// Goes on by itself, and further where a test says so.
class TurnedClock final : public Clock {
 public:
  TimePoint Now() const override { return SteadyClock().Now() + turned.load(); }
  std::atomic<Duration> turned{Duration::zero()};
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
    loop_.Run([&] { transfer.emplace(loop_.loop(), clock_, id, Connect(), *this, limits); });
    const std::lock_guard lock(world.mutex);
    world.nodes[id] = this;
  }
  ~Node() override { Stop(); }
  // After the turn in which something was told.
  void TurnClock(Duration by) {
    Run([&] { clock_.turned = clock_.turned.load() + by; });
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
  void Ask(const ObjectId& object, PullAsker asker, PullPriority priority = PullPriority::kGet,
           Deadline deadline = Deadline::Never()) {
    Run([&] { EXPECT_TRUE(transfer->Ask(object, asker, priority, deadline)); });
  }
  // What the askers of an object have been told, once `asker` has been.
  Error Told(const ObjectId& object, PullAsker asker) {
    std::unique_lock lock(mutex_);
    const bool told = changed_.wait_for(lock, std::chrono::seconds(30), [&] {
      return told_.contains({object, asker});
    });
    EXPECT_TRUE(told) << "nothing is said of the object";
    return told ? told_[{object, asker}] : Error{ErrorCode::kTimedOut, "nothing"};
  }
  void ExpectHolds(const ObjectId& object, const Content& data) {
    const auto view = store->Get(object, Deadline::AfterMs(0));
    ASSERT_TRUE(view) << view.error().message;
    EXPECT_TRUE(std::equal(view->data().begin(), view->data().end(), data.begin(), data.end()));
  }

  void OnLocate(std::vector<LocateObject> objects) override {
    wire::CopiesFoundT found;
    {
      const std::lock_guard lock(world_.mutex);
      for (const LocateObject& each : objects) {
        const auto copies = world_.copies.find(each.object);
        if (world_.lost.contains(each.object)) {
          found.lost.push_back(ToWire(each.object));
        } else if (copies == world_.copies.end()) {
          found.none_yet.push_back(ToWire(each.object));
        } else {
          for (const NodeId& holder : copies->second)
            if (holder != id) found.copies.emplace_back(ToWire(each.object), ToWire(holder), 0);
        }
      }
    }
    transfer->Found(found);
  }
  void OnDial(const NodeId& node) override {
    ++dialled;
    const std::lock_guard lock(world_.mutex);
    if (world_.unreachable.contains(node) || !world_.nodes.contains(node))
      return transfer->Dialled(node, Fail(ErrorCode::kDisconnected, "nobody answers there"));
    auto [sends, receives] = SocketPair();
    // In its own time, on its own thread.
    Node& other = *world_.nodes[node];
    other.loop_.loop().Post([&other, from = id, fd = std::make_shared<UniqueFd>(std::move(sends))] {
      if (other.transfer) other.transfer->Serve(from, std::move(*fd));
    });
    transfer->Dialled(node, std::move(receives));
  }
  void OnCopied(const ObjectId& object, uint64_t bytes, client::ObjectView view) override {
    EXPECT_EQ(view.data().size(), bytes);
    ++copied;
    const std::lock_guard lock(world_.mutex);
    world_.copies[object].insert(id);
  }
  void OnHere(const ObjectId& object, const std::vector<PullAsker>& askers) override {
    for (const PullAsker asker : askers) Tell(object, asker, {ErrorCode::kOk, ""});
  }
  void OnFailed(const ObjectId& object, PullAsker asker, const Error& why) override { Tell(object, asker, why); }

  const NodeId id;
  std::optional<DaemonProcess> daemon;
  std::shared_ptr<client::StoreClient> store;
  std::optional<ObjectTransfer> transfer;  // on the loop's thread
  std::atomic<int> copied{0}, dialled{0};

 private:
  std::shared_ptr<client::StoreClient> Connect() {
    auto client = client::StoreClient::Connect(folder_.File("store"), "node", Deadline::AfterMs(20'000), true);
    if (!client) throw std::runtime_error(client.error().message);
    return *client;
  }
  void Tell(const ObjectId& object, PullAsker asker, const Error& what) {
    const std::lock_guard lock(mutex_);
    EXPECT_TRUE(told_.try_emplace({object, asker}, what).second) << "told twice";
    changed_.notify_all();
  }

  World& world_;
  RunFolder folder_;
  TurnedClock clock_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::pair<ObjectId, PullAsker>, Error> told_;  // under mutex_
  LoopThread loop_;
};

TEST(ObjectTransfer, ManyAskersOfOneObjectHaveOneCopyMade) {
  World world;
  Node from(world), to(world);
  const Content data = RandomContent(1'000'000, 1);
  const ObjectId object = from.Put(data);
  to.Run([&] {
    for (PullAsker asker = 1; asker <= 20; ++asker)
      EXPECT_TRUE(to.transfer->Ask(object, asker, static_cast<PullPriority>(asker % 3), Deadline::Never()));
  });
  for (PullAsker asker = 1; asker <= 20; ++asker) EXPECT_EQ(to.Told(object, asker).code, ErrorCode::kOk);
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
      EXPECT_TRUE(to.transfer->Ask(object, 1, PullPriority::kArgument, Deadline::Never()));
  });
  for (const auto& [object, data] : objects) {
    ASSERT_EQ(to.Told(object, 1).code, ErrorCode::kOk);
    to.ExpectHolds(object, data);
  }
}

TEST(ObjectTransfer, WhenAHolderGoesAnotherOneGoesOn) {
  World world;
  Node first(world), second(world), to(world);
  const Content data = RandomContent(20'000'000, 1);
  const ObjectId object = first.Put(data);
  to.Ask(object, 1);
  // The first one goes while it sends; the object is elsewhere by then.
  EXPECT_TRUE(Eventually(std::chrono::seconds(20), [&] { return to.transfer->received().bytes_received.value() > 0; }));
  second.Put(object, data);
  first.Stop();
  to.Run([&] { to.transfer->NodeGone(first.id); });
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
  to.Ask(object, 1);
  EXPECT_EQ(to.Told(object, 1).code, ErrorCode::kOk);
}

TEST(ObjectTransfer, AHolderThatHasEvictedItsCopyIsAskedForInVainAndTheOwnerAgain) {
  World world;
  Node gone(world), to(world);
  const Content data = RandomContent(1000, 1);
  const ObjectId object = gone.Put(data);
  ASSERT_TRUE(gone.store->Delete({&object, 1}));
  to.Ask(object, 1);
  EXPECT_TRUE(Eventually(std::chrono::seconds(20), [&] {
    std::string why;
    to.Run([&] { why = to.transfer->WhyWaiting(object); });
    return why.find("is not in the store") != std::string::npos;
  }));
  gone.Put(object, data);
  EXPECT_EQ(to.Told(object, 1).code, ErrorCode::kOk);
}

TEST(ObjectTransfer, AFullStoreIsWhatAnAskerHearsAtItsDeadline) {
  World world;
  Node from(world), to(world, "16M");
  const ObjectId object = from.Put(RandomContent(10'000'000, 1));
  const ObjectId pinned = to.Put(Content(10'000'000));
  const auto pin = to.store->Get(pinned, Deadline::AfterMs(0));
  ASSERT_TRUE(pin);
  to.Ask(object, 1, PullPriority::kArgument);
  EXPECT_TRUE(Eventually(std::chrono::seconds(20), [&] {
    std::string why;
    to.Run([&] { why = to.transfer->WhyWaiting(object); });
    return why.find("10000000") != std::string::npos;
  }));
  to.Ask(object, 1, PullPriority::kArgument, Deadline::AfterMs(1));
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
  to.Ask(object, 1);
  EXPECT_TRUE(Eventually(std::chrono::seconds(20), [&] { return from.transfer->sent().bytes_sent.value() > 0; }));
  std::string why;
  to.Run([&] { why = to.transfer->WhyWaiting(object); });  // returns although the store is silent
  EXPECT_NE(why.find("is on its way from node " + from.id.hex()), std::string::npos) << why;
  to.daemon->Signal(SIGCONT);
  ASSERT_EQ(to.Told(object, 1).code, ErrorCode::kOk);
  to.ExpectHolds(object, data);
}

TEST(ObjectTransfer, WhatIsLostFailsAndWhatIsFreedGoes) {
  World world;
  Node from(world), to(world);
  const ObjectId lost = from.Put(RandomContent(10, 1)), freed = from.Put(RandomContent(1000, 2));
  world.lost.insert(lost);
  to.Ask(lost, 1);
  EXPECT_EQ(to.Told(lost, 1).code, ErrorCode::kNotFound);
  to.Ask(freed, 1);
  EXPECT_EQ(to.Told(freed, 1).code, ErrorCode::kOk);
  EXPECT_TRUE(*to.store->Contains(freed));
  to.Run([&] { to.transfer->Free({&freed, 1}); });
  EXPECT_TRUE(Eventually(std::chrono::seconds(20), [&] { return !*to.store->Contains(freed); }));
  // Asked for when its owner lets it go: it will not come.
  const ObjectId never = NewObjectId(7, world.next);
  to.Ask(never, 1);
  to.Run([&] { to.transfer->Free({&never, 1}); });
  EXPECT_EQ(to.Told(never, 1).code, ErrorCode::kNotFound);
}

TEST(ObjectTransfer, WhenTheLastAskerGoesWhatHasComeGoes) {
  World world;
  Node from(world), to(world);
  const ObjectId object = from.Put(RandomContent(20'000'000, 1));
  to.Ask(object, 1);
  EXPECT_TRUE(Eventually(std::chrono::seconds(20), [&] { return to.transfer->received().bytes_received.value() > 0; }));
  to.Run([&] { to.transfer->AskerGone(1); });
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
  to.Ask(first, 1);
  ASSERT_EQ(to.Told(first, 1).code, ErrorCode::kOk);
  to.TurnClock(ObjectTransferLimits().idle_max - std::chrono::seconds(10));
  to.Ask(second, 1);
  ASSERT_EQ(to.Told(second, 1).code, ErrorCode::kOk);
  EXPECT_EQ(to.dialled, 1);
  // In the moment in which it is over, somebody asks.
  to.TurnClock(ObjectTransferLimits().idle_max);
  to.Ask(third, 1);
  ASSERT_EQ(to.Told(third, 1).code, ErrorCode::kOk);
  EXPECT_EQ(to.dialled, 2);
  to.TurnClock(ObjectTransferLimits().idle_max);
  to.Run([&] { to.transfer->Cancel(third, 1); });  // any turn
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
  to.Ask(object, 1);
  EXPECT_TRUE(Eventually(std::chrono::seconds(20), [&] { return from.transfer->sent().bytes_sent.value() > 0; }));
  to.TurnClock(10 * ObjectTransferLimits().idle_max);
  to.Run([&] { to.transfer->Cancel(object, 2); });  // any turn
  to.daemon->Signal(SIGCONT);
  ASSERT_EQ(to.Told(object, 1).code, ErrorCode::kOk);
  to.ExpectHolds(object, data);
  EXPECT_EQ(to.dialled, 1);
}

}  // namespace
}  // namespace raylet::test
