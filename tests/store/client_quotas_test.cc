// Quotas, batches and counts of users, as verbs of the store.
#include "store/client_quotas.h"

#include <gtest/gtest.h>

#include <random>

#include "store/batch_create.h"
#include "store/use_counts.h"
#include "tests/store/object_store_fixture.h"

namespace raylet::store {
namespace {

class ClientQuotasTest : public ObjectStoreTest {
 protected:
  static constexpr uint64_t kQuota = kCapacity / 2;
  uint32_t ConnectWithQuota(uint64_t bytes = kQuota) {
    const uint32_t client = Connect();
    const auto set = store_->SetOptions(client, "bounded", bytes);
    EXPECT_TRUE(set) << set.error().message;
    return client;
  }
  bool Sealed(uint64_t id) { return store_->IsSealed(IdOf(id)); }
  bool Says(const std::string& line) {
    return ("\n" + store_->DebugText() + "\n").find("\n" + line + "\n") != std::string::npos;
  }
};

TEST_F(ClientQuotasTest, TheClientsOwnOldestObjectMakesRoom) {
  const uint32_t client = ConnectWithQuota();
  Make(client, 1, kQuota / 2);
  Make(client, 2, kQuota / 2);
  Make(client, 3, kQuota / 2);
  EXPECT_FALSE(Sealed(1));
  EXPECT_TRUE(Sealed(2) && Sealed(3));
  EXPECT_EQ(header_->counters.evictions, 1u);
  EXPECT_EQ(Create(client, 4, kQuota + 1).error().code, ErrorCode::kTooLarge);
  ExpectLedgerAddsUp();
}

TEST_F(ClientQuotasTest, NeitherSideEvictsTheOthers) {
  const uint32_t bounded = ConnectWithQuota(), other = Connect();
  Make(other, 1, kCapacity / 4);
  Make(bounded, 2, kQuota / 2);
  for (uint64_t id = 10; id < 14; ++id) Make(bounded, id, kQuota / 2);
  EXPECT_TRUE(Sealed(1));
  for (uint64_t id = 20; id < 30; ++id) Make(other, id, kCapacity / 4);
  EXPECT_FALSE(Sealed(1));
  EXPECT_TRUE(Sealed(12) && Sealed(13));
  EXPECT_EQ(store_->Evict(kCapacity), kCapacity / 2) << "what is under a quota stays";
  ExpectLedgerAddsUp();
}

TEST_F(ClientQuotasTest, HeldAndUnsealedObjectsLeaveTheirQuota) {
  const uint32_t client = ConnectWithQuota(), other = Connect();
  Make(client, 1, kQuota / 2);
  Pin(client, 0, 1);
  ASSERT_TRUE(Create(client, 2, kQuota / 2));
  ASSERT_TRUE(Create(client, 3, kQuota / 2));  // 1 is held
  EXPECT_TRUE(Says("quota map size: 2"));
  ASSERT_TRUE(Create(client, 4, kQuota / 2));  // 2 is being written
  EXPECT_TRUE(Says("quota map size: 2"));
  for (uint64_t id = 2; id <= 4; ++id) ASSERT_TRUE(store_->Seal(client, IdOf(id)));
  Release(client, 0);
  Make(other, 10, kCapacity / 2);
  EXPECT_FALSE(Sealed(1) || Sealed(2));
  EXPECT_TRUE(Sealed(3) && Sealed(4));
  ExpectLedgerAddsUp();
}

TEST_F(ClientQuotasTest, TheOldestIsTheOneReleasedFirst) {
  const uint32_t client = ConnectWithQuota();
  Make(client, 1, kQuota / 2);
  Make(client, 2, kQuota / 2);
  Pin(client, 0, 1);
  PinPage& page = *page_of_[client];
  page.touches[0].store(page.slots[0].load() - 1);
  page.touch_tail.store(1);
  Release(client, 0);
  Make(client, 3, kQuota / 2);
  EXPECT_TRUE(Sealed(1));
  EXPECT_FALSE(Sealed(2));
}

TEST_F(ClientQuotasTest, ACreateThatMayNotEvictCountsAndEvictsNothing) {
  const uint32_t client = ConnectWithQuota();
  Make(client, 1, kQuota);
  Make(client, 2, kQuota / 4, {.evict_if_full = false});
  EXPECT_TRUE(Sealed(1) && Sealed(2));
  Make(client, 3, kQuota / 4);
  EXPECT_FALSE(Sealed(1));
  EXPECT_TRUE(Sealed(2) && Sealed(3));
}

TEST_F(ClientQuotasTest, OwnedObjectsAreUnderNoQuota) {
  const uint32_t client = ConnectWithQuota(kQuota / 2);
  Make(client, 1, kQuota / 2, {.owned = true});
  Make(client, 2, kQuota / 2);
  EXPECT_TRUE(Sealed(1) && Sealed(2));
  EXPECT_TRUE(Says("quota map size: 1"));
}

TEST_F(ClientQuotasTest, SeventyPercentInAllAndOncePerClient) {
  const uint32_t first = Connect(), second = Connect();
  EXPECT_EQ(store_->SetOptions(first, "a", kCapacity / 100 * 71).error().code, ErrorCode::kFull);
  EXPECT_EQ(store_->SetOptions(first, "a", ~uint64_t{0}).error().code, ErrorCode::kFull);
  EXPECT_TRUE(store_->SetOptions(first, "a", kCapacity / 2));
  EXPECT_EQ(store_->SetOptions(first, "a", 1).error().code, ErrorCode::kFull);
  EXPECT_TRUE(store_->SetOptions(first, "only a name", 0));
  EXPECT_EQ(store_->SetOptions(second, "b", kCapacity / 4).error().code, ErrorCode::kFull);
  EXPECT_TRUE(store_->SetOptions(second, "b", kCapacity / 10));
  store_->RemoveClient(first);
  EXPECT_TRUE(store_->SetOptions(Connect(), "c", kCapacity / 2));
}

TEST_F(ClientQuotasTest, TheEndOfTheClientGivesItsObjectsToEverybody) {
  const uint32_t client = ConnectWithQuota(), other = Connect();
  Make(client, 1, kQuota / 2);
  ASSERT_TRUE(Create(client, 2, kQuota / 2));
  store_->RemoveClient(client);
  EXPECT_TRUE(Sealed(1));
  EXPECT_TRUE(Says("num clients with quota: 0") && Says("quota map size: 0"));
  EXPECT_TRUE(Says(StrCat("(global lru) capacity: ", kCapacity)) && Says("(global lru) used: 25%") &&
              Says("(global lru) num objects: 1"));
  for (uint64_t id = 10; id < 15; ++id) Make(other, id, kCapacity / 4);
  EXPECT_FALSE(Sealed(1));
  ExpectLedgerAddsUp();
}

TEST_F(ClientQuotasTest, TheNameIsTheClientsRow) {
  const uint32_t client = Connect();
  ASSERT_TRUE(store_->SetOptions(client, std::string(100, 'n'), 0));
  for (std::ptrdiff_t i = 0; i < std::ptrdiff_t{kClientRowsMax}; ++i)
    if (header_->clients[i].number.load() == client) {
      EXPECT_EQ(header_->clients[i].name, std::string(63, 'n'));
    }
}

TEST_F(ClientQuotasTest, RandomHistoriesKeepTheCounts) {
  for (uint32_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random{seed};
    std::vector<uint32_t> clients = {ConnectWithQuota(kCapacity / 5), ConnectWithQuota(kCapacity / 4), Connect()};
    for (int step = 0; step < 300; ++step) {
      const uint32_t client = clients[random() % clients.size()];
      const uint64_t id = seed * 1000 + random() % 40;
      switch (random() % 7) {
        case 0:
        case 1:
        case 2:
          if (Create(client, id, random() % (kCapacity / 8), {.evict_if_full = random() % 4 != 0}) &&
              random() % 4 != 0) {
            ASSERT_TRUE(store_->Seal(client, IdOf(id)));
          }
          break;
        case 3: static_cast<void>(store_->Abort(client, IdOf(id))); break;
        case 4: static_cast<void>(store_->Delete(IdOf(id))); break;
        case 5: store_->Evict(random() % kCapacity); break;
        case 6:
          if (Sealed(id)) Pin(client, random() % 4, id);
          break;
      }
      ExpectLedgerAddsUp();
      const std::string text = store_->DebugText();
      ASSERT_EQ(text.find("1844674407"), std::string::npos) << "a count went below zero: " << text;
    }
    for (const uint32_t client : clients) store_->RemoveClient(client);
    store_->Evict(kCapacity);
    store_->SweepDying();
    EXPECT_EQ(store_->free_bytes(), kCapacity);
    EXPECT_TRUE(Says("(global lru) used: 0%") && Says("(global lru) num objects: 0") && Says("quota map size: 0"));
  }
}

// ---- batches ----

wire::CreateAndSealBatchRequestT Batch(const std::vector<uint64_t>& ids, uint32_t bytes) {
  wire::CreateAndSealBatchRequestT request;
  for (const uint64_t id : ids) {
    ObjectId object;
    std::memcpy(object.mutable_data(), &id, sizeof id);
    request.ids.push_back(ToWire(object));
    request.data_bytes.push_back(bytes);
    request.metadata_bytes.push_back(1);
    request.bytes.insert(request.bytes.end(), bytes + 1, static_cast<uint8_t>(id));
  }
  return request;
}

TEST_F(ClientQuotasTest, ABatchIsAllOrNothing) {
  const uint32_t client = Connect();
  std::vector<std::pair<uint32_t, bool>> told;
  store_->OnSealedOrGone([&](uint32_t entry, bool sealed) { told.emplace_back(entry, sealed); });
  ASSERT_TRUE(CreateAndSealBatch(*store_, client, Batch({1, 2, 3}, 100), full_));
  EXPECT_TRUE(Sealed(1) && Sealed(2) && Sealed(3));
  EXPECT_EQ(told.size(), 3u);
  EXPECT_EQ(CreateAndSealBatch(*store_, client, Batch({4, 2, 5}, 100), full_).error().code, ErrorCode::kAlreadyExists);
  EXPECT_EQ(CreateAndSealBatch(*store_, client, Batch({6, 6}, 100), full_).error().code, ErrorCode::kAlreadyExists);
  EXPECT_EQ(CreateAndSealBatch(*store_, client, Batch({7, 8}, kCapacity / 4 * 3), full_).error().code,
            ErrorCode::kFull);
  EXPECT_GT(full_.need_bytes, 0u);
  EXPECT_FALSE(Sealed(4) || Sealed(5) || Sealed(6) || Sealed(7));
  EXPECT_EQ(header_->counters.unsealed_count, 0u);
  ASSERT_TRUE(CreateAndSealBatch(*store_, client, Batch({4, 6, 7}, 0), full_)) << "their ids are free";
  ExpectLedgerAddsUp();
}

TEST_F(ClientQuotasTest, ABatchWhosePartsDoNotFitIsRefused) {
  const uint32_t client = Connect();
  auto request = Batch({1, 2}, 10);
  request.bytes.pop_back();
  EXPECT_EQ(CreateAndSealBatch(*store_, client, request, full_).error().code, ErrorCode::kInvalid);
  request = Batch({1, 2}, 10);
  request.metadata_bytes.pop_back();
  EXPECT_EQ(CreateAndSealBatch(*store_, client, request, full_).error().code, ErrorCode::kInvalid);
  request = Batch({1, 2}, 10);
  request.data_bytes[0] = ~uint32_t{0};
  EXPECT_EQ(CreateAndSealBatch(*store_, client, request, full_).error().code, ErrorCode::kInvalid);
  EXPECT_EQ(
      CreateAndSealBatch(*store_, client, Batch(std::vector<uint64_t>(kBatchObjectsMax + 1), 0), full_).error().code,
      ErrorCode::kInvalid);
  EXPECT_EQ(header_->counters.creates, 0u);
}

// ---- users ----

TEST_F(ClientQuotasTest, UsersAreCountedOncePerClient) {
  const uint32_t first = Connect(), second = Connect();
  Make(first, 1, 10);
  Make(first, 2, 10);
  ASSERT_TRUE(Create(first, 3, 10));
  Pin(first, 0, 1);
  Pin(first, 1, 1);
  Pin(second, 0, 1);
  const auto uses = CountUses(*store_, 0);
  ASSERT_EQ(uses.uses.size(), 2u);
  EXPECT_EQ(uses.uses[0].clients(), 2u);
  EXPECT_EQ(uses.uses[1].clients(), 1u) << "of its writer";
  EXPECT_EQ(uses.next_entry, 0u);
  EXPECT_EQ(CountUses(*store_, uses.uses[0].entry() + 1).uses.size(), 1u);
}

TEST_F(ClientQuotasTest, TheTimeFromCreateToSealIsKept) {
  const uint32_t client = Connect();
  ASSERT_TRUE(Create(client, 1, 10));
  clock_.Advance(std::chrono::seconds(3));
  ASSERT_TRUE(store_->Seal(client, IdOf(1)));
  const EntryTimes times = TimesOf(header_->entries->times_and_flags.load());
  EXPECT_EQ(times.constructed_s, 3u);
  EXPECT_FALSE(times.owned);
}

}  // namespace
}  // namespace raylet::store
