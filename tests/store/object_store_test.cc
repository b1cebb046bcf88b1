#include "store/object_store.h"

#include <gtest/gtest.h>

#include <random>

#include "tests/store/object_store_fixture.h"

namespace raylet::store {
namespace {

TEST_F(ObjectStoreTest, TheLeastRecentlyReleasedGoesFirst) {
  const uint32_t client = Connect();
  for (uint64_t id = 0; id < 4; ++id) Make(client, id, kCapacity / 4);
  // Object 0 is released: its entry's number goes through the ring of touches.
  Pin(client, 0, 0);
  PinPage& page = *page_of_[client];
  page.touches[0].store(page.slots[0].load() - 1);
  page.touch_tail.store(1);
  Release(client, 0);
  Make(client, 10, 1000);
  EXPECT_TRUE(store_->IsSealed(IdOf(0)));
  EXPECT_FALSE(store_->IsSealed(IdOf(1)));
  EXPECT_TRUE(store_->IsSealed(IdOf(2)));
  ExpectLedgerAddsUp();
}

TEST_F(ObjectStoreTest, AnObjectThatWasPinnedAtAnEvictionIsYoungerThanWhatWasReleasedBefore) {
  const uint32_t client = Connect();
  for (uint64_t id = 0; id < 4; ++id) Make(client, id, kCapacity / 4);
  Pin(client, 0, 0);
  Make(client, 10, 1000);
  EXPECT_FALSE(store_->IsSealed(IdOf(1))) << "the oldest that nobody holds";
  Release(client, 0);
  store_->Evict(1);
  EXPECT_TRUE(store_->IsSealed(IdOf(0))) << "held while object 2 was not";
  EXPECT_FALSE(store_->IsSealed(IdOf(2)));
  ExpectLedgerAddsUp();
}

TEST_F(ObjectStoreTest, TheEndOfAClientReleasesWhatItHeld) {
  const uint32_t maker = Connect(), reader = Connect();
  for (uint64_t id = 0; id < 3; ++id) Make(maker, id, 1000);
  Pin(reader, 0, 0);
  store_->RemoveClient(reader);
  store_->Evict(1);
  EXPECT_TRUE(store_->IsSealed(IdOf(0)));
  EXPECT_FALSE(store_->IsSealed(IdOf(1)));
}

TEST_F(ObjectStoreTest, ACreateThatNeedsLittleEvictsABoundedNumberOfSmallObjects) {
  const uint32_t client = Connect();
  uint64_t id = 0;
  while (store_->free_bytes() >= 256) Make(client, id++, 256);
  ASSERT_EQ(header_->counters.evictions, 0u);
  Make(client, id++, kCapacity / 2);
  EXPECT_GE(header_->counters.evicted_bytes, kCapacity / 2) << "what it needs it gets";
  const uint64_t evictions = header_->counters.evictions;
  while (header_->counters.evictions == evictions) Make(client, id++, 256);
  EXPECT_LE(header_->counters.evictions - evictions, kEvictedAtOnce);
  ExpectLedgerAddsUp();
}

TEST_F(ObjectStoreTest, PinnedAndOwnedObjectsAreNotEvictedAndTheRefusalHasTheNumbers) {
  const uint32_t client = Connect();
  Make(client, 0, kCapacity / 2);
  Make(client, 1, kCapacity / 2, {.owned = true});
  Pin(client, 3, 0);
  const auto refused = Create(client, 2, 1000);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kFull);
  EXPECT_EQ(full_.need_bytes, 1000u);
  EXPECT_EQ(full_.free_bytes, 0u);
  EXPECT_EQ(full_.pinned_bytes, kCapacity / 2);
  EXPECT_NE(refused.error().message.find("larger -m"), std::string::npos);
  Release(client, 3);
  EXPECT_TRUE(Create(client, 2, 1000));
  ExpectLedgerAddsUp();
}

TEST_F(ObjectStoreTest, ADeletedObjectThatIsPinnedKeepsItsMemoryUntilTheLastRelease) {
  const uint32_t client = Connect();
  Make(client, 0, 1000);
  Pin(client, 0, 0);
  ASSERT_TRUE(store_->Delete(IdOf(0)));
  EXPECT_FALSE(store_->IsSealed(IdOf(0)));
  EXPECT_TRUE(store_->HasDying());
  Make(client, 0, 2000);  // the id is free at once
  EXPECT_FALSE(store_->SweepDying());
  Release(client, 0);
  EXPECT_TRUE(store_->SweepDying());
  EXPECT_TRUE(store_->IsSealed(IdOf(0)));
  ExpectLedgerAddsUp();
}

TEST_F(ObjectStoreTest, OnlyTheCreatorSealsAndAborts) {
  const uint32_t creator = Connect(), other = Connect();
  ASSERT_TRUE(Create(creator, 0, 10));
  EXPECT_EQ(store_->Seal(other, IdOf(0)).error().code, ErrorCode::kNotAllowed);
  EXPECT_EQ(store_->Abort(other, IdOf(0)).error().code, ErrorCode::kNotAllowed);
  EXPECT_EQ(store_->Delete(IdOf(0)).error().code, ErrorCode::kWrongState);
  EXPECT_EQ(Create(other, 0, 10).error().code, ErrorCode::kAlreadyExists);
  ASSERT_TRUE(store_->Seal(creator, IdOf(0)));
  EXPECT_TRUE(store_->IsSealed(IdOf(0))) << "the refused delete was not remembered";
  EXPECT_EQ(store_->Seal(creator, IdOf(0)).error().code, ErrorCode::kWrongState);
  EXPECT_EQ(store_->Abort(creator, IdOf(0)).error().code, ErrorCode::kWrongState);
  EXPECT_EQ(store_->Seal(creator, IdOf(9)).error().code, ErrorCode::kNotFound);
}

TEST_F(ObjectStoreTest, ADisconnectTakesWhatWasUnsealedAndWhatWasOwned) {
  const uint32_t client = Connect(), heir = Connect();
  Make(client, 0, 100);
  Make(client, 1, 100, {.owned = true});
  Make(client, 2, 100, {.owned = true});
  ASSERT_TRUE(Create(client, 3, 100));
  ASSERT_TRUE(SetOwner(client, 2, heir));
  store_->RemoveClient(client);
  EXPECT_TRUE(store_->IsSealed(IdOf(0)));
  EXPECT_FALSE(store_->IsSealed(IdOf(1)));
  EXPECT_TRUE(store_->IsSealed(IdOf(2)));
  EXPECT_EQ(header_->counters.unsealed_count, 0u);
  store_->RemoveClient(heir);
  EXPECT_FALSE(store_->IsSealed(IdOf(2)));
  ExpectLedgerAddsUp();
}

TEST_F(ObjectStoreTest, AnOwnerThatDiesWhileAnotherWritesTakesTheObjectAtItsSeal) {
  const uint32_t writer = Connect(), owner = Connect();
  ASSERT_TRUE(Create(writer, 0, 100, {.owned = true, .owner = owner}));
  store_->RemoveClient(owner);
  store_->Seal(writer, IdOf(0));
  EXPECT_FALSE(store_->IsSealed(IdOf(0))) << "nobody owns it any more: it would stay for ever";
  EXPECT_EQ(store_->free_bytes(), kCapacity);
  ExpectLedgerAddsUp();
}

TEST_F(ObjectStoreTest, OnlyItsOwnerGivesAnObjectAwayAndItsCreatorWhileItWrites) {
  const uint32_t owner = Connect(), thief = Connect(), heir = Connect();
  Make(owner, 0, 100, {.owned = true});
  Make(owner, 1, 100, {.owned = true});
  Make(thief, 2, 100, {.owned = true});
  EXPECT_EQ(SetOwner(thief, 0, thief).error().code, ErrorCode::kNotAllowed);
  EXPECT_EQ(SetOwner(thief, 0, 0).error().code, ErrorCode::kNotAllowed);
  EXPECT_EQ(SetOwner(thief, 0, 4711).error().code, ErrorCode::kNotAllowed) << "which would delete it";
  const ObjectId mixed[] = {IdOf(2), IdOf(0)};
  const auto refused = store_->SetOwner(thief, mixed, heir);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("belongs to client " + std::to_string(owner)), std::string::npos);
  store_->RemoveClient(thief);
  EXPECT_TRUE(store_->IsSealed(IdOf(0)));
  EXPECT_FALSE(store_->IsSealed(IdOf(2))) << "its own was not handed over either: all or none";

  // Written for another: the writer may hand it over until it has sealed it.
  const uint32_t writer = Connect();
  ASSERT_TRUE(Create(writer, 3, 100, {.owned = true, .owner = owner}));
  EXPECT_TRUE(SetOwner(writer, 3, heir));
  ASSERT_TRUE(store_->Seal(writer, IdOf(3)));
  EXPECT_EQ(SetOwner(writer, 3, writer).error().code, ErrorCode::kNotAllowed);
  EXPECT_EQ(SetOwner(owner, 3, owner).error().code, ErrorCode::kNotAllowed) << "it has given it away";
  EXPECT_TRUE(SetOwner(heir, 3, 0)) << "to itself";
  EXPECT_TRUE(SetOwner(owner, 99, heir)) << "gone already";
  Make(owner, 4, 100);
  EXPECT_TRUE(SetOwner(writer, 4, writer));
  store_->RemoveClient(writer);
  EXPECT_TRUE(store_->IsSealed(IdOf(4))) << "shared objects stay shared";
  EXPECT_TRUE(SetOwner(owner, 0, 4711));
  EXPECT_FALSE(store_->IsSealed(IdOf(0))) << "its new owner is not there";
  ASSERT_TRUE(Create(owner, 5, 100, {.owned = true}));
  EXPECT_TRUE(SetOwner(owner, 5, 4711));
  EXPECT_EQ(store_->Seal(owner, IdOf(5)).error().code, ErrorCode::kCancelled);
  ExpectLedgerAddsUp();
}

TEST_F(ObjectStoreTest, ADeleteOfManySaysForEachWhatBecameOfIt) {
  const uint32_t client = Connect();
  Make(client, 0, 100);
  Make(client, 1, 100);
  ASSERT_TRUE(Create(client, 2, 100));
  Pin(client, 0, 1);
  const ObjectId ids[] = {IdOf(0), IdOf(1), IdOf(2), IdOf(3), IdOf(0)};
  const auto outcomes = store_->Delete(ids);
  ASSERT_EQ(outcomes.size(), 5u);
  EXPECT_TRUE(outcomes[0]);
  EXPECT_TRUE(outcomes[1]);
  EXPECT_EQ(outcomes[2].error().code, ErrorCode::kWrongState);
  EXPECT_EQ(outcomes[3].error().code, ErrorCode::kNotFound);
  EXPECT_EQ(outcomes[4].error().code, ErrorCode::kNotFound);
  EXPECT_EQ(header_->counters.dying_count, 1u);
  EXPECT_EQ(header_->counters.deletes, 2u);
  ExpectLedgerAddsUp();
}

TEST_F(ObjectStoreTest, ObjectThatNeverFitsIsRefusedAtOnce) {
  const uint32_t client = Connect();
  for (const uint64_t bytes : {kCapacity + 1, UINT64_MAX, UINT64_MAX - 63})
    EXPECT_EQ(Create(client, 0, bytes).error().code, ErrorCode::kTooLarge);
  EXPECT_EQ(Create(client, 0, 1, {.metadata_bytes = UINT64_MAX}).error().code, ErrorCode::kTooLarge);
  EXPECT_TRUE(Create(client, 0, kCapacity));
}

TEST_F(ObjectStoreTest, APinPageFullOfNonsenseHarmsNobody) {
  const uint32_t liar = Connect(), client = Connect();
  PinPage& page = *page_of_[liar];
  page.slots_high_water.store(UINT32_MAX);
  for (uint32_t i = 0; i < kPinSlots; ++i) page.slots[i].store(UINT32_MAX - i);
  for (uint32_t i = 0; i < kTouchSlots; ++i) page.touches[i].store(UINT32_MAX);
  page.touch_tail.store(UINT64_MAX - 5);
  for (uint64_t id = 0; id < 20; ++id) Make(client, id, kCapacity / 4);
  page.touch_tail.store(3);
  Make(client, 99, 100);
  ExpectLedgerAddsUp();
}

TEST_F(ObjectStoreTest, RoomForAnEntryIsMadeInASmallBatchOldestFirst) {
  const uint32_t client = Connect();
  for (uint64_t id = 0; id < kEntries; ++id) Make(client, id, 8);
  EXPECT_EQ(header_->counters.evictions, 0u) << "every entry holds an object";
  EXPECT_EQ(Create(client, kEntries, 8, {.evict_if_full = false}).error().code, ErrorCode::kFull);
  Make(client, kEntries, 8);
  EXPECT_EQ(header_->counters.evictions, kEvictedForEntries);
  for (uint64_t id = 0; id < kEntries; ++id) ASSERT_EQ(store_->IsSealed(IdOf(id)), id >= kEvictedForEntries);
  ExpectLedgerAddsUp();
}

TEST_F(ObjectStoreTest, AnEntryThatNothingCanMakeRoomForIsRefusedWithTheNumberOfObjects) {
  const uint32_t client = Connect();
  for (uint64_t id = 0; id < kEntries; ++id) Make(client, id, 8, {.owned = true});
  const auto refused = Create(client, kEntries, 8);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kFull);
  EXPECT_NE(refused.error().message.find("holds 4096 objects"), std::string::npos) << refused.error().message;
  EXPECT_EQ(header_->counters.evictions, 0u);
  ASSERT_TRUE(store_->Delete(IdOf(7)));
  EXPECT_TRUE(Create(client, kEntries, 8));
  ExpectLedgerAddsUp();
}

TEST_F(ObjectStoreTest, TheLedgerAlwaysAddsUpUnderRandomVerbs) {
  for (uint64_t seed = 1; seed <= 4; ++seed) {
    std::mt19937_64 random(seed);
    std::vector<uint32_t> clients = {Connect(), Connect(), Connect()};
    for (int step = 0; step < 4000; ++step) {
      const size_t who = random() % clients.size();
      const uint32_t client = clients[who];
      const uint64_t id = random() % 60;
      switch (random() % 9) {
        case 0:
        case 1:
        case 2:
          (void)Create(client, id, random() % (kCapacity / 8),
                       {.evict_if_full = random() % 4 != 0,
                        .owned = random() % 4 == 0,
                        .owner = clients[random() % clients.size()]});
          break;
        case 3:
        case 4: (void)store_->Seal(client, IdOf(id)); break;
        case 5: (void)store_->Delete(IdOf(id)); break;
        case 6:
          if (store_->IsSealed(IdOf(id))) Pin(client, static_cast<uint32_t>(random() % 8), id);
          break;
        case 7:
          Release(client, static_cast<uint32_t>(random() % 8));
          (void)SetOwner(client, id, random() % 3 == 0 ? 4711 : clients[random() % clients.size()]);
          break;
        case 8:
          if (random() % 10 == 0) {
            const Inheritance inheritance = store_->RemoveClient(client);
            for (const ObjectId& object : inheritance.objects) ASSERT_TRUE(store_->IsSealed(object)) << "seed " << seed;
            ASSERT_TRUE(inheritance.heir != 0 || inheritance.objects.empty()) << "seed " << seed;
            clients[who] = Connect(random() % 2 == 0 ? clients[random() % clients.size()] : 0);
          } else if (random() % 4 == 0) {
            store_->Evict(random() % kCapacity);
          } else {
            (void)store_->Abort(client, IdOf(id));
          }
          break;
      }
      ASSERT_NO_FATAL_FAILURE(ExpectLedgerAddsUp()) << "seed " << seed << ", step " << step;
    }
    for (const uint32_t client : clients) store_->RemoveClient(client);
    store_->Evict(kCapacity);
    ASSERT_EQ(store_->free_bytes(), kCapacity) << "nobody holds anything, seed " << seed;
    ASSERT_EQ(arena_->physical_bytes(), 0u);
  }
}

}  // namespace
}  // namespace raylet::store
