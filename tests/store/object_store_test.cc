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

TEST_F(ObjectStoreTest, TheRefusalNamesTheThreeClientsThatPinMost) {
  const uint64_t each = kCapacity / 16;
  const uint32_t maker = Connect();
  for (uint64_t id = 0; id < 16; ++id) Make(maker, id, each);
  uint64_t id = 0;
  for (const uint64_t objects : {2, 5, 1, 4}) {
    const std::string name = "trainer" + std::to_string(objects);
    pages_.push_back(test::MakePinPage());
    const auto client = store_->AddClient(100 + static_cast<int32_t>(objects), name, pages_.back().get());
    ASSERT_TRUE(client);
    page_of_[*client] = pages_.back().get();
    for (uint32_t slot = 0; slot < objects; ++slot) Pin(*client, slot, id++);
    Pin(*client, static_cast<uint32_t>(objects), id - 1);  // twice, and counted once
  }
  const auto refused = Create(maker, 100, kCapacity / 2);
  ASSERT_FALSE(refused);
  ASSERT_EQ(full_.pinners.size(), kPinnersNamed);
  EXPECT_EQ(full_.pinners[0].pid, 105);
  EXPECT_EQ(full_.pinners[2].bytes, 2 * each);
  EXPECT_EQ(full_.pinned_bytes, 12 * each);
  const std::string expected =
      "pinned 786432, of which 327680 by process 105 (trainer5) and 262144 by process 104 "
      "(trainer4) and 131072 by process 102 (trainer2); release";
  EXPECT_NE(refused.error().message.find(expected), std::string::npos) << refused.error().message;
}

TEST(FullNumbers, ANameOfControlCharactersDoesNotReachTheTerminal) {
  FullNumbers full;
  full.AddPinner({.pid = 7, .program = "a\x1b[2Jb", .bytes = 1});
  EXPECT_NE(full.Pinned().find("(a?[2Jb)"), std::string::npos) << full.Pinned();
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

TEST_F(ObjectStoreTest, ADeleteAtTheLastReleaseLeavesAHeldObjectWhereItIs) {
  const uint32_t client = Connect();
  const ObjectId id = IdOf(0);
  Make(client, 0, 1000);
  Pin(client, 0, 0);
  ASSERT_TRUE(store_->DeleteAtLastRelease({&id, 1}).front());
  EXPECT_TRUE(store_->IsSealed(id));
  EXPECT_EQ(Create(client, 0, 10).error().code, ErrorCode::kAlreadyExists);
  EXPECT_EQ(header_->counters.sealed_count, 1u);
  EXPECT_NE(header_->entries[0].times_and_flags.load() & kEntryDeletedFlag, 0u);
  Pin(client, 1, 0);  // others get it
  Release(client, 0);
  store_->SweepDying();
  EXPECT_TRUE(store_->IsSealed(id));
  ASSERT_TRUE(store_->DeleteAtLastRelease({&id, 1}).front()) << "once more";
  EXPECT_EQ(header_->counters.deletes, 1u);
  store_->Evict(kCapacity);
  EXPECT_TRUE(store_->IsSealed(id));
  ExpectLedgerAddsUp();
  Release(client, 1);
  EXPECT_TRUE(store_->SweepDying());
  EXPECT_FALSE(store_->IsSealed(id));
  EXPECT_FALSE(store_->HasDying());
  Make(client, 0, 10);
  store_->Evict(1);
  EXPECT_FALSE(store_->IsSealed(id)) << "the new object is an ordinary one";
  ExpectLedgerAddsUp();
}

// Whether an object is held is found out when somebody asks, or with the next sweep.
TEST_F(ObjectStoreTest, ADeleteAtTheLastReleaseBesideManyPinsIsRecheckedWhenSomebodyAsks) {
  const uint32_t client = Connect();
  const ObjectId ids[] = {IdOf(1), IdOf(2), IdOf(3)};
  for (uint64_t id = 0; id < 5; ++id) Make(client, id, 64);
  for (uint32_t slot = 0; slot < 50'000; ++slot) Pin(client, slot, 0);
  Pin(client, 50'000, 2);
  store_->Evict(1);  // which reads the pins, and takes object 1
  Make(client, 1, 64);
  for (const auto& outcome : store_->DeleteAtLastRelease(ids)) EXPECT_TRUE(outcome);
  EXPECT_EQ(header_->counters.dying_count, 3u) << "nobody asked yet";
  ExpectLedgerAddsUp();
  EXPECT_TRUE(Create(client, 3, 64)) << "the old one was held by nobody";
  EXPECT_FALSE(store_->IsSealed(IdOf(1)));
  EXPECT_TRUE(store_->IsSealed(IdOf(2)));
  EXPECT_EQ(header_->counters.dying_count, 0u);
  ExpectLedgerAddsUp();
}

TEST_F(ObjectStoreTest, AnObjectThatIsDeletedGoesWithItsOwnerThoughNobodyHasAsked) {
  const uint32_t reader = Connect(), owner = Connect(), giver = Connect();
  const ObjectId ids[] = {IdOf(1), IdOf(2)};
  Make(reader, 0, 64);
  Make(owner, 1, 64, {.owned = true});
  Make(giver, 2, 64, {.owned = true});
  for (uint32_t slot = 0; slot < 50'000; ++slot) Pin(reader, slot, 0);
  Pin(reader, 50'000, 1);
  Pin(reader, 50'001, 2);
  store_->Evict(1);  // which reads the pins
  ASSERT_TRUE(store_->DeleteAtLastRelease(ids).front());
  ASSERT_EQ(header_->counters.dying_count, 2u);
  store_->RemoveClient(owner);
  ASSERT_TRUE(SetOwner(giver, 2, 4711));  // who is not there
  store_->SweepDying();
  EXPECT_FALSE(store_->IsSealed(IdOf(1)));
  EXPECT_FALSE(store_->IsSealed(IdOf(2)));
  EXPECT_EQ(header_->counters.dying_count, 2u) << "their memory is held";
  ExpectLedgerAddsUp();
}

TEST_F(ObjectStoreTest, AnUnsealedObjectThatWasDeletedGoesAfterItsSeal) {
  const uint32_t client = Connect();
  const ObjectId id = IdOf(0);
  ASSERT_TRUE(Create(client, 0, 100));
  ASSERT_TRUE(store_->DeleteAtLastRelease({&id, 1}).front());
  EXPECT_EQ(Create(client, 0, 100).error().code, ErrorCode::kAlreadyExists);
  ASSERT_TRUE(store_->Seal(client, id));
  Pin(client, 0, 0);
  store_->SweepDying();
  EXPECT_TRUE(store_->IsSealed(id)) << "its creator holds it";
  Release(client, 0);
  store_->SweepDying();
  EXPECT_FALSE(store_->IsSealed(id));
  ASSERT_TRUE(Create(client, 0, 100));
  ASSERT_TRUE(store_->DeleteAtLastRelease({&id, 1}).front());
  ASSERT_TRUE(store_->Abort(client, id));
  Make(client, 0, 100);
  store_->SweepDying();
  EXPECT_TRUE(store_->IsSealed(id)) << "the abort took the delete with it";
  ExpectLedgerAddsUp();
}

TEST_F(ObjectStoreTest, ADeleteNowTakesWhatWaitedForItsLastRelease) {
  const uint32_t owner = Connect(), reader = Connect();
  const ObjectId ids[] = {IdOf(0), IdOf(1)};
  for (uint64_t id = 0; id < 2; ++id) Make(owner, id, 100, {.owned = true});
  Pin(reader, 0, 0);
  Pin(reader, 1, 1);
  ASSERT_TRUE(store_->DeleteAtLastRelease(ids).front());
  ASSERT_TRUE(store_->IsSealed(IdOf(0)) && store_->IsSealed(IdOf(1)));
  ASSERT_TRUE(store_->Delete(IdOf(0)));
  EXPECT_FALSE(store_->IsSealed(IdOf(0)));
  store_->RemoveClient(owner);
  EXPECT_FALSE(store_->IsSealed(IdOf(1))) << "its owner has gone";
  EXPECT_EQ(header_->counters.dying_count, 2u);
  ExpectLedgerAddsUp();
  store_->RemoveClient(reader);
  EXPECT_EQ(store_->free_bytes(), kCapacity);
  ExpectLedgerAddsUp();
}

// A sweep reads all pins, so deletes share one.
TEST_F(ObjectStoreTest, ADeleteBesideManyPinsDoesNotReadThemAll) {
  constexpr uint64_t kObjects = 3000;
  const uint32_t client = Connect();
  for (uint64_t id = 0; id < kObjects; ++id) Make(client, id, 64);
  for (uint32_t slot = 0; slot < 50'000; ++slot) Pin(client, slot, 0);
  store_->Evict(1);  // which reads the pins
  uint64_t dying_most = 0, sweeps = 0, dying = 0;
  for (uint64_t id = 2; id < kObjects; ++id) {
    ASSERT_TRUE(store_->Delete(IdOf(id)));
    const uint64_t now = header_->counters.dying_count;
    if (now <= dying) ++sweeps;
    dying = now;
    dying_most = std::max(dying_most, dying);
  }
  EXPECT_GE(sweeps, 1u);
  EXPECT_LE(sweeps, kObjects / 500);
  EXPECT_LE(dying_most, 1000u);
  Make(client, 1, kCapacity - 64);  // a create that needs the memory has it at once
  EXPECT_EQ(header_->counters.dying_count, 0u);
  EXPECT_TRUE(store_->IsSealed(IdOf(0)));
  ExpectLedgerAddsUp();
}

TEST_F(ObjectStoreTest, TheDeleteOfALargeObjectIsWorthALookAtManyPins) {
  const uint32_t client = Connect();
  Make(client, 0, 64);
  Make(client, 1, 64);
  for (uint32_t slot = 0; slot < 1200; ++slot) Pin(client, slot, 0);
  ASSERT_TRUE(store_->Delete(IdOf(1)));
  Make(client, 2, kCapacity / 2);
  ASSERT_TRUE(store_->Delete(IdOf(2)));
  EXPECT_FALSE(store_->HasDying()) << "its pages are warm";
  ExpectLedgerAddsUp();
}

TEST_F(ObjectStoreTest, OneClientMoreThanThereAreRowsIsRefusedByName) {
  std::vector<uint32_t> clients = {Connect()};
  while (clients.size() < kClientRowsMax) {
    const auto next = store_->AddClient(1, "test", pages_.front().get());
    ASSERT_TRUE(next);
    clients.push_back(*next);
  }
  const auto refused = store_->AddClient(1, "test", pages_.front().get());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kLimit) << "no object lacks room";
  EXPECT_NE(refused.error().message.find("serves 4096 clients, the most"), std::string::npos);
  store_->RemoveClient(clients[77]);
  const auto next = store_->AddClient(1, "test", pages_.front().get());
  ASSERT_TRUE(next);
  EXPECT_EQ(header_->clients[77].number.load(), *next) << "the row is used again";
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
        case 5: {
          const ObjectId deleted = IdOf(id);
          if (random() % 2 == 0)
            (void)store_->Delete(deleted);
          else
            (void)store_->DeleteAtLastRelease({&deleted, 1});
          break;
        }
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
