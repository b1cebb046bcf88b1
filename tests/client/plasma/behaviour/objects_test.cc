// The life of objects in both stores: create, seal, get, release, abort, evict, list, hash.
#include <cstdio>
#include <set>
#include <thread>

#include "behaviour.h"

namespace behaviour {
namespace {

TEST_F(Behaviour, ContainsKnowsSealedObjectsOnly) {
  const ObjectID id = NewId();
  EXPECT_FALSE(Has(client_, id));
  std::shared_ptr<Buffer> data;
  ASSERT_STORE_OK(client_.Create(id, 100, nullptr, 0, &data));
  EXPECT_TRUE(Get(other_, {id}, 0)[0].data == nullptr);
  ASSERT_STORE_OK(client_.Seal(id));
  EXPECT_TRUE(Has(client_, id));
  EXPECT_TRUE(Has(other_, id));
  EXPECT_TRUE(Get(other_, {id}, -1)[0].data != nullptr);
}

TEST_F(Behaviour, DataAndMetadataOfEverySizeComeBack) {
  for (int64_t size = 0; size < 1000; size += 37) {
    const ObjectID id = NewId();
    std::vector<uint8_t> metadata(static_cast<size_t>(size));
    for (size_t i = 0; i < metadata.size(); ++i) metadata[i] = static_cast<uint8_t>(i * 7);
    std::shared_ptr<Buffer> data;
    ASSERT_STORE_OK(client_.Create(id, size, metadata.data(), size, &data));
    ASSERT_EQ(data->size(), size);
    for (int64_t i = 0; i < size; ++i) data->mutable_data()[i] = static_cast<uint8_t>(i);
    ASSERT_STORE_OK(client_.Seal(id));
    const std::vector<ObjectBuffer> got = Get(other_, {id}, 0);
    ASSERT_TRUE(got[0].data != nullptr);
    ASSERT_EQ(got[0].device_num, 0);
    ASSERT_EQ(got[0].data->size(), size);
    ASSERT_EQ(got[0].metadata->size(), size);
    for (int64_t i = 0; i < size; ++i) ASSERT_EQ(got[0].data->data()[i], static_cast<uint8_t>(i));
    ASSERT_TRUE(size == 0 || std::memcmp(got[0].metadata->data(), metadata.data(), metadata.size()) == 0);
    ASSERT_TRUE(got[0].data->mutable_data() == nullptr);
  }
}

TEST_F(Behaviour, AnIdIsCreatedOnce) {
  const ObjectID id = NewId();
  std::shared_ptr<Buffer> data;
  ASSERT_STORE_OK(client_.Create(id, 100, nullptr, 0, &data));
  EXPECT_TRUE(plasma::IsPlasmaObjectExists(client_.Create(id, 100, nullptr, 0, &data)));
  const Status again = other_.Create(id, 5, nullptr, 0, &data);
  EXPECT_TRUE(plasma::IsPlasmaObjectExists(again) && again.IsAlreadyExists());
  ASSERT_STORE_OK(client_.Seal(id));
  EXPECT_TRUE(plasma::IsPlasmaObjectExists(other_.CreateAndSeal(id, "a", "b")));
}

TEST_F(Behaviour, SealOfNothingAndSealTwiceAreNamed) {
  const Status nothing = client_.Seal(NewId());
  EXPECT_TRUE(plasma::IsPlasmaObjectNotFound(nothing) && nothing.IsKeyError());
  const ObjectID id = NewId();
  PutAndHold(client_, id, 100);
  const Status twice = client_.Seal(id);
  EXPECT_TRUE(plasma::IsPlasmaObjectAlreadySealed(twice) && twice.IsTypeError());
  EXPECT_STORE_OK(client_.Release(id));
}

TEST_F(Behaviour, CreateAndSealOfAThousandSizes) {
  for (size_t i = 0; i < 1000; i += 9) {
    const ObjectID id = NewId();
    ASSERT_STORE_OK(client_.CreateAndSeal(id, std::string(i, 'a'), std::string(i, 'b')));
    const ObjectBuffer got = Get(client_, {id}, -1)[0];
    ASSERT_EQ(got.data->ToString(), std::string(i, 'a'));
    ASSERT_EQ(got.metadata->ToString(), std::string(i, 'b'));
  }
  const std::string large(kCapacity / 10, 'c');
  for (int i = 0; i < 20; ++i) ASSERT_STORE_OK(client_.CreateAndSeal(NewId(), large, large));
}

TEST_F(Behaviour, GetWaitsAsLongAsItIsTold) {
  const std::vector<ObjectID> ids = NewIds(60);
  for (const int64_t timeout_ms : {0, 10, 100}) {
    for (const ObjectBuffer& each : Get(client_, ids, timeout_ms)) {
      ASSERT_TRUE(each.data == nullptr);
      ASSERT_TRUE(each.metadata == nullptr);
    }
  }
  for (size_t i = 0; i < ids.size(); i += 2) PutAs(client_, ids[i], 2000, 2000);
  for (const int64_t timeout_ms : {0, 10, 100}) {
    const std::vector<ObjectBuffer> got = Get(client_, ids, timeout_ms);
    for (size_t i = 0; i < ids.size(); ++i) ASSERT_EQ(got[i].data != nullptr, i % 2 == 0);
  }
}

TEST_F(Behaviour, GetOfSeveralWaitsForAllOfThem) {
  const std::vector<ObjectID> ids = NewIds(10);
  std::thread creator([&] {
    for (const ObjectID& id : ids) EXPECT_STORE_OK(other_.CreateAndSeal(id, "late", ""));
  });
  const std::vector<ObjectBuffer> got = Get(client_, ids, -1);
  creator.join();
  for (const ObjectBuffer& each : got) EXPECT_EQ(each.data->ToString(), "late");
}

TEST_F(Behaviour, SeveralThreadsShareAClient) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([this] {
      for (int round = 0; round < 100; ++round) {
        const ObjectID id = NewId();
        const std::string text(static_cast<size_t>(round), 'x');
        ASSERT_STORE_OK(client_.CreateAndSeal(id, text, "m"));
        ObjectBuffer got;
        ASSERT_STORE_OK(client_.Get(&id, 1, -1, &got));
        ASSERT_EQ(got.data->ToString(), text);
        ASSERT_STORE_OK(client_.Release(id));
        ASSERT_STORE_OK(client_.Delete(id));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST_F(Behaviour, OneIdTwiceInAGet) {
  const ObjectID id = NewId();
  ASSERT_STORE_OK(client_.CreateAndSeal(id, "twice", ""));
  const std::vector<ObjectBuffer> got = Get(client_, {id, id}, 0);  // with -1 Plasma waits for ever
  EXPECT_EQ(got[0].data->ToString(), "twice");
  EXPECT_EQ(got[1].data->ToString(), "twice");
}

TEST_F(Behaviour, BuffersAndTheirSlicesHoldTheObject) {
  const ObjectID id = Put(client_, 5, 1);
  std::vector<ObjectBuffer> got = Get(other_, {id}, -1);
  const std::shared_ptr<Buffer> metadata = got[0].metadata;
  std::shared_ptr<Buffer> slice = arrow::SliceBuffer(metadata, 0, 1);
  got.clear();
  EXPECT_EQ(Evict(client_, 1), 0);
  EXPECT_EQ(slice->data()[0], 42);
}

TEST_F(Behaviour, TheManualGetHoldsUntilItsRelease) {
  const ObjectID id = Put(client_, 5);
  {
    ObjectBuffer got;
    ASSERT_STORE_OK(other_.Get(&id, 1, -1, &got));
    ASSERT_TRUE(got.data != nullptr);
  }
  EXPECT_EQ(Evict(client_, 1), 0);
  ASSERT_STORE_OK(other_.Release(id));
  EXPECT_TRUE(Has(other_, id));  // Plasma's Release waits for no answer: this one comes after it
  EXPECT_EQ(Evict(client_, 1), 5);
}

TEST_F(Behaviour, AbortWantsTheBufferReleasedAndFreesTheId) {
  const ObjectID id = NewId();
  std::shared_ptr<Buffer> data;
  const uint8_t metadata[] = {5};
  ASSERT_STORE_OK(client_.Create(id, 4, metadata, 1, &data));
  data->mutable_data()[0] = 1;
  EXPECT_TRUE(client_.Abort(id).IsInvalid());
  ASSERT_STORE_OK(client_.Release(id));
  ASSERT_STORE_OK(client_.Abort(id));
  EXPECT_TRUE(Get(client_, {id}, 0)[0].data == nullptr);
  PutAs(client_, id, 7, 2);
  EXPECT_EQ(Get(client_, {id}, -1)[0].data->size(), 7);
}

TEST_F(Behaviour, OneIdLivesManyLives) {
  const ObjectID id = NewId();
  for (int i = 0; i < 5; ++i) {
    std::shared_ptr<Buffer> data;
    ASSERT_STORE_OK(client_.Create(id, 20, nullptr, 0, &data));
    ASSERT_STORE_OK(client_.Release(id));
    ASSERT_STORE_OK(client_.Abort(id));
  }
  for (int i = 0; i < 5; ++i) {
    PutAs(client_, id, 20, 1);
    ASSERT_STORE_OK(client_.Delete(id));
    EXPECT_FALSE(Has(client_, id));
  }
}

TEST_F(Behaviour, DeleteOfNothingIsFine) {
  EXPECT_STORE_OK(client_.Delete(NewId()));
  EXPECT_STORE_OK(client_.Delete(NewIds(3)));
}

TEST_F(Behaviour, ADeletedObjectGoesWithTheReleaseOfItsCreate) {
  const ObjectID id = NewId();
  const uint8_t metadata[] = {5};
  std::shared_ptr<Buffer> data;  // it holds nothing
  ASSERT_STORE_OK(client_.Create(id, 100, metadata, 1, &data));
  ASSERT_STORE_OK(client_.Seal(id));
  ASSERT_STORE_OK(client_.Delete(id));
  EXPECT_TRUE(Has(client_, id));
  ASSERT_STORE_OK(client_.Release(id));
  EXPECT_FALSE(Has(client_, id));
  EXPECT_STORE_OK(client_.Delete(id));
}

TEST_F(Behaviour, DeletedObjectsGoWithTheBuffersOfAnotherClient) {
  const std::vector<ObjectID> ids = NewIds(2);
  ASSERT_STORE_OK(client_.Delete(ids));
  std::vector<std::shared_ptr<Buffer>> kept(2);
  const uint8_t metadata[] = {5};
  for (size_t i = 0; i < 2; ++i) {
    ASSERT_STORE_OK(client_.Create(ids[i], 100, metadata, 1, &kept[i]));
    ASSERT_STORE_OK(client_.Seal(ids[i]));
    ASSERT_STORE_OK(client_.Release(ids[i]));
  }
  std::vector<ObjectBuffer> got = Get(other_, ids, 0);
  ASSERT_STORE_OK(client_.Delete(ids));
  for (const ObjectID& id : ids) EXPECT_TRUE(Has(client_, id));
  EXPECT_TRUE(plasma::IsPlasmaObjectExists(client_.CreateAndSeal(ids[0], "again", "")));
  EXPECT_TRUE(Get(client_, {ids[0]}, 0)[0].data != nullptr);
  plasma::ObjectTable table;
  ASSERT_STORE_OK(client_.List(&table));
  EXPECT_EQ(table.size(), 2u);
  got.clear();
  ASSERT_STORE_OK(other_.Delete(ids));
  for (const ObjectID& id : ids) EXPECT_FALSE(Has(client_, id));
  EXPECT_STORE_OK(client_.CreateAndSeal(ids[0], "again", ""));
}

TEST_F(Behaviour, TheEndOfAClientKeepsWhatItSealedAndAbortsTheRest) {
  std::vector<ObjectID> ids;
  {
    PlasmaClient creator;
    ASSERT_STORE_OK(creator.Connect(socket()));
    for (int i = 0; i < 30; ++i) {
      std::shared_ptr<Buffer> data;
      ids.push_back(NewId());
      ASSERT_STORE_OK(creator.Create(ids.back(), 100, nullptr, 0, &data));
      if (i % 3 == 0) {
        ASSERT_STORE_OK(creator.Seal(ids.back()));
      }
      if (i % 3 == 1) {
        ASSERT_STORE_OK(creator.Release(ids.back()));
        ASSERT_STORE_OK(creator.Abort(ids.back()));
      }
    }
    ASSERT_STORE_OK(creator.Disconnect());
  }
  for (size_t i = 0; i < ids.size(); ++i) EXPECT_EQ(Has(other_, ids[i]), i % 3 == 0);
  // An aborted id is free.
  EXPECT_TRUE(Soon([&] { return other_.CreateAndSeal(ids[2], "again", "").ok(); }));
}

TEST_F(Behaviour, AClientCanBeCopiedAndReturned) {
  const auto connect = [&] {
    PlasmaClient made;
    EXPECT_STORE_OK(made.Connect(socket()));
    return made;
  };
  PlasmaClient made = connect();
  PlasmaClient copy = made;
  const ObjectID id = NewId();
  ASSERT_STORE_OK(copy.CreateAndSeal(id, "shared", ""));
  EXPECT_EQ(Get(made, {id}, 0)[0].data->ToString(), "shared");
  ASSERT_STORE_OK(made.Disconnect());
}

// ---- batches ----

TEST_F(Behaviour, ABatchIsSealedInOneCall) {
  const std::vector<ObjectID> ids = NewIds(2);
  ASSERT_STORE_OK(client_.CreateAndSealBatch(ids, {"hello", "world"}, {"1", "22"}));
  const std::vector<ObjectBuffer> got = Get(other_, ids, -1);
  EXPECT_EQ(got[0].data->ToString(), "hello");
  EXPECT_EQ(got[1].data->ToString(), "world");
  EXPECT_EQ(got[1].metadata->ToString(), "22");
  EXPECT_STORE_OK(client_.CreateAndSealBatch({}, {}, {}));
}

TEST_F(Behaviour, ABatchThatFailsLeavesNothing) {
  const std::vector<ObjectID> ids = NewIds(3);
  ASSERT_STORE_OK(client_.CreateAndSeal(ids[1], "was there", ""));
  EXPECT_TRUE(plasma::IsPlasmaObjectExists(client_.CreateAndSealBatch(ids, {"a", "b", "c"}, {"", "", ""})));
  EXPECT_FALSE(Has(client_, ids[0]));
  EXPECT_FALSE(Has(client_, ids[2]));
  EXPECT_EQ(Get(client_, {ids[1]}, 0)[0].data->ToString(), "was there");
  EXPECT_TRUE(plasma::IsPlasmaObjectExists(client_.CreateAndSealBatch({ids[0], ids[0]}, {"a", "b"}, {"", ""})));
  EXPECT_FALSE(Has(client_, ids[0]));
  const std::string too_large(2 * kCapacity, 'x');
  EXPECT_TRUE(plasma::IsPlasmaStoreFull(client_.CreateAndSealBatch({ids[0], ids[2]}, {"a", too_large}, {"", ""})));
  EXPECT_FALSE(Has(client_, ids[0]));
  ASSERT_STORE_OK(client_.CreateAndSeal(ids[0], "the id is free", ""));
}

// ---- room ----

TEST_F(Behaviour, TwentyPercentGoAtATime) {
  const std::vector<ObjectID> ids = NewIds(10);
  for (const ObjectID& id : ids) PutAs(client_, id, kCapacity / 10);
  for (const ObjectID& id : ids) ASSERT_TRUE(Has(client_, id));
  Put(client_, kCapacity / 10);
  EXPECT_FALSE(Has(client_, ids[0]));
  EXPECT_FALSE(Has(client_, ids[1]));
  ASSERT_TRUE(Has(client_, ids[2]));
  ASSERT_STORE_OK(client_.Refresh({ids[2], ids[3]}));
  for (int i = 0; i < 2; ++i) Put(client_, kCapacity / 10);
  EXPECT_TRUE(Has(client_, ids[2]));  // refreshed
  EXPECT_TRUE(Has(client_, ids[3]));
  EXPECT_FALSE(Has(client_, ids[4]));  // the oldest of the others
}

TEST_F(Behaviour, HeldObjectsLeaveNoRoom) {
  const ObjectID half = NewId();
  PutAndHold(client_, half, kCapacity / 2);
  std::shared_ptr<Buffer> data;
  const ObjectID id = NewId();
  const Status full = client_.Create(id, kCapacity / 2 + 9000, nullptr, 0, &data);
  EXPECT_TRUE(plasma::IsPlasmaStoreFull(full) && full.IsCapacityError());
  PutAs(client_, id, kCapacity / 5);
  ASSERT_STORE_OK(client_.Release(half));
}

TEST_F(Behaviour, AnObjectAsLargeAsTheStoreFitsAndALargerOneIsStoreFull) {
  std::mt19937 random{7};
  for (int i = 0; i < 100; ++i) Put(client_, 1 + static_cast<int64_t>(random() % (kCapacity / 20)));
  for (int i = 0; i < 2; ++i) Put(client_, kCapacity);
  const ObjectID id = NewId();
  for (int i = 0; i < 3; ++i) {
    std::shared_ptr<Buffer> data;
    EXPECT_TRUE(plasma::IsPlasmaStoreFull(client_.Create(id, kCapacity + 9000, nullptr, 0, &data)));
  }
}

TEST_F(Behaviour, EvictTakesTheOldestThatNobodyHolds) {
  Put(client_, 1000);
  EXPECT_EQ(Evict(client_, 1), 1000);
  EXPECT_EQ(Evict(client_, 0), 0);
  const ObjectID written = NewId();
  std::shared_ptr<Buffer> data;
  ASSERT_STORE_OK(client_.Create(written, 999, nullptr, 0, &data));
  Put(client_, 998);
  EXPECT_EQ(Evict(client_, 1000), 998);
  Put(client_, 997);
  ASSERT_STORE_OK(client_.Seal(written));
  ASSERT_STORE_OK(client_.Release(written));
  EXPECT_EQ(Evict(client_, 1), 997);  // released before the other
  EXPECT_EQ(Evict(client_, 1), 999);
  for (const int64_t size : {996, 995, 994}) Put(client_, size);
  EXPECT_EQ(Evict(client_, 2000), 996 + 995 + 994);
}

TEST_F(Behaviour, ObjectsWithoutBytesCountAsNothingWhenOthersGo) {
  for (int i = 0; i < 5; ++i) Put(client_, 0);
  const ObjectID last = Put(client_, 7), kept = Put(client_, 7);
  EXPECT_EQ(Evict(client_, 1), 7);
  EXPECT_FALSE(Has(client_, last));
  EXPECT_TRUE(Has(client_, kept));
}

// ---- knowledge ----

TEST_F(Behaviour, ListSaysSizesStateUsersAndTimes) {
  const time_t before = ::time(nullptr);
  const ObjectID written = NewId(), held = NewId(), free = Put(client_, 13);
  std::shared_ptr<Buffer> data;
  const uint8_t metadata[7] = {};
  ASSERT_STORE_OK(client_.Create(written, 11, metadata, 7, &data));
  PutAndHold(client_, held, 12);
  ObjectBuffer got[2];
  ASSERT_STORE_OK(other_.Get(&held, 1, 0, &got[0]));
  ASSERT_STORE_OK(other_.Get(&held, 1, 0, &got[1]));
  plasma::ObjectTable table;
  ASSERT_STORE_OK(other_.List(&table));
  ASSERT_EQ(table.size(), 3u);
  EXPECT_EQ(table[written]->data_size, 11);
  EXPECT_EQ(table[written]->metadata_size, 7);
  EXPECT_EQ(table[written]->state, plasma::ObjectState::PLASMA_CREATED);
  EXPECT_EQ(table[written]->ref_count, 1);
  EXPECT_EQ(table[written]->construct_duration, -1);
  EXPECT_EQ(table[held]->state, plasma::ObjectState::PLASMA_SEALED);
  EXPECT_EQ(table[held]->ref_count, 2);  // clients, and not gets
  EXPECT_EQ(table[free]->ref_count, 0);
  EXPECT_GE(table[free]->construct_duration, 0);
  EXPECT_LE(table[free]->construct_duration, 60);
  EXPECT_GE(table[free]->create_time, before - 1);
  EXPECT_LE(table[free]->create_time, ::time(nullptr) + 1);
  for (const auto& client : {&client_, &other_}) ASSERT_STORE_OK(client->Release(held));
  ASSERT_STORE_OK(other_.Release(held));
  EXPECT_TRUE(Has(client_, held) && Has(other_, held));  // after the Releases, as above
  ASSERT_STORE_OK(client_.List(&table));
  EXPECT_EQ(table[held]->ref_count, 0);
}

TEST_F(Behaviour, HashesTellContentsApart) {
  std::set<std::string> digests;
  const auto digest_of = [&](const std::string& data, const std::string& metadata) {
    const ObjectID id = NewId();
    EXPECT_STORE_OK(client_.CreateAndSeal(id, data, metadata));
    std::string digest(plasma::kDigestSize, '\0');
    EXPECT_STORE_OK(client_.Hash(id, reinterpret_cast<uint8_t*>(digest.data())));
    return digest;
  };
  EXPECT_EQ(digest_of("same", "m"), digest_of("same", "m"));
  size_t count = 0;
  for (size_t i = 0; i < 256; ++i, ++count) digests.insert(digest_of(std::string(1024, static_cast<char>(i)), ""));
  for (size_t i = 0; i < 512; ++i, ++count) {
    std::string one_bit(1024, '\0');
    one_bit[i] = 1;
    digests.insert(digest_of(one_bit, ""));
  }
  for (size_t i = 0; i < 512; ++i, ++count) digests.insert(digest_of(std::string(i, '\0'), ""));
  digests.insert(digest_of("same", "other"));
  EXPECT_EQ(digests.size(), count + 1);
  uint8_t digest[plasma::kDigestSize];
  EXPECT_FALSE(client_.Hash(NewId(), digest).ok());
}

TEST_F(Behaviour, CapacityIsTheFlag) {
  EXPECT_EQ(client_.store_capacity(), kCapacity);
  EXPECT_FALSE(client_.DebugString().empty());
}

TEST_F(Behaviour, AStoreThatIsNotThereIsAnIoError) {
  PlasmaClient lost;
  EXPECT_TRUE(lost.Connect("/tmp/no/such/store", "", 0, 1).IsIOError());
}

TEST_F(Behaviour, AStoreThatIsGoneIsAnIoError) {
  ::signal(SIGPIPE, SIG_IGN);
  EndStore();
  bool there = false;
  EXPECT_TRUE(Soon([&] { return client_.Contains(NewId(), &there).IsIOError(); }));
  std::shared_ptr<Buffer> data;
  EXPECT_TRUE(client_.Create(NewId(), 1, nullptr, 0, &data).IsIOError());
  int fd = -1;
  EXPECT_TRUE(client_.Subscribe(&fd).IsIOError());
}

TEST_F(Behaviour, FlagsComeInAllForms) {
  for (const std::vector<std::string>& flags : {std::vector<std::string>{"-m=20000000"},
                                                {"--m", "20000000"},
                                                {"--m=20000000"},
                                                {"-m", "20000000", "-h=false"}}) {
    ASSERT_STORE_OK(client_.Disconnect());
    ASSERT_STORE_OK(other_.Disconnect());
    EndStore();
    StartStore(flags);
    ASSERT_STORE_OK(client_.Connect(socket()));
    ASSERT_STORE_OK(other_.Connect(socket()));
    EXPECT_EQ(client_.store_capacity(), 20'000'000) << flags.front();
  }
}

}  // namespace
}  // namespace behaviour
