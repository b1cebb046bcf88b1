// Clients with a quota, in both stores.
#include "behaviour.h"

namespace behaviour {
namespace {

constexpr int64_t kMiB = 1 << 20;

class Quotas : public Behaviour {
 protected:
  void FillByOther() {
    for (int i = 0; i < 10; ++i) Put(other_, 3 * kMiB, 1);
  }
  // A line of the store about its quotas.
  bool Says(const std::string& line) { return other_.DebugString().find(line) != std::string::npos; }
};

TEST_F(Quotas, TheClientsOwnOldestObjectMakesRoom) {
  ASSERT_STORE_OK(client_.SetClientOptions("bounded", 5 * kMiB));
  const ObjectID first = Put(client_, 3 * kMiB, 1);
  EXPECT_TRUE(Has(client_, first));
  const ObjectID second = Put(client_, 3 * kMiB, 1);
  EXPECT_TRUE(Has(client_, second));
  EXPECT_FALSE(Has(client_, first));
  std::shared_ptr<Buffer> data;
  EXPECT_TRUE(plasma::IsPlasmaStoreFull(client_.Create(NewId(), 7 * kMiB, nullptr, 0, &data)));
  EXPECT_STORE_OK(client_.Create(NewId(), 4 * kMiB, nullptr, 0, &data));
}

TEST_F(Quotas, OthersDoNotEvictItsObjects) {
  const ObjectID without = Put(client_, 3 * kMiB, 1);
  FillByOther();
  EXPECT_FALSE(Has(client_, without));
  ASSERT_STORE_OK(client_.SetClientOptions("protected", 5 * kMiB));
  const ObjectID with = Put(client_, 3 * kMiB, 1);
  FillByOther();
  EXPECT_TRUE(Has(client_, with));
}

TEST_F(Quotas, ItDoesNotEvictOthersObjects) {
  const ObjectID id = Put(client_, 3 * kMiB, 1);
  ASSERT_STORE_OK(other_.SetClientOptions("greedy", 5 * kMiB));
  FillByOther();
  EXPECT_TRUE(Has(client_, id));
}

TEST_F(Quotas, SeventyPercentInAllAndOncePerClient) {
  EXPECT_FALSE(client_.SetClientOptions("one", 8 * kMiB).ok());
  EXPECT_STORE_OK(client_.SetClientOptions("one", 5 * kMiB));
  EXPECT_TRUE(plasma::IsPlasmaStoreFull(client_.SetClientOptions("one", 5 * kMiB)));
  EXPECT_TRUE(plasma::IsPlasmaStoreFull(other_.SetClientOptions("two", 3 * kMiB)));
  EXPECT_STORE_OK(other_.SetClientOptions("two", 1 * kMiB));
}

TEST_F(Quotas, HeldObjectsCountAsEverybodysOnceTheQuotaIsUsedUp) {
  ASSERT_STORE_OK(client_.SetClientOptions("holder", 5 * kMiB));
  const ObjectID first = NewId(), second = NewId();
  PutAndHold(client_, first, 3 * kMiB, 1);
  PutAndHold(client_, second, 3 * kMiB, 1);
  EXPECT_TRUE(Has(client_, first));
  EXPECT_TRUE(Has(client_, second));
  ASSERT_STORE_OK(client_.Release(first));
  ASSERT_STORE_OK(client_.Release(second));
  FillByOther();
  EXPECT_FALSE(Has(client_, first));
  EXPECT_TRUE(Has(client_, second));
}

TEST_F(Quotas, TheEndOfTheClientGivesItsObjectsToEverybody) {
  PlasmaClient ending;
  ASSERT_STORE_OK(ending.Connect(socket()));
  ASSERT_STORE_OK(ending.SetClientOptions("ending", 5 * kMiB));
  const ObjectID id = Put(ending, 3 * kMiB, 1);
  FillByOther();
  EXPECT_TRUE(Has(client_, id));
  ASSERT_STORE_OK(ending.Disconnect());
  EXPECT_TRUE(Has(client_, id));
  EXPECT_TRUE(Soon([&] {
    FillByOther();
    return !Has(client_, id);
  }));
  EXPECT_STORE_OK(client_.SetClientOptions("next", 6 * kMiB));  // its quota is free again
}

TEST_F(Quotas, TheStoreSaysWhatCountsWhere) {
  PlasmaClient local;
  ASSERT_STORE_OK(local.Connect(socket()));
  ASSERT_STORE_OK(local.SetClientOptions("local", 5 * kMiB));
  const std::vector<ObjectID> ids = NewIds(4);
  PutAndHold(local, ids[0], kMiB, 1);
  PutAs(local, ids[1], 3 * kMiB, 1);
  PutAs(local, ids[2], 3 * kMiB, 1);  // the first is held and counts as everybody's, the second goes
  PutAndHold(local, ids[3], kMiB, 1);
  EXPECT_TRUE(Says("num clients with quota: 1"));
  EXPECT_TRUE(Says("quota map size: 2"));
  EXPECT_TRUE(Says("pinned quota map size: 1"));
  EXPECT_TRUE(Says("(global lru) num objects: 0"));
  EXPECT_TRUE(Says("(local) num objects: 2"));
  ASSERT_STORE_OK(local.Release(ids[0]));
  EXPECT_TRUE(Says("(global lru) num objects: 1"));
  ASSERT_STORE_OK(local.Release(ids[3]));
  for (const ObjectID& id : ids) ASSERT_STORE_OK(local.Delete(id));
  EXPECT_TRUE(Says("quota map size: 0"));
  EXPECT_TRUE(Says("pinned quota map size: 0"));
  EXPECT_TRUE(Says("(global lru) num objects: 0"));
  EXPECT_TRUE(Says("(local) num objects: 0"));
  ASSERT_STORE_OK(local.Disconnect());
  EXPECT_TRUE(Soon([&] { return Says("num clients with quota: 0"); }));
  EXPECT_TRUE(Says("(global lru) capacity: 10000000"));
  EXPECT_TRUE(Says("(global lru) used: 0%"));
}

TEST_F(Quotas, TheStoreSaysWhatAnEndedClientLeft) {
  PlasmaClient local;
  ASSERT_STORE_OK(local.Connect(socket()));
  ASSERT_STORE_OK(local.SetClientOptions("local", 5 * kMiB));
  Put(local, 3 * kMiB, 1);
  Put(local, 3 * kMiB, 1);
  const ObjectID held = NewId();
  PutAndHold(local, held, kMiB, 1);
  ASSERT_STORE_OK(local.Disconnect());
  EXPECT_TRUE(Soon([&] { return Says("num clients with quota: 0"); }));
  EXPECT_TRUE(Says("quota map size: 0"));
  EXPECT_TRUE(Says("pinned quota map size: 0"));
  EXPECT_TRUE(Says("(global lru) num objects: 2"));
  EXPECT_TRUE(Says("(global lru) capacity: 10000000"));
  EXPECT_TRUE(Says("(global lru) used: 41.9431%"));
}

}  // namespace
}  // namespace behaviour
