// The store with a disk that a test holds in its hands.
#include "store/spiller.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>

#include "fbs/stored_value.h"
#include "store/restore_queue.h"
#include "tests/store/fake_spill_disk.h"
#include "tests/store/object_store_fixture.h"

namespace raylet::store {
namespace {

constexpr uint64_t kDiskMax = uint64_t{8} << 20;

class SpillerTest : public ObjectStoreTest {
 protected:
  explicit SpillerTest(SpillWhat what = SpillWhat::kOwned) : disk_(arena_->data()) {
    spiller_.emplace(store_->table(), store_->room(), disk_, kDiskMax, what);
    spiller_->OnRestored([this](const ObjectId& id, const Result<void>& outcome) {
      ++restored_;
      last_failure_ = outcome ? "" : outcome.error().message;
      static_cast<void>(id);
    });
    client_ = Connect();
  }
  static std::byte ByteOf(uint64_t id) { return static_cast<std::byte>(id * 7 + 1); }
  bool Put(uint64_t id, uint64_t bytes, bool owned = true) {
    const auto offset = Create(client_, id, bytes, {.owned = owned});
    if (!offset) return false;
    std::memset(arena_->data() + *offset, static_cast<int>(ByteOf(id)), bytes);
    EXPECT_TRUE(store_->Seal(client_, IdOf(id)));
    return true;
  }
  std::optional<uint32_t> EntryOf(uint64_t id) { return store_->table().index.Find(IdOf(id)); }
  EntryState StateOf(uint64_t id) {
    const auto entry = EntryOf(id);
    return entry ? store_->table().index.StateOf(*entry) : EntryState::kEmpty;
  }
  bool HasItsBytes(uint64_t id) {
    const ObjectIndex::Fields object = store_->table().index.FieldsOf(*EntryOf(id));
    for (uint64_t i = 0; i < object.data_bytes; ++i)
      if (arena_->data()[object.offset + i] != ByteOf(id)) return false;
    return true;
  }
  void LoseNothingInRandomOperations(bool owned);
  void Later() {
    clock_.Advance(std::chrono::milliseconds(1100));
    spiller_->Tick();
  }
  // Files in which somebody is.
  uint64_t LiveFiles() const { return spiller_->book().files(); }
  // So long that dead files go, too.
  void MuchLater() {
    clock_.Advance(kDeadFileKept);
    spiller_->Tick();
    disk_.DoAll();
  }

  FakeSpillDisk disk_;
  std::optional<Spiller> spiller_;
  uint32_t client_ = 0;
  int restored_ = 0;
  std::string last_failure_;
};

TEST_F(SpillerTest, OldestOwnedObjectsLeaveWhenThereIsNoRoom) {
  for (uint64_t id = 1; id <= 10; ++id) ASSERT_TRUE(Put(id, 100'000));
  ASSERT_FALSE(Put(11, 100'000));
  spiller_->WantRoom(100'000);
  ASSERT_FALSE(Put(11, 100'000)) << "not yet";
  disk_.DoAll();
  EXPECT_EQ(StateOf(1), EntryState::kSpilled);
  EXPECT_EQ(StateOf(10), EntryState::kSealed);
  EXPECT_TRUE(store_->IsSealed(IdOf(1)));
  EXPECT_TRUE(Put(11, 100'000));
  ExpectLedgerAddsUp();
  EXPECT_GT(header_->counters.spilled_bytes, 0u);
  EXPECT_EQ(header_->counters.spilled_out_bytes, header_->counters.spilled_bytes);
}

TEST_F(SpillerTest, AnEvictableObjectIsEvictedAndNotSpilled) {
  for (uint64_t id = 1; id <= 10; ++id) ASSERT_TRUE(Put(id, 100'000, /*owned=*/id > 5));
  ASSERT_TRUE(Put(11, 300'000));
  EXPECT_EQ(StateOf(1), EntryState::kEmpty);
  EXPECT_FALSE(disk_.DoWrite());
}

TEST_F(SpillerTest, AValueThatNamesOthersStaysInMemory) {
  const ObjectId named = IdOf(9);
  for (const uint64_t id : {1, 2}) {
    const std::string metadata = ValueMetadata(id == 1 ? std::span(&named, 1) : std::span<const ObjectId>());
    const auto offset = Create(client_, id, 100'000, {.metadata_bytes = metadata.size(), .owned = true});
    ASSERT_TRUE(offset);
    std::memcpy(arena_->data() + MetadataOffset(*offset, 100'000), metadata.data(), metadata.size());
    ASSERT_TRUE(store_->Seal(client_, IdOf(id)));
  }
  spiller_->WantRoom(200'000);
  disk_.DoAll();
  EXPECT_EQ(StateOf(1), EntryState::kSealed);
  EXPECT_EQ(StateOf(2), EntryState::kSpilled);
}

TEST_F(SpillerTest, SpilledObjectComesBackWithItsBytes) {
  ASSERT_TRUE(Put(1, 100'000));
  spiller_->WantRoom(1);
  disk_.DoAll();
  ASSERT_EQ(StateOf(1), EntryState::kSpilled);
  EXPECT_EQ(store_->free_bytes(), kCapacity);
  EXPECT_EQ(spiller_->Restore(IdOf(1)), Spiller::Restored::kUnderWay);
  EXPECT_EQ(spiller_->Restore(IdOf(1)), Spiller::Restored::kUnderWay);
  ExpectLedgerAddsUp();
  disk_.DoAll();
  EXPECT_EQ(restored_, 1);
  EXPECT_EQ(StateOf(1), EntryState::kSealed);
  EXPECT_TRUE(HasItsBytes(1));
  EXPECT_EQ(disk_.files.size(), 1u) << "it can leave again without a write";
  ExpectLedgerAddsUp();
  EXPECT_EQ(header_->counters.restored_bytes, 100'000u);
  ASSERT_TRUE(store_->Delete(IdOf(1)));
  Later();
  MuchLater();
  EXPECT_TRUE(disk_.files.empty()) << "the file goes with its last object";
}

TEST_F(SpillerTest, RestoredObjectStaysUntilItsGetterHadTimeToPinIt) {
  ASSERT_TRUE(Put(1, 100'000));
  spiller_->WantRoom(1);
  disk_.DoAll();
  static_cast<void>(spiller_->Restore(IdOf(1)));
  disk_.DoAll();
  EXPECT_FALSE(spiller_->WantRoom(1));
  EXPECT_EQ(StateOf(1), EntryState::kSealed);
  Later();
  EXPECT_FALSE(spiller_->HasHolds());
  EXPECT_TRUE(spiller_->WantRoom(1)) << "at once, since the disk has its bytes";
  EXPECT_FALSE(disk_.DoWrite());
  EXPECT_EQ(StateOf(1), EntryState::kSpilled);
}

TEST_F(SpillerTest, PinnedObjectIsNotSpilled) {
  ASSERT_TRUE(Put(1, 100'000));
  Pin(client_, 0, 1);
  spiller_->WantRoom(1);
  EXPECT_FALSE(disk_.DoWrite());
  Release(client_, 0);
  Later();
  spiller_->WantRoom(1);
  EXPECT_TRUE(disk_.DoWrite());
}

TEST_F(SpillerTest, GetDuringTheWriteKeepsTheObjectInMemory) {
  ASSERT_TRUE(Put(1, 100'000));
  ASSERT_TRUE(Put(2, 100'000));
  spiller_->WantRoom(200'000);
  Pin(client_, 0, 1);
  disk_.DoAll();
  EXPECT_EQ(StateOf(1), EntryState::kSealed);
  EXPECT_TRUE(HasItsBytes(1));
  EXPECT_EQ(StateOf(2), EntryState::kSpilled);
  EXPECT_FALSE(spiller_->book().IsLive({1, 0}));
}

// Only a client's hold keeps an object that was deleted at its last release.
TEST_F(SpillerTest, AnObjectDeletedAtItsLastReleaseIsGoneWhileTheDiskReadsItsMemory) {
  for (uint64_t id = 1; id <= 10; ++id) ASSERT_TRUE(Put(id, 100'000));
  spiller_->WantRoom(100'000);
  Pin(client_, 0, 2);
  const ObjectId ids[] = {IdOf(1), IdOf(2)};
  const auto deleted = store_->DeleteAtLastRelease(ids);
  ASSERT_TRUE(deleted[0] && deleted[1]);
  EXPECT_FALSE(store_->IsSealed(IdOf(1)));
  EXPECT_TRUE(store_->IsSealed(IdOf(2))) << "a client holds it";
  EXPECT_GE(header_->counters.dying_bytes, 100'000u) << "the disk has not written it yet";
  ExpectLedgerAddsUp();
  Release(client_, 0);
  EXPECT_FALSE(store_->IsSealed(IdOf(2)));
  disk_.DoAll();
  EXPECT_EQ(header_->counters.dying_bytes, 0u);
  EXPECT_TRUE(Put(1, 100'000)) << "the id is free";
  ExpectLedgerAddsUp();
}

TEST_F(SpillerTest, MemoryStaysWhileTheDiskReadsIt) {
  ASSERT_TRUE(Put(1, 100'000));
  const uint64_t offset = store_->table().index.FieldsOf(*EntryOf(1)).offset;
  spiller_->WantRoom(1);
  ASSERT_TRUE(store_->Delete(IdOf(1)));
  store_->SweepDying();
  EXPECT_EQ(store_->free_bytes(), kCapacity - 100'000);
  ASSERT_TRUE(Put(2, 100'000));
  EXPECT_NE(store_->table().index.FieldsOf(*EntryOf(2)).offset, offset);
  disk_.DoAll();
  EXPECT_EQ(store_->free_bytes(), kCapacity - 100'000) << "the first one's is free now";
  MuchLater();
  EXPECT_TRUE(disk_.files.empty());
}

TEST_F(SpillerTest, DeletesRemoveFiles) {
  for (uint64_t id = 1; id <= 3; ++id) ASSERT_TRUE(Put(id, 10'000));
  spiller_->WantRoom(30'000);
  disk_.DoAll();
  ASSERT_EQ(disk_.files.size(), 1u);
  const ObjectId second = IdOf(2);
  ASSERT_TRUE(store_->Delete(IdOf(1)));
  ASSERT_TRUE(store_->DeleteAtLastRelease({&second, 1}).front());
  disk_.DoAll();
  EXPECT_EQ(LiveFiles(), 1u) << "the copy of what is left";
  store_->RemoveClient(client_);
  MuchLater();
  EXPECT_TRUE(disk_.files.empty());
  EXPECT_EQ(header_->counters.spilled_bytes, 0u);
  EXPECT_EQ(header_->counters.spill_file_bytes, 0u);
}

TEST_F(SpillerTest, NewFileIsWrittenOverADeadOne) {
  ASSERT_TRUE(Put(1, 200'000));
  spiller_->WantRoom(200'000);
  disk_.DoAll();
  ASSERT_TRUE(store_->Delete(IdOf(1)));
  disk_.DoAll();
  EXPECT_EQ(disk_.files.size(), 1u) << "it is kept for the next one";
  EXPECT_EQ(LiveFiles(), 0u);
  EXPECT_GT(header_->counters.spill_file_bytes, 200'000u) << "it counts";
  ASSERT_TRUE(Put(2, 150'000));
  spiller_->WantRoom(150'000);
  disk_.DoAll();
  EXPECT_EQ(disk_.replaced_files, 1u);
  EXPECT_EQ(disk_.files.size(), 1u);
  static_cast<void>(spiller_->Restore(IdOf(2)));
  disk_.DoAll();
  EXPECT_TRUE(HasItsBytes(2));
}

TEST_F(SpillerTest, DeadFilesMakeRoomBelowTheBound) {
  spiller_.reset();
  spiller_.emplace(store_->table(), store_->room(), disk_, 250'000);
  for (uint64_t id = 1; id <= 2; ++id) ASSERT_TRUE(Put(id, 100'000));
  spiller_->WantRoom(100'000);
  disk_.DoAll();
  for (uint64_t id = 1; id <= 2; ++id) ASSERT_TRUE(store_->Delete(IdOf(id)));
  ASSERT_TRUE(Put(3, 240'000));
  spiller_->WantRoom(100'000);
  disk_.DoAll();
  EXPECT_EQ(StateOf(3), EntryState::kSpilled);
  EXPECT_LE(header_->counters.spill_file_bytes, 250'000u);
  EXPECT_EQ(disk_.files.size(), 1u);
}

TEST_F(SpillerTest, FullDiskTakesTheDeadFilesFirst) {
  ASSERT_TRUE(Put(1, 100'000));
  spiller_->WantRoom(100'000);
  disk_.DoAll();
  ASSERT_TRUE(store_->Delete(IdOf(1)));
  ASSERT_TRUE(Put(2, 500'000));  // of another size
  disk_.fails_writes = true;
  spiller_->WantRoom(500'000);
  disk_.DoAll();
  EXPECT_TRUE(disk_.files.empty());
  disk_.fails_writes = false;
  spiller_->WantRoom(500'000);
  disk_.DoAll();
  EXPECT_EQ(StateOf(2), EntryState::kSpilled) << "at once, without the pause";
}

TEST_F(SpillerTest, DeleteDuringTheReadFreesTheRun) {
  ASSERT_TRUE(Put(1, 100'000));
  spiller_->WantRoom(1);
  disk_.DoAll();
  static_cast<void>(spiller_->Restore(IdOf(1)));
  ASSERT_TRUE(store_->Delete(IdOf(1)));
  ASSERT_TRUE(Put(2, 1000)) << "it may have the entry of the first";
  disk_.DoAll();
  EXPECT_EQ(store_->free_bytes(), kCapacity - 1000);
  EXPECT_EQ(restored_, 0);
  ExpectLedgerAddsUp();
}

TEST_F(SpillerTest, InheritedObjectsStayOnDisk) {
  const uint32_t owner = Connect(/*heir=*/client_);
  ASSERT_TRUE(Create(owner, 1, 1000, {.owned = true}));
  ASSERT_TRUE(store_->Seal(owner, IdOf(1)));
  spiller_->WantRoom(1);
  disk_.DoAll();
  ASSERT_EQ(StateOf(1), EntryState::kSpilled);
  const Inheritance inheritance = store_->RemoveClient(owner);
  EXPECT_EQ(inheritance.objects.size(), 1u);
  EXPECT_EQ(StateOf(1), EntryState::kSpilled);
  store_->RemoveClient(client_);
  EXPECT_EQ(StateOf(1), EntryState::kEmpty);
}

TEST_F(SpillerTest, FullDiskLeavesObjectsInMemoryAndPauses) {
  for (uint64_t id = 1; id <= 10; ++id) ASSERT_TRUE(Put(id, 100'000));
  disk_.fails_writes = true;
  spiller_->WantRoom(100'000);
  disk_.DoAll();
  EXPECT_EQ(StateOf(1), EntryState::kSealed);
  EXPECT_TRUE(HasItsBytes(1));
  EXPECT_EQ(header_->counters.spill_failures, 1u) << "of one file";
  const auto refused = Create(client_, 11, 100'000, {.owned = true});
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("No space left on device"), std::string::npos) << refused.error().message;
  disk_.fails_writes = false;
  spiller_->WantRoom(100'000);
  EXPECT_FALSE(disk_.DoWrite()) << "it pauses";
  Later();
  spiller_->WantRoom(100'000);
  disk_.DoAll();
  EXPECT_TRUE(Put(11, 100'000));
}

TEST_F(SpillerTest, BoundOfTheFilesIsNamed) {
  spiller_.reset();
  spiller_.emplace(store_->table(), store_->room(), disk_, 250'000);
  for (uint64_t id = 1; id <= 10; ++id) ASSERT_TRUE(Put(id, 100'000));
  spiller_->WantRoom(100'000);
  disk_.DoAll();
  ASSERT_TRUE(Put(11, 100'000));
  Later();
  spiller_->WantRoom(100'000);
  EXPECT_FALSE(disk_.DoWrite());
  const auto refused = Create(client_, 12, 100'000, {.owned = true});
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("--spill-max is 250000"), std::string::npos) << refused.error().message;
}

TEST_F(SpillerTest, LostObjectStaysLostUntilItIsDeleted) {
  ASSERT_TRUE(Put(1, 100'000));
  spiller_->WantRoom(1);
  disk_.DoAll();
  disk_.files.begin()->second.front().bytes.pop_back();
  static_cast<void>(spiller_->Restore(IdOf(1)));
  disk_.DoAll();
  EXPECT_NE(last_failure_, "");
  EXPECT_TRUE(store_->IsLost(IdOf(1)));
  EXPECT_EQ(spiller_->Restore(IdOf(1)), Spiller::Restored::kLost);
  EXPECT_EQ(header_->counters.lost_objects, 1u);
  MuchLater();
  EXPECT_TRUE(disk_.files.empty());
  EXPECT_EQ(store_->free_bytes(), kCapacity);
  ASSERT_TRUE(store_->Delete(IdOf(1)));
  EXPECT_TRUE(Put(1, 10));
  ExpectLedgerAddsUp();
}

TEST_F(SpillerTest, ReadThatMeetsACopiedFileReadsTheCopy) {
  for (uint64_t id = 1; id <= 4; ++id) ASSERT_TRUE(Put(id, 10'000));
  spiller_->WantRoom(40'000);
  disk_.DoAll();
  for (uint64_t id = 1; id <= 3; ++id) ASSERT_TRUE(store_->Delete(IdOf(id)));
  ASSERT_EQ(spiller_->Restore(IdOf(4)), Spiller::Restored::kUnderWay);
  while (disk_.DoWrite()) {}
  clock_.Advance(kDeadFileKept);
  spiller_->Tick();
  while (disk_.DoWrite()) {}
  ASSERT_FALSE(disk_.files.contains(1)) << "copied, and gone";
  disk_.DoAll();
  EXPECT_EQ(StateOf(4), EntryState::kSealed);
  EXPECT_TRUE(HasItsBytes(4));
  EXPECT_EQ(disk_.files.size(), 1u);
}

TEST_F(SpillerTest, GetsGoOnWhileTheDiskIsFull) {
  for (uint64_t id = 1; id <= 10; ++id) ASSERT_TRUE(Put(id, 100'000));
  spiller_->WantRoom(200'000);
  disk_.DoAll();
  for (uint64_t id = 11; Put(id, 100'000); ++id) {}
  disk_.fails_writes = true;
  for (const uint64_t id : {1, 2, 1, 2}) {
    Later();
    for (int tries = 0; tries < 4 && StateOf(id) == EntryState::kSpilled; ++tries) {
      static_cast<void>(spiller_->Restore(IdOf(id)));
      disk_.DoAll();
      Later();
    }
    ASSERT_EQ(StateOf(id), EntryState::kSealed) << "object " << id;
    EXPECT_TRUE(HasItsBytes(id));
  }
  EXPECT_FALSE(Put(100, 100'000)) << "no create takes the room of the gets";
}

// Nothing is evicted, as with Plasma's external store.
class SpillAllTest : public SpillerTest {
 protected:
  SpillAllTest() : SpillerTest(SpillWhat::kAll) {}
};

TEST_F(SpillAllTest, ObjectsWithoutAnOwnerLeaveAndComeBack) {
  for (uint64_t id = 1; id <= 10; ++id) ASSERT_TRUE(Put(id, 100'000, /*owned=*/id % 2 == 0));
  ASSERT_FALSE(Put(11, 100'000, /*owned=*/false)) << "nothing is evicted";
  spiller_->WantRoom(200'000);
  disk_.DoAll();
  for (const uint64_t id : {1, 2}) EXPECT_EQ(StateOf(id), EntryState::kSpilled) << "the oldest, owned or not";
  EXPECT_EQ(StateOf(10), EntryState::kSealed);
  EXPECT_EQ(header_->counters.evictions, 0u);
  EXPECT_GE(spiller_->left_bytes(), 200'000u);
  EXPECT_TRUE(Put(11, 100'000, /*owned=*/false));
  store_->RemoveClient(client_);
  client_ = Connect();
  EXPECT_EQ(StateOf(1), EntryState::kSpilled) << "it belongs to nobody";
  EXPECT_EQ(StateOf(2), EntryState::kEmpty) << "its owner has gone";
  EXPECT_EQ(spiller_->Restore(IdOf(1)), Spiller::Restored::kUnderWay);
  disk_.DoAll();
  EXPECT_EQ(StateOf(1), EntryState::kSealed);
  EXPECT_TRUE(HasItsBytes(1));
  ExpectLedgerAddsUp();
}

TEST_F(SpillAllTest, ValueThatLooksLikeOneWithReferencesLeavesWhereNobodyOwnsIt) {
  const ObjectId named = IdOf(9);
  const std::string metadata = ValueMetadata(std::span(&named, 1));
  const auto offset = Create(client_, 1, 100'000, {.metadata_bytes = metadata.size()});
  ASSERT_TRUE(offset);
  std::memcpy(arena_->data() + MetadataOffset(*offset, 100'000), metadata.data(), metadata.size());
  ASSERT_TRUE(store_->Seal(client_, IdOf(1)));
  spiller_->WantRoom(1);
  disk_.DoAll();
  EXPECT_EQ(StateOf(1), EntryState::kSpilled);
}

TEST_F(SpillAllTest, FullQuotaGivesItsObjectsToAllAndLosesNone) {
  ASSERT_TRUE(store_->SetOptions(client_, "bounded", 250'000));
  for (uint64_t id = 1; id <= 5; ++id) ASSERT_TRUE(Put(id, 100'000, /*owned=*/false));
  for (uint64_t id = 1; id <= 5; ++id) EXPECT_EQ(StateOf(id), EntryState::kSealed) << "object " << id;
  EXPECT_EQ(header_->counters.evictions, 0u);
  spiller_->WantRoom(100'000);
  disk_.DoAll();
  EXPECT_EQ(StateOf(1), EntryState::kSpilled);
  EXPECT_EQ(StateOf(5), EntryState::kSealed);
  ExpectLedgerAddsUp();
}

// Against a model: what was put and not deleted is there, in memory or on disk, with its bytes.
void SpillerTest::LoseNothingInRandomOperations(bool owned) {
  for (uint64_t seed = 1; seed <= 3; ++seed) {
    std::mt19937_64 random(seed);
    const uint32_t client = client_;
    std::map<uint64_t, uint64_t> model;   // bytes by id
    std::map<uint64_t, uint32_t> pinned;  // slots by id
    uint64_t next = seed * 100'000, kept = 0;
    const auto any = [&](const auto& of) {
      auto it = of.begin();
      std::advance(it, random() % of.size());
      return it->first;
    };
    for (int step = 0; step < 1000; ++step) {
      const uint64_t what = random() % 16;
      if (what < 5) {
        constexpr uint64_t kSizes[] = {40, 1000, 5000, 20'000, 90'000, 200'000};
        const uint64_t bytes = kSizes[random() % std::size(kSizes)];
        if (Put(++next, bytes, owned))
          model[next] = bytes;
        else
          spiller_->WantRoom(bytes);
      } else if (what < 9) {
        if (random() % 8 == 0) disk_.fails_writes = !disk_.fails_writes;
        disk_.DoWrite();
      } else if (what < 11) {
        disk_.DoRead();
      } else if (what == 11 && !model.empty()) {
        const uint64_t id = any(model);
        if (StateOf(id) == EntryState::kSpilled) {
          if (const auto restored = spiller_->Restore(IdOf(id)); restored == Spiller::Restored::kNoRoom)
            spiller_->WantRoom(model[id]);
        } else if (!pinned.contains(id) && pinned.size() < 4) {
          uint32_t slot = 0;
          while (std::ranges::any_of(pinned, [&](const auto& each) { return each.second == slot; })) ++slot;
          Pin(client, slot, id);
          pinned[id] = slot;
        }
      } else if (what == 12 && !pinned.empty()) {
        const uint64_t id = any(pinned);
        Release(client, pinned[id]);
        pinned.erase(id);
      } else if (what == 13 && !model.empty()) {
        const uint64_t id = any(model);
        if (pinned.contains(id)) continue;
        ASSERT_TRUE(store_->Delete(IdOf(id)));
        model.erase(id);
      } else if (what == 14) {
        Later();
      } else {
        store_->SweepDying();
      }
      ASSERT_NO_FATAL_FAILURE(ExpectLedgerAddsUp()) << "seed " << seed << ", step " << step;
      ASSERT_LE(header_->counters.spill_file_bytes, kDiskMax);
      for (const auto& [id, slot] : pinned) ASSERT_EQ(StateOf(id), EntryState::kSealed) << "a pinned one";
      if (step % 50 != 0) continue;
      for (const auto& [id, bytes] : model) {
        ASSERT_TRUE(EntryOf(id)) << "object " << id << ", seed " << seed << ", step " << step;
        if (StateOf(id) == EntryState::kSealed) {
          ASSERT_TRUE(HasItsBytes(id)) << "object " << id << ", seed " << seed << ", step " << step;
          continue;
        }
        const DiskPlace place = DiskPlaceOf(store_->table().index.FieldsOf(*EntryOf(id)).offset);
        ASSERT_TRUE(disk_.files.contains(place.file)) << "object " << id << ", seed " << seed << ", step " << step;
        const FakeSpillDisk::Row& row = disk_.files.at(place.file).at(place.row);
        ASSERT_EQ(row.part.id, IdOf(id));
        ASSERT_TRUE(std::all_of(row.bytes.begin(), row.bytes.begin() + static_cast<std::ptrdiff_t>(bytes),
                                [&](std::byte byte) { return byte == ByteOf(id); }));
        ++kept;
      }
    }
    EXPECT_GT(kept, 10u) << "objects were on disk";
    disk_.fails_writes = false;
    for (const auto& [id, slot] : pinned) Release(client, slot);
    for (const auto& [id, bytes] : model) EXPECT_TRUE(owned || store_->Delete(IdOf(id)));
    store_->RemoveClient(client);
    disk_.DoAll();
    Later();
    store_->SweepDying();
    disk_.DoAll();
    MuchLater();
    ASSERT_TRUE(disk_.files.empty()) << "seed " << seed;
    ASSERT_EQ(store_->free_bytes(), kCapacity);
    ASSERT_EQ(arena_->physical_bytes(), 0u);
    client_ = Connect();
  }
}

TEST_F(SpillerTest, NothingIsLostInRandomOperations) { LoseNothingInRandomOperations(/*owned=*/true); }
TEST_F(SpillAllTest, NothingIsLostInRandomOperations) { LoseNothingInRandomOperations(/*owned=*/false); }

// ---- who waits ------------------------------------------------------------------------------------

using Waiting = RestoreQueue::Request;

TEST(RestoreQueueTest, AnswersOnceAllOfARequestAreHere) {
  RestoreQueue queue;
  const ObjectId a = ObjectId::FromRandom(), b = ObjectId::FromRandom();
  ASSERT_TRUE(queue.Add({.client = 1, .request_id = 10}, {a, b}));
  ASSERT_TRUE(queue.Add({.client = 2, .request_id = 20}, {b}));
  EXPECT_EQ(queue.Next(), a);
  queue.Begun(a);
  EXPECT_EQ(queue.Next(), b);
  queue.Begun(b);
  EXPECT_FALSE(queue.Next());
  EXPECT_TRUE(queue.Ended(a, {}).empty());
  const auto answers = queue.Ended(b, {});
  ASSERT_EQ(answers.size(), 2u);
  EXPECT_EQ(answers[0].request.request_id, 10u);
  EXPECT_EQ(answers[1].request.request_id, 20u);
  EXPECT_TRUE(queue.Empty());
}

TEST(RestoreQueueTest, AnEmptyQueueHasNoDeadline) {
  RestoreQueue queue;
  const ObjectId a = ObjectId::FromRandom();
  const TimePoint deadline = TimePoint{} + std::chrono::seconds(1);
  ASSERT_TRUE(queue.Add({.client = 1, .request_id = 10, .deadline = deadline}, {a}));
  EXPECT_EQ(queue.NextDeadline(), deadline);
  EXPECT_EQ(queue.Ended(a, {}).size(), 1u);
  EXPECT_EQ(queue.NextDeadline(), TimePoint::max());
}

TEST(RestoreQueueTest, FailureAnswersAtOnceAndLeavesTheOthers) {
  RestoreQueue queue;
  const ObjectId a = ObjectId::FromRandom(), b = ObjectId::FromRandom();
  ASSERT_TRUE(queue.Add({.client = 1, .request_id = 10}, {a, b}));
  ASSERT_TRUE(queue.Add({.client = 2, .request_id = 20}, {b}));
  const auto answers = queue.Ended(a, Fail(ErrorCode::kNotFound, "lost"));
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_FALSE(answers[0].outcome);
  EXPECT_EQ(queue.Next(), b) << "the other client waits for it";
  EXPECT_EQ(queue.Ended(b, {}).size(), 1u);
  EXPECT_TRUE(queue.Empty());
}

TEST(RestoreQueueTest, AnObjectWithoutWaitersIsNotTried) {
  RestoreQueue queue;
  const ObjectId a = ObjectId::FromRandom(), b = ObjectId::FromRandom();
  ASSERT_TRUE(queue.Add({.client = 1, .request_id = 10, .deadline = TimePoint{}}, {a}));
  ASSERT_TRUE(queue.Add({.client = 2, .request_id = 20}, {b}));
  EXPECT_EQ(queue.TakeExpired(TimePoint{}).size(), 1u);
  EXPECT_EQ(queue.Next(), b);
  queue.DropClient(2);
  EXPECT_FALSE(queue.Next());
  EXPECT_TRUE(queue.Empty());
}

TEST(RestoreQueueTest, EachClientHasABoundOfItsOwn) {
  RestoreQueue queue;
  for (uint64_t i = 0; i < kRestoreRequestsPerClientMax; ++i)
    ASSERT_TRUE(queue.Add({.client = 1, .request_id = i}, {ObjectId::FromRandom()}));
  EXPECT_EQ(queue.Add({.client = 1, .request_id = 99}, {ObjectId::FromRandom()}).error().code, ErrorCode::kLimit);
  EXPECT_TRUE(queue.Add({.client = 2, .request_id = 1}, {ObjectId::FromRandom()}));
  EXPECT_FALSE(queue.Add({.client = 2, .request_id = 2}, std::vector<ObjectId>(kRestoreIdsMax + 1)));
}

}  // namespace
}  // namespace raylet::store
