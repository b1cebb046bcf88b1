// What an ObjectManager says to other raylets, beside a real store that has none of what it is asked for.
#include "raylet/object_manager.h"

#include <gtest/gtest.h>

#include "tests/harness/daemon_process.h"
#include "tests/harness/run_folder.h"

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
    loop_.Post([this] { loop_.Post([this] { loop_.Stop(); }); });
    loop_.Run();
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
  void DialBulk(const NodeId&) override {}
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

}  // namespace
}  // namespace raylet::test
