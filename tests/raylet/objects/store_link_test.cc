// The raylet's connections to a real store: what it inherits, and what it sees of objects.
#include "raylet/objects/store_link.h"

#include <gtest/gtest.h>
#include <uv.h>

#include <vector>

#include "tests/harness/daemon_process.h"
#include "tests/harness/run_folder.h"

namespace raylet::test {
namespace {

using client::StoreClient;

struct Inherited {
  uint32_t client = 0;
  std::vector<ObjectId> objects;
  bool last = false;
};

class StoreLinkTest : public ::testing::Test, protected StoreLink::Handler {
 protected:
  void SetUp() override {
    ASSERT_TRUE(daemon_) << daemon_.error().message;
    auto link = ConnectStoreLink(loop_, folder_.File("store"));
    ASSERT_TRUE(link) << link.error().message;
    link_ = std::move(*link);
    link_->SetHandler(*this);
  }
  std::shared_ptr<StoreClient> Connect(uint32_t heir = 0) {
    auto client = StoreClient::Connect(folder_.File("store"), "test", Deadline::AfterMs(20'000), false, heir);
    EXPECT_TRUE(client) << client.error().message;
    return *client;
  }
  template <class Condition>
  testing::AssertionResult RunUntil(Condition condition) {
    if (Eventually(std::chrono::seconds(20), [&] {
          uv_run(loop_.raw(), UV_RUN_NOWAIT);
          return condition();
        }))
      return testing::AssertionSuccess();
    return testing::AssertionFailure() << "20 s are over";
  }
  static ObjectId Put(StoreClient& client, size_t data_bytes, std::string_view metadata) {
    const auto id = ObjectId::FromRandom();
    const std::vector<std::byte> data(data_bytes);
    const auto put = client.CreateAndSeal(id, data, std::as_bytes(std::span(metadata)), {.owned = true});
    EXPECT_TRUE(put) << put.error().message;
    return id;
  }

  void OnSealed(const ObjectId&) override {}
  void OnInherited(uint32_t client, std::span<const ObjectId> objects, bool last) override {
    inherited_.push_back({client, {objects.begin(), objects.end()}, last});
  }
  void OnStoreGone(const Error& reason) override { ADD_FAILURE() << reason.message; }

  RunFolder folder_;
  Result<DaemonProcess> daemon_ = DaemonProcess::Start("plasma_store", {"-m", "16M", "-s", folder_.File("store")});
  Loop loop_;
  std::unique_ptr<StoreLink> link_;
  std::vector<Inherited> inherited_;
};

TEST_F(StoreLinkTest, InheritsFromAClientThatNamedIt) {
  auto client = Connect(link_->heir());
  const uint32_t number = client->client_number();
  const auto object = Put(*client, 100, "metadata");
  EXPECT_NE(link_->heir(), link_->client_number());
  client.reset();
  ASSERT_TRUE(RunUntil([&] { return !inherited_.empty(); }));
  ASSERT_EQ(inherited_.size(), 1u);
  EXPECT_EQ(inherited_[0].client, number);
  EXPECT_EQ(inherited_[0].objects, std::vector{object});
  EXPECT_TRUE(inherited_[0].last);
  EXPECT_EQ(link_->BytesOf(object), 108u);
  const uint64_t free_before = link_->room().free_bytes;
  link_->Delete(inherited_[0].objects);
  EXPECT_TRUE(RunUntil([&] { return link_->room().free_bytes == free_before + 108; }));
  EXPECT_FALSE(link_->BytesOf(object));
}

TEST_F(StoreLinkTest, SeesBeforeTheNextTurnThatNoStoreServes) {
  EXPECT_TRUE(link_->Serves());
  daemon_->Kill();
  EXPECT_FALSE(link_->Serves());
}

TEST_F(StoreLinkTest, CopiesTheMetadataOfSealedObjectsUpToItsBound) {
  const auto client = Connect();
  EXPECT_EQ(link_->MetadataOf(Put(*client, 100, "metadata")), "metadata");
  EXPECT_EQ(link_->MetadataOf(Put(*client, 0, "")), "");
  EXPECT_FALSE(link_->MetadataOf(ObjectId::FromRandom()));
  const std::string largest(size_t{1} << 20, 'm');
  EXPECT_EQ(link_->MetadataOf(Put(*client, 1, largest)), largest);
  EXPECT_FALSE(link_->MetadataOf(Put(*client, 1, largest + 'm')));

  const auto unsealed = ObjectId::FromRandom();
  const auto writer = client->Create(unsealed, 8, std::as_bytes(std::span(std::string_view("early"))), {});
  ASSERT_TRUE(writer);
  EXPECT_FALSE(link_->MetadataOf(unsealed));

  // The copy leaves no pin behind: a deleted object's memory is free at once.
  const auto deleted = Put(*client, 100, "metadata");
  const uint64_t free_before = link_->room().free_bytes;
  EXPECT_EQ(link_->MetadataOf(deleted), "metadata");
  ASSERT_TRUE(client->Delete({&deleted, 1}));
  EXPECT_EQ(link_->room().free_bytes, free_before + 108);
  EXPECT_FALSE(link_->MetadataOf(deleted));
}

}  // namespace
}  // namespace raylet::test
