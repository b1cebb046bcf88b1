// Subscriptions at their bounds, and what of the public interface only our store promises.
#include <plasma/client.h>

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <thread>
#include <vector>

#include "base/unique_fd.h"
#include "tests/client/plasma/plasma_fixture.h"

namespace plasma {
namespace {

constexpr std::chrono::seconds kPatience{30};

class PlasmaNoticesTest : public PlasmaApiTest {
 protected:
  struct Told {
    ObjectID id;
    int64_t data_size, metadata_size;
  };
  static raylet::UniqueFd Subscribe(PlasmaClient& client) {
    int fd = -1;
    const auto status = client.Subscribe(&fd);
    EXPECT_TRUE(status.ok()) << status;
    return raylet::UniqueFd(fd);
  }
  Status Read(int fd, Told& told) { return other_.GetNotification(fd, &told.id, &told.data_size, &told.metadata_size); }
  // `count` objects of `bytes` each, in large batches.
  std::vector<ObjectID> PutMany(size_t count, size_t bytes) {
    std::vector<ObjectID> all;
    while (all.size() < count) {
      std::vector<ObjectID> ids(std::min<size_t>(1000, count - all.size()));
      std::generate(ids.begin(), ids.end(), ObjectID::from_random);
      const std::vector<std::string> data(ids.size(), std::string(bytes, 'x')), metadata(ids.size());
      const auto status = client_.CreateAndSealBatch(ids, data, metadata);
      EXPECT_TRUE(status.ok()) << status;
      all.insert(all.end(), ids.begin(), ids.end());
    }
    return all;
  }
};

TEST_F(PlasmaNoticesTest, ALateSubscriberHearsOfEachObjectOnceAndThenOfWhatFollows) {
  const std::vector<ObjectID> before = PutMany(20'000, 10);
  const auto fd = Subscribe(other_);
  const std::vector<ObjectID> after = PutMany(20'000, 20);
  std::map<std::string, int64_t> sizes;
  for (size_t i = 0; i < before.size() + after.size(); ++i) {
    Told told{};
    ASSERT_STATUS_OK(Read(fd.get(), told));
    ASSERT_TRUE(sizes.emplace(told.id.binary(), told.data_size).second) << "it is told twice";
    ASSERT_EQ(told.data_size, i < before.size() ? 10 : 20) << "number " << i << " of " << before.size();
  }
  for (const ObjectID& id : before) ASSERT_EQ(sizes.at(id.binary()), 10);
  for (const ObjectID& id : after) ASSERT_EQ(sizes.at(id.binary()), 20);
}

TEST_F(PlasmaNoticesTest, ASubscriberThatDoesNotReadIsCutOffAndSubscribesAnew) {
  const auto slow = Subscribe(other_);
  const uint64_t private_before = store().PrivateBytes();
  const std::vector<ObjectID> ids = PutMany(80'000, 1);
#ifdef RAYLET_SANITIZED
  constexpr uint64_t kGrowthMax = uint64_t{1} << 30;  // what was freed stays resident for a while
#else
  constexpr uint64_t kGrowthMax = uint64_t{32} << 20;
#endif
  // The store has given its queue up.
  EXPECT_LT(store().PrivateBytes(), private_before + kGrowthMax);
  size_t read = 0;
  Told told{};
  Status status;
  while ((status = Read(slow.get(), told)).ok()) ++read;
  EXPECT_TRUE(status.IsDisconnected()) << status;
  EXPECT_NE(status.message().find("subscribe anew"), std::string::npos) << status;
  EXPECT_LT(read, ids.size());
  const auto again = Subscribe(other_);
  for (size_t i = 0; i < ids.size(); ++i) ASSERT_STATUS_OK(Read(again.get(), told));
  // The limit is of what waits, and not of all that was told.
  const std::vector<ObjectID> later = PutMany(50'000, 1);
  for (size_t i = 0; i < later.size(); ++i) ASSERT_STATUS_OK(Read(again.get(), told));
  EXPECT_EQ(told.id, later.back());
}

TEST_F(PlasmaNoticesTest, WhereTooMuchWaitsInAllTheFurthestBehindIsCutOff) {
  std::vector<raylet::UniqueFd> sockets;
  for (int i = 0; i < 4; ++i) sockets.push_back(Subscribe(other_));
  sockets.push_back(Subscribe(client_));
  constexpr size_t kObjects = 60'000;  // within the limit of one, and five times as much is beyond that of all
  PutMany(kObjects, 1);
  size_t whole = 0;
  for (const auto& socket : sockets) {
    Told told{};
    size_t read = 0;
    while (read < kObjects && Read(socket.get(), told).ok()) ++read;
    whole += read == kObjects;
  }
  EXPECT_EQ(whole, 4u);
}

TEST_F(PlasmaNoticesTest, FourSubscriptionsAClientAndAClosedOneIsFreeAgain) {
  std::vector<raylet::UniqueFd> sockets;
  for (int i = 0; i < 4; ++i) sockets.push_back(Subscribe(other_));
  int fd = -1;
  const auto full = other_.Subscribe(&fd);
  EXPECT_TRUE(full.IsPlasmaStoreFull()) << full;
  EXPECT_TRUE(other_.Subscribe(nullptr).IsInvalid());
  sockets.pop_back();
  EXPECT_TRUE(raylet::test::Eventually(kPatience, [&] { return other_.Subscribe(&fd).ok(); }));
  sockets.emplace_back(fd);
  // Each of them is told.
  const auto id = Put("to all", "m");
  for (const auto& socket : sockets) {
    Told told{};
    ASSERT_STATUS_OK(Read(socket.get(), told));
    EXPECT_EQ(told.id, id);
    EXPECT_EQ(told.data_size, 6);
    EXPECT_EQ(told.metadata_size, 1);
  }
}

TEST_F(PlasmaNoticesTest, AReaderThatWritesLosesItsSubscriptionAlone) {
  const auto bad = Subscribe(other_), good = Subscribe(other_);
  ASSERT_EQ(::send(bad.get(), "nonsense", 8, MSG_NOSIGNAL), 8);
  Told told{};
  EXPECT_TRUE(Read(bad.get(), told).IsDisconnected());
  const auto id = Put("x");
  ASSERT_STATUS_OK(Read(good.get(), told));
  EXPECT_EQ(told.id, id);
}

TEST_F(PlasmaNoticesTest, SeveralThreadsShareOneSubscription) {
  const auto fd = Subscribe(other_);
  constexpr size_t kObjects = 4000, kThreads = 4;
  std::mutex mutex;
  std::map<std::string, int> told_by_id;
  std::vector<std::thread> readers;
  for (size_t i = 0; i < kThreads; ++i) {
    readers.emplace_back([&] {
      for (size_t read = 0; read < kObjects / kThreads; ++read) {
        Told told{};
        const auto status = Read(fd.get(), told);
        ASSERT_TRUE(status.ok()) << status;
        const std::lock_guard lock(mutex);
        ++told_by_id[told.id.binary()];
      }
    });
  }
  const std::vector<ObjectID> ids = PutMany(kObjects, 1);
  for (std::thread& reader : readers) reader.join();
  for (const ObjectID& id : ids) EXPECT_EQ(told_by_id[id.binary()], 1);
}

TEST_F(PlasmaNoticesTest, DisconnectAndTheEndOfTheStoreEndTheWait) {
  const auto fd = Subscribe(other_);
  WaitingThread waiting;
  std::thread reader([&] {
    waiting.Begin();
    Told told{};
    EXPECT_TRUE(Read(fd.get(), told).IsDisconnected());
  });
  EXPECT_TRUE(raylet::test::Eventually(kPatience, [&] { return waiting.Sleeps(); }));
  const Stopwatch watch;
  EXPECT_TRUE(other_.Disconnect().ok());
  reader.join();
  EXPECT_LT(watch.Elapsed(), kPatience);
  ASSERT_STATUS_OK(other_.Connect(socket()));
  const auto next = Subscribe(other_);
  store().Kill();
  Told told{};
  const auto gone = Read(next.get(), told);
  EXPECT_TRUE(gone.IsDisconnected() && gone.IsIOError()) << gone;
}

TEST_F(PlasmaNoticesTest, ADescriptorWithoutNoticesIsNamed) {
  Told told{};
  EXPECT_TRUE(Read(-1, told).IsIOError());
  int ends[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
  const raylet::UniqueFd mine(ends[0]), theirs(ends[1]);
  ASSERT_EQ(::send(mine.get(), "what no store says to a subscriber", 34, 0), 34);
  EXPECT_TRUE(Read(theirs.get(), told).IsIOError());
  std::vector<ObjectID> ids;
  std::vector<int64_t> data, metadata;
  const uint8_t nonsense[8] = {255, 255, 255, 255, 1, 2, 3, 4};
  EXPECT_TRUE(other_.DecodeNotifications(nonsense, &ids, &data, &metadata).IsIOError());
  EXPECT_TRUE(other_.DecodeNotifications(nullptr, &ids, &data, &metadata).IsInvalid());
}

// ---- the rest of the surface ----

TEST_F(PlasmaNoticesTest, LargeBatchesAreAllOrNothingToo) {
  std::vector<ObjectID> ids(5);
  std::generate(ids.begin(), ids.end(), ObjectID::from_random);
  std::vector<std::string> data(ids.size(), std::string(1 << 20, 'x'));
  const std::vector<std::string> metadata(ids.size(), "m");
  ASSERT_STATUS_OK(client_.CreateAndSeal(ids[3], "was there", ""));
  EXPECT_TRUE(client_.CreateAndSealBatch(ids, data, metadata).IsPlasmaObjectExists());
  EXPECT_EQ(ObjectsOf(other_), 1u);
  ASSERT_STATUS_OK(client_.Delete(ids[3]));
  data[4] = std::string(size_t{65} << 20, 'y');
  EXPECT_TRUE(client_.CreateAndSealBatch(ids, data, metadata).IsPlasmaStoreFull());
  EXPECT_EQ(ObjectsOf(other_), 0u);
  data[4] = "small";
  ASSERT_STATUS_OK(client_.CreateAndSealBatch(ids, data, metadata));
  std::vector<ObjectBuffer> got;
  ASSERT_STATUS_OK(other_.Get(ids, 0, &got));
  for (size_t i = 0; i < ids.size(); ++i) {
    EXPECT_EQ(got[i].data->ToString(), data[i]);
    EXPECT_EQ(got[i].metadata->ToString(), "m");
  }
}

TEST_F(PlasmaNoticesTest, AnObjectIsInUseFromItsCreateToTheLastHold) {
  const auto id = ObjectID::from_random();
  EXPECT_FALSE(client_.IsInUse(id));
  std::shared_ptr<Buffer> data;
  ASSERT_STATUS_OK(client_.Create(id, 5, nullptr, 0, &data));
  EXPECT_TRUE(client_.IsInUse(id));
  ASSERT_STATUS_OK(client_.Release(id));
  data.reset();
  EXPECT_TRUE(client_.IsInUse(id));  // it still writes it
  ASSERT_STATUS_OK(client_.Seal(id));
  EXPECT_FALSE(client_.IsInUse(id));
  std::vector<ObjectBuffer> got;
  ASSERT_STATUS_OK(client_.Get({id}, 0, &got));
  const auto metadata = got[0].metadata;
  got.clear();
  EXPECT_TRUE(client_.IsInUse(id));
  EXPECT_FALSE(other_.IsInUse(id));
}

TEST_F(PlasmaNoticesTest, TheLastCopyEndsTheClient) {
  const auto id = ObjectID::from_random();
  {
    PlasmaClient last;
    {
      PlasmaClient first;
      ASSERT_STATUS_OK(first.Connect(socket()));
      last = first;
    }
    std::shared_ptr<Buffer> data;
    ASSERT_STATUS_OK(last.Create(id, 5, nullptr, 0, &data));
    ASSERT_STATUS_OK(last.SetClientOptions("copied", 1 << 20));
    EXPECT_NE(client_.DebugString().find("(copied) capacity: 1048576"), std::string::npos) << client_.DebugString();
    EXPECT_EQ(ObjectsOf(other_), 1u);
  }
  EXPECT_TRUE(raylet::test::Eventually(kPatience, [&] { return ObjectsOf(other_) == 0; }));
  EXPECT_NE(client_.DebugString().find("num clients with quota: 0"), std::string::npos);
}

TEST_F(PlasmaNoticesTest, AQuotaIsNoNegativeNumberAndZeroIsNone) {
  EXPECT_TRUE(client_.SetClientOptions("negative", -1).IsInvalid());
  ASSERT_STATUS_OK(client_.SetClientOptions("a name alone", 0));
  ASSERT_STATUS_OK(client_.CreateAndSeal(ObjectID::from_random(), std::string(1 << 20, 'x'), ""));
  ASSERT_STATUS_OK(client_.SetClientOptions("a quota", 1 << 20));
  const auto large = client_.CreateAndSeal(ObjectID::from_random(), std::string((1 << 20) + 1, 'x'), "");
  EXPECT_TRUE(large.IsObjectTooLarge() && large.IsPlasmaStoreFull() && large.IsCapacityError()) << large;
  EXPECT_NE(large.message().find("quota of client"), std::string::npos) << large;
}

}  // namespace
}  // namespace plasma
