// What a client that ends leaves to its heir, and how the heir is told.
#include <gtest/gtest.h>

#include <set>

#include "store/inherited_notices.h"
#include "store/object_store.h"
#include "tests/store/object_store_fixture.h"

namespace raylet::store {
namespace {

using InheritanceTest = ObjectStoreTest;

TEST_F(InheritanceTest, AnHeirInheritsTheSealedObjectsOfAClientThatEnds) {
  const uint32_t heir = Connect(), client = Connect(heir);
  Make(heir, 0, 10, {.owned = true});
  Make(client, 1, 100, {.owned = true});
  Make(client, 2, 200, {.owned = true});
  Make(client, 3, 400);                                   // nobody owns it
  Make(client, 4, 800, {.owned = true, .owner = heir});   // the heir owns it already
  ASSERT_TRUE(Create(client, 5, 1600, {.owned = true}));  // unsealed
  Make(client, 6, 3200, {.owned = true});
  Pin(heir, 0, 6);
  ASSERT_TRUE(store_->Delete(IdOf(6)));  // dying
  ASSERT_EQ(OwnedBytes(heir), 810u);
  const Inheritance inheritance = store_->RemoveClient(client);
  EXPECT_EQ(inheritance.heir, heir);
  EXPECT_EQ(std::multiset(inheritance.objects.begin(), inheritance.objects.end()), (std::multiset{IdOf(1), IdOf(2)}));
  for (const uint64_t id : {0, 1, 2, 3, 4}) EXPECT_TRUE(store_->IsSealed(IdOf(id))) << id;
  EXPECT_EQ(header_->counters.unsealed_count, 0u);
  EXPECT_EQ(OwnedBytes(heir), 1110u);
  ExpectLedgerAddsUp();

  // What is inherited is owned: it is not evicted, the heir may give it away, and it goes with the heir.
  store_->Evict(kCapacity);
  EXPECT_TRUE(store_->IsSealed(IdOf(1)));
  EXPECT_FALSE(store_->IsSealed(IdOf(3)));
  const uint32_t other = Connect();
  EXPECT_TRUE(SetOwner(heir, 2, other));
  EXPECT_EQ(OwnedBytes(heir), 910u);
  EXPECT_EQ(store_->RemoveClient(heir).heir, 0u);
  EXPECT_FALSE(store_->IsSealed(IdOf(1)));
  EXPECT_TRUE(store_->IsSealed(IdOf(2)));
  store_->RemoveClient(other);
  EXPECT_EQ(store_->free_bytes(), kCapacity);
  ExpectLedgerAddsUp();
}

TEST_F(InheritanceTest, AnObjectThatAnotherWritesIsNotInheritedAndGoesAtItsSeal) {
  const uint32_t heir = Connect(), owner = Connect(heir), writer = Connect();
  ASSERT_TRUE(Create(writer, 0, 100, {.owned = true, .owner = owner}));
  ASSERT_TRUE(Create(heir, 1, 100, {.owned = true, .owner = owner}));
  EXPECT_TRUE(store_->RemoveClient(owner).objects.empty());
  EXPECT_EQ(store_->Seal(writer, IdOf(0)).error().code, ErrorCode::kCancelled);
  EXPECT_EQ(store_->Seal(heir, IdOf(1)).error().code, ErrorCode::kCancelled);
  EXPECT_EQ(store_->free_bytes(), kCapacity);
  ExpectLedgerAddsUp();
}

TEST_F(InheritanceTest, ObjectsToBeDeletedAtAClientsEndAreNotInherited) {
  const uint32_t heir = Connect(), client = Connect(heir);
  Make(client, 0, 100, {.owned = true});
  Make(client, 1, 100, {.owned = true});
  const ObjectId marked[] = {IdOf(0)};
  ASSERT_TRUE(store_->DeleteMadeBy(client, marked));
  EXPECT_EQ(store_->RemoveClient(client).objects, std::vector{IdOf(1)});
  EXPECT_FALSE(store_->IsSealed(IdOf(0)));
  EXPECT_EQ(OwnedBytes(heir), 100u);
  ExpectLedgerAddsUp();
}

TEST_F(InheritanceTest, AnHeirThatIsNotConnectedInheritsNothing) {
  const uint32_t gone = Connect();
  store_->RemoveClient(gone);
  for (const uint32_t named : {gone, store_->next_client(), uint32_t{4711}}) {  // one that went, itself, nobody
    const uint32_t client = Connect(named);
    Make(client, 0, 100, {.owned = true});
    const Inheritance inheritance = store_->RemoveClient(client);
    EXPECT_EQ(inheritance.heir, 0u);
    EXPECT_TRUE(inheritance.objects.empty());
    EXPECT_FALSE(store_->IsSealed(IdOf(0)));
  }
  // One that was connected and ends first.
  const uint32_t heir = Connect(), client = Connect(heir);
  Make(client, 0, 100, {.owned = true});
  store_->RemoveClient(heir);
  EXPECT_TRUE(store_->IsSealed(IdOf(0)));
  EXPECT_EQ(store_->RemoveClient(client).heir, 0u);
  EXPECT_EQ(store_->free_bytes(), kCapacity);
  ExpectLedgerAddsUp();
}

TEST_F(InheritanceTest, InheritedObjectsGoOnToTheHeirsOwnHeir) {
  const uint32_t last = Connect(), middle = Connect(last), first = Connect(middle);
  Make(first, 0, 100, {.owned = true});
  EXPECT_EQ(store_->RemoveClient(first).heir, middle);
  const Inheritance inheritance = store_->RemoveClient(middle);
  EXPECT_EQ(inheritance.heir, last);
  EXPECT_EQ(inheritance.objects, std::vector{IdOf(0)});
  EXPECT_EQ(OwnedBytes(last), 100u);
  ExpectLedgerAddsUp();
}

std::vector<ObjectId> Objects(size_t count) {
  std::vector<ObjectId> objects(count);
  for (size_t i = 0; i < count; ++i) std::memcpy(objects[i].mutable_data(), &i, sizeof i);
  return objects;
}

TEST(InheritedNotices, EachEndedClientGivesOneSequenceInOrder) {
  for (const size_t count :
       {size_t{1}, kIdsPerInheritedNotice, kIdsPerInheritedNotice + 1, 2 * kIdsPerInheritedNotice}) {
    InheritedNotices notices;
    EXPECT_TRUE(notices.Add(7, Objects(count)));
    EXPECT_TRUE(notices.Add(8, {}));
    std::vector<ObjectId> told;
    for (bool last = false; !last;) {
      ASSERT_FALSE(notices.Empty());
      const auto notice = notices.TakeNext();
      EXPECT_EQ(notice.client, 7u);
      EXPECT_LE(notice.ids.size(), kIdsPerInheritedNotice);
      EXPECT_FALSE(notice.ids.empty()) << "only a sequence without objects has an empty notice";
      for (const auto& id : notice.ids) told.push_back(FromWire<ObjectId>(id));
      last = notice.last;
    }
    EXPECT_EQ(told, Objects(count));
    const auto empty = notices.TakeNext();
    EXPECT_EQ(empty.client, 8u);
    EXPECT_TRUE(empty.ids.empty());
    EXPECT_TRUE(empty.last);
    EXPECT_TRUE(notices.Empty());
  }
}

TEST(InheritedNotices, AnHeirThatReadsNothingReachesABound) {
  InheritedNotices notices;
  EXPECT_TRUE(notices.Add(1, Objects(kInheritedWaitingMax))) << "all objects that a store may hold";
  EXPECT_FALSE(notices.Add(2, {}));
  while (!notices.Empty()) EXPECT_EQ(notices.TakeNext().client, 1u);
  for (size_t i = 0; i < 100; ++i) EXPECT_TRUE(notices.Add(2, Objects(kInheritedWaitingMax / 100 - 1)));
  EXPECT_FALSE(notices.Add(3, Objects(kInheritedWaitingMax / 100)));
}

}  // namespace
}  // namespace raylet::store
