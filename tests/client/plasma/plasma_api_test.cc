// The public interface against a real plasma_store: what programs written for Plasma's client rely on, and ours.
#include <plasma/client.h>

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <set>
#include <thread>
#include <type_traits>

#include "tests/client/plasma/plasma_fixture.h"

namespace plasma {
namespace {

using raylet::test::BytesOf;
using raylet::test::TextOf;

static_assert(std::is_trivially_copyable_v<ObjectID> && sizeof(ObjectID) == 20);

TEST_F(PlasmaApiTest, CreateWriteSealGetReleaseDelete) {
  const auto id = ObjectID::from_random();
  const uint8_t metadata[] = {5, 6, 7};
  std::shared_ptr<Buffer> data;
  ASSERT_STATUS_OK(client_.Create(id, 1000, metadata, sizeof metadata, &data));
  ASSERT_EQ(data->size(), 1000);
  ASSERT_TRUE(data->is_mutable());
  std::memset(data->mutable_data(), 9, 1000);
  bool there = true;
  ASSERT_STATUS_OK(other_.Contains(id, &there));
  EXPECT_FALSE(there);
  ASSERT_STATUS_OK(client_.Seal(id));
  ASSERT_STATUS_OK(client_.Release(id));  // the hold of the Create
  EXPECT_TRUE(client_.Release(id).IsPlasmaObjectNotFound());
  ASSERT_STATUS_OK(other_.Contains(id, &there));
  EXPECT_TRUE(there);

  ObjectBuffer got;
  ASSERT_STATUS_OK(other_.Get(&id, 1, 0, &got));
  ASSERT_NE(got.data, nullptr);
  EXPECT_EQ(got.data->size(), 1000);
  EXPECT_EQ((*got.data)[999], 9);
  EXPECT_EQ(got.data->mutable_data(), nullptr);
  EXPECT_EQ(got.metadata->ToString(), std::string("\5\6\7"));
  ASSERT_STATUS_OK(other_.Release(id));
  EXPECT_TRUE(other_.Release(id).IsPlasmaObjectNotFound());
  ASSERT_STATUS_OK(other_.Delete(id));
  ASSERT_STATUS_OK(other_.Delete(id));  // of one that is not there is fine
  ASSERT_STATUS_OK(client_.Contains(id, &there));
  EXPECT_FALSE(there);
}

TEST_F(PlasmaApiTest, AsynchronousPutsAreThereAfterTheFlushWhichReportsFailures) {
  std::vector<ObjectID> ids(300);
  for (ObjectID& id : ids) {
    id = ObjectID::from_random();
    ASSERT_STATUS_OK(client_.CreateAndSealAsync(id, "later", "m"));
  }
  ASSERT_STATUS_OK(client_.Flush());
  for (const ObjectID& id : ids) ASSERT_EQ(TextOf(other_.GetView(id, 0).data()), "later");
  const ObjectID large = ObjectID::from_random();
  ASSERT_STATUS_OK(client_.CreateAndSealAsync(large, std::string(1 << 20, 'x'), ""));
  EXPECT_EQ(other_.GetView(large, 0).data().size(), size_t{1} << 20);
  ASSERT_STATUS_OK(client_.CreateAndSealAsync(ids[7], "again", ""));
  EXPECT_TRUE(client_.Flush(5'000).IsPlasmaObjectExists());
  ASSERT_STATUS_OK(client_.Flush(5'000));
  ASSERT_STATUS_OK(client_.Disconnect());
  EXPECT_TRUE(client_.Flush().IsDisconnected());
  EXPECT_TRUE(client_.CreateAndSealAsync(ObjectID::from_random(), "late", "").IsDisconnected());
}

TEST_F(PlasmaApiTest, BuffersKeepWhatTheyShowAndSlicesKeepTheirParent) {
  const auto id = Put("0123456789", "meta");
  std::shared_ptr<Buffer> slice;
  {
    std::vector<ObjectBuffer> got;
    ASSERT_STATUS_OK(other_.Get({id}, 0, &got));
    slice = SliceBuffer(got[0].data, 2, 3);
  }
  ASSERT_STATUS_OK(client_.Delete(id));
  ASSERT_STATUS_OK(other_.Disconnect());
  ASSERT_STATUS_OK(other_.Disconnect());
  int64_t evicted = 0;
  ASSERT_STATUS_OK(client_.Evict(64 << 20, evicted));
  for (int i = 0; i < 40; ++i) Put(std::string(3 << 20, 'x'));
  EXPECT_EQ(slice->ToString(), "234");
}

TEST_F(PlasmaApiTest, DuplicateAndMissingIdsInOneGet) {
  const auto id = Put("twice"), missing = ObjectID::from_random();
  std::vector<ObjectBuffer> got;
  ASSERT_STATUS_OK(client_.Get({id, missing, id}, 20, &got));
  ASSERT_EQ(got.size(), 3u);
  EXPECT_EQ(got[0].data->ToString(), "twice");
  EXPECT_EQ(got[1].data, nullptr);
  EXPECT_TRUE(got[2].data->Equals(*got[0].data));
}

TEST_F(PlasmaApiTest, GetWaitsForASeal) {
  const auto id = ObjectID::from_random();
  std::thread creator([&] { EXPECT_TRUE(client_.CreateAndSeal(id, "late", "").ok()); });
  std::vector<ObjectBuffer> got;
  ASSERT_STATUS_OK(other_.Get({id}, -1, &got));
  creator.join();
  EXPECT_EQ(got[0].data->ToString(), "late");
}

TEST_F(PlasmaApiTest, AbortWantsTheBufferDroppedAndFreesTheId) {
  const auto id = ObjectID::from_random();
  std::shared_ptr<Buffer> data;
  ASSERT_STATUS_OK(client_.Create(id, 10, nullptr, 0, &data));
  EXPECT_TRUE(client_.Abort(id).IsInvalid());
  data.reset();
  ASSERT_STATUS_OK(client_.Abort(id));
  EXPECT_TRUE(client_.Abort(id).IsPlasmaObjectNotFound());
  ASSERT_STATUS_OK(client_.CreateAndSeal(id, "again", ""));
  EXPECT_EQ(TextOf(other_.GetView(id, 0).data()), "again");
}

TEST_F(PlasmaApiTest, WrongOrdersAreNamed) {
  const auto id = ObjectID::from_random();
  EXPECT_TRUE(client_.Seal(id).IsPlasmaObjectNotFound());
  std::shared_ptr<Buffer> data;
  ASSERT_STATUS_OK(client_.Create(id, 10, nullptr, 0, &data));
  EXPECT_TRUE(IsPlasmaObjectExists(other_.Create(id, 10, nullptr, 0, &data)));
  EXPECT_TRUE(other_.Seal(id).IsInvalid());  // only its creator
  EXPECT_TRUE(other_.Abort(id).IsInvalid());
  ASSERT_STATUS_OK(client_.Seal(id));
  EXPECT_TRUE(IsPlasmaObjectAlreadySealed(client_.Seal(id)));
  EXPECT_TRUE(client_.Create(ObjectID::from_random(), -1, nullptr, 0, &data).IsInvalid());
  EXPECT_TRUE(client_.Create(ObjectID::from_random(), 1, nullptr, 0, &data, 1).IsInvalid());
  EXPECT_TRUE(client_.Create(ObjectID::from_random(), int64_t{1} << 40, nullptr, 0, &data).IsObjectTooLarge());
  EXPECT_TRUE(client_.Connect(socket()).IsInvalid());
}

TEST_F(PlasmaApiTest, CreatorsBufferStaysWhatItIsAfterTheSeal) {
  const auto id = ObjectID::from_random();
  std::shared_ptr<Buffer> data;
  ASSERT_STATUS_OK(client_.Create(id, 5, nullptr, 0, &data));
  std::memcpy(data->mutable_data(), "alive", 5);
  ASSERT_STATUS_OK(client_.Seal(id));
  ASSERT_STATUS_OK(other_.Delete(id));
  for (int i = 0; i < 40; ++i) Put(std::string(3 << 20, 'x'));
  EXPECT_EQ(data->ToString(), "alive");
}

TEST_F(PlasmaApiTest, FullStoreEvictsTheLeastRecentlyUsedOrSaysWhy) {
  const auto first = Put(std::string(20 << 20, 'a')), second = Put(std::string(20 << 20, 'b'));
  ASSERT_STATUS_OK(client_.Refresh({first}));
  Put(std::string(30 << 20, 'c'));
  bool there = false;
  ASSERT_STATUS_OK(client_.Contains(first, &there));
  EXPECT_TRUE(there);
  ASSERT_STATUS_OK(client_.Contains(second, &there));
  EXPECT_FALSE(there);
  std::shared_ptr<Buffer> data;
  EXPECT_TRUE(IsPlasmaStoreFull(client_.Create(ObjectID::from_random(), 40 << 20, nullptr, 0, &data, 0, false)));
}

TEST_F(PlasmaApiTest, DisconnectAbortsWhatWasNotSealed) {
  const auto id = ObjectID::from_random();
  std::shared_ptr<Buffer> data;
  ASSERT_STATUS_OK(client_.Create(id, 10, nullptr, 0, &data));
  data.reset();
  ASSERT_STATUS_OK(client_.Disconnect());
  EXPECT_TRUE(client_.Seal(id).IsDisconnected());
  const bool gone = raylet::test::Eventually(std::chrono::seconds(30), [&] {
    ObjectTable table;
    return other_.List(&table).ok() && table.empty();
  });
  EXPECT_TRUE(gone);
  ASSERT_STATUS_OK(client_.Connect(socket()));
}

TEST_F(PlasmaApiTest, ListHashBatchAndCapacity) {
  const std::vector<ObjectID> ids = {ObjectID::from_random(), ObjectID::from_random()};
  ASSERT_STATUS_OK(client_.CreateAndSealBatch(ids, {"same", "same"}, {"m", "m"}));
  EXPECT_TRUE(client_.CreateAndSealBatch(ids, {"x"}, {"m", "m"}).IsInvalid());
  ObjectTable table;
  ASSERT_STATUS_OK(other_.List(&table));
  ASSERT_EQ(table.size(), 2u);
  EXPECT_EQ(table[ids[0]]->data_size, 4);
  EXPECT_EQ(table[ids[0]]->metadata_size, 1);
  EXPECT_EQ(table[ids[0]]->state, ObjectState::PLASMA_SEALED);
  EXPECT_GT(table[ids[0]]->create_time, 1'500'000'000);
  uint8_t first[kDigestSize], second[kDigestSize], third[kDigestSize];
  ASSERT_STATUS_OK(client_.Hash(ids[0], first));
  ASSERT_STATUS_OK(other_.Hash(ids[1], second));
  ASSERT_STATUS_OK(client_.Hash(Put("samE", "m"), third));
  EXPECT_EQ(std::memcmp(first, second, kDigestSize), 0);
  EXPECT_NE(std::memcmp(first, third, kDigestSize), 0);
  EXPECT_TRUE(client_.Hash(ObjectID::from_random(), first).IsPlasmaObjectNotFound());
  EXPECT_EQ(client_.store_capacity(), 64 << 20);
  EXPECT_NE(client_.DebugString().find("3 objects, 3 sealed"), std::string::npos) << client_.DebugString();
}

TEST_F(PlasmaApiTest, ViewsAndWritersWorkInPlace) {
  const auto id = ObjectID::from_random();
  {
    auto writer = client_.CreateWriter(id, 6, BytesOf("meta"));
    ASSERT_TRUE(writer) << writer.status().ToString();
    std::memcpy(writer.data().data(), "placed", 6);
    ASSERT_STATUS_OK(std::move(writer).Seal());
    EXPECT_TRUE(std::move(writer).Seal().IsInvalid());
  }
  const auto view = other_.GetView(id);
  ASSERT_TRUE(view) << view.status().ToString();
  EXPECT_EQ(TextOf(view.data()), "placed");
  EXPECT_EQ(TextOf(view.metadata()), "meta");
  EXPECT_TRUE(other_.GetView(ObjectID::from_random(), 0).status().IsTimedOut());
  const auto dropped = ObjectID::from_random();
  {
    const auto writer = client_.CreateWriter(dropped, 10);
    ASSERT_TRUE(writer);
  }
  ASSERT_STATUS_OK(client_.CreateAndSeal(dropped, "free again", ""));
}

TEST(PlasmaTypes, IdsKeepTheirBytes) {
  const auto id = ObjectID::from_random();
  EXPECT_EQ(ObjectID::from_binary(id.binary()), id);
  EXPECT_EQ(id.hex().size(), 40u);
  EXPECT_EQ(std::hash<ObjectID>()(id), id.hash());
  EXPECT_EQ(ObjectID::from_binary("short"), ObjectID());
  EXPECT_EQ(std::set<std::string>({id.hex(), ObjectID::from_random().hex()}).size(), 2u);
}

TEST(PlasmaTypes, ClientThatIsNotConnectedSaysSo) {
  PlasmaClient client;
  bool there = false;
  EXPECT_TRUE(client.Contains(ObjectID::from_random(), &there).IsDisconnected());
  EXPECT_TRUE(client.GetView(ObjectID::from_random(), 0).status().IsDisconnected());
  EXPECT_TRUE(client.Connect("/nowhere/at/all.sock", "", 0, 0).IsNotRunning());
  // As many tries as were asked for, and no further patience.
  const auto start = std::chrono::steady_clock::now();
  EXPECT_TRUE(client.Connect("/nowhere/at/all.sock", "", 0, 2).IsNotRunning());
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(4));
  EXPECT_TRUE(client.Disconnect().ok());
  EXPECT_EQ(client.store_capacity(), 0);
}

TEST_F(PlasmaApiTest, DisconnectEndsTheWaitsOfOtherThreads) {
  std::atomic<int> began{0};
  std::vector<std::thread> waiters;
  for (int i = 0; i < 4; ++i) {
    waiters.emplace_back([&] {
      ++began;
      std::vector<ObjectBuffer> buffers;
      const Status status = client_.Get({ObjectID::from_random()}, 20'000, &buffers);
      EXPECT_TRUE(status.IsDisconnected()) << status.ToString();
    });
  }
  while (began < 4) std::this_thread::yield();
  EXPECT_TRUE(client_.Disconnect().ok());
  for (std::thread& waiter : waiters) waiter.join();
}

TEST_F(PlasmaApiTest, CreateWithNoPlaceForItsBufferIsInvalid) {
  EXPECT_TRUE(client_.Create(ObjectID::from_random(), 10, nullptr, 0, nullptr).IsInvalid());
}

}  // namespace
}  // namespace plasma
