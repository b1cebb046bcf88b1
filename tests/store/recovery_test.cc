// A store that is killed at any instruction: after each of its stores to shared memory, another one takes over a copy
// of that memory.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <functional>
#include <map>
#include <random>
#include <set>
#include <span>
#include <vector>

#include "base/check.h"
#include "base/strings.h"
#include "client/plasma/mapped_index.h"
#include "fbs/put_page.h"
#include "store/object_store.h"
#include "store/recovery.h"
#include "store/spiller.h"
#include "tests/harness/manual_clock.h"
#include "tests/harness/pin_page.h"
#include "tests/store/each_store.h"
#include "tests/store/fake_spill_disk.h"

namespace raylet::store {
namespace {

constexpr uint64_t kCapacity = uint64_t{1} << 20;
constexpr uint64_t kEntries = 256;

ObjectId IdOf(uint64_t number) {
  ObjectId id;
  std::memcpy(id.mutable_data(), &number, sizeof number);
  return id;
}

// ---- the index ----------------------------------------------------------------------------------

using Numbers = std::set<uint64_t>;

// Insertions and removals, with a new chain every few of them.
void ChangeIndex(ObjectIndex& index, std::mt19937_64& random, uint64_t steps, Progress& progress,
                 std::vector<Numbers>& after) {
  std::map<uint64_t, uint32_t> live;
  const auto note = [&] {
    Numbers numbers;
    for (const auto& [number, entry] : live) numbers.insert(number);
    after.push_back(std::move(numbers));
  };
  note();
  for (uint64_t step = 1; step <= steps; ++step) {
    progress.begun = step;
    const uint64_t number = random() % 24;
    if (const auto it = live.find(number); it != live.end()) {
      index.MarkDying(it->second);
      index.Remove(it->second);
      live.erase(it);
    } else {
      live[number] = *index.Insert(IdOf(number), {.offset = number * 64, .data_bytes = number});
      index.MarkSealed(live[number]);
    }
    note();
    progress.done = step;
  }
}

TEST(RecoveryTest, IndexIsWholeAfterAnEndAtAnyInstruction) {
  constexpr uint64_t kMax = 64, kSteps = 60;
  for (uint64_t seed = 1; seed <= 8; ++seed) {
    const Shared memory(IndexSegmentBytes(kMax));
    Progress progress;
    IndexHeader* const header = InitIndexSegment(memory.memory, kMax);
    std::vector<Numbers> after;
    {
      const Shared model_memory(memory.bytes);
      Progress model_progress;
      std::mt19937_64 random(seed);
      ObjectIndex model(InitIndexSegment(model_memory.memory, kMax), kMax, /*chains_at_first=*/1);
      ChangeIndex(model, random, kSteps, model_progress, after);
    }
    const Shared copy(memory.bytes);
    const auto look = [&] {
      std::memcpy(copy.memory, memory.memory, memory.bytes);
      const Numbers& before = after[progress.done];
      const Numbers& next = after[progress.begun];
      const auto expect_whole = [&](const char* when) {
        const auto reader = client::MappedIndex::Attach(copy.memory, copy.bytes);
        ASSERT_TRUE(reader);
        for (uint64_t number = 0; number < 24; ++number) {
          const bool there = reader->FindSealed(IdOf(number)).has_value();
          if (before.contains(number) && next.contains(number)) {
            ASSERT_TRUE(there) << when << ": " << number << " at step " << progress.begun << " of seed " << seed;
          }
          if (!before.contains(number) && !next.contains(number)) {
            ASSERT_FALSE(there) << when << ": " << number << " at step " << progress.begun << " of seed " << seed;
          }
        }
      };
      ASSERT_NO_FATAL_FAILURE(expect_whole("before"));
      ObjectIndex index(static_cast<IndexHeader*>(copy.memory), kMax, 1);
      ASSERT_TRUE(index.Repair()) << "step " << progress.begun << " of seed " << seed;
      ASSERT_NO_FATAL_FAILURE(expect_whole("after"));
      // It goes on as if nothing had happened.
      for (uint32_t entry = 0; entry < index.bound(); ++entry) {
        if (index.StateOf(entry) == EntryState::kSealed || index.StateOf(entry) == EntryState::kUnsealed)
          index.MarkDying(entry);
        if (index.StateOf(entry) != EntryState::kEmpty) index.Remove(entry);
      }
      ASSERT_EQ(index.used(), 0u);
      for (uint64_t number = 100; number < 100 + kMax; ++number)
        index.MarkSealed(*index.Insert(IdOf(number), {.offset = number * 64, .data_bytes = number}));
      ASSERT_FALSE(index.HasFree());
      const auto reader = client::MappedIndex::Attach(copy.memory, copy.bytes);
      for (uint64_t number = 100; number < 100 + kMax; ++number) ASSERT_TRUE(reader->FindSealed(IdOf(number)));
    };
    std::mt19937_64 random(seed);
    std::vector<Numbers> ignored;
    ObjectIndex index(header, kMax, /*chains_at_first=*/1);
    const EachStore each(memory, look);
    ASSERT_NO_FATAL_FAILURE(ChangeIndex(index, random, kSteps, progress, ignored));
    EXPECT_GT(each.stores(), 5 * kSteps);
  }
}

TEST(RecoveryTest, RefusesAnIndexWhoseChainsLeadAstray) {
  constexpr uint64_t kMax = 16;
  const auto with = [](const std::function<void(IndexHeader&)>& damage) {
    const Shared memory(IndexSegmentBytes(kMax));
    IndexHeader* const header = InitIndexSegment(memory.memory, kMax);
    ObjectIndex index(header, kMax, 4);
    for (uint64_t number = 1; number <= 8; ++number)
      index.MarkSealed(*index.Insert(IdOf(number), {.offset = number * 64, .data_bytes = number}));
    damage(*header);
    ObjectIndex after(header, kMax, 4);
    return after.Repair();
  };
  EXPECT_TRUE(with([](IndexHeader&) {}));
  EXPECT_FALSE(with([](IndexHeader& header) { header.chains[0].store(MakeHead(1000, 0, 0xff)); }));
  EXPECT_FALSE(with([](IndexHeader& header) {
    for (int entry = 0; entry < 8; ++entry) header.entries[entry].next.store(static_cast<uint32_t>(entry) + 1);
  }));
  EXPECT_FALSE(with([](IndexHeader& header) { header.entries[3].id_words[0].fetch_xor(~uint64_t{0}); }));
}

// ---- the whole store ----------------------------------------------------------------------------

// What each number's object has in it.
uint64_t SizeOf(uint64_t number) {
  constexpr uint64_t kSizes[] = {0, 40, 1000, 5000, 20'000, 90'000};
  return kSizes[number % std::size(kSizes)];
}
std::byte ByteOf(uint64_t number) { return static_cast<std::byte>(number * 7 + 1); }

struct Sealed {
  uint32_t owner = 0;
  bool pinned = false;
};
using Objects = std::map<uint64_t, Sealed>;

// The memory of one store: as the keeper holds it.
struct Memory {
  Memory() : index(IndexSegmentBytes(kEntries)), arena(*Arena::CreateMemory(kCapacity)) {
    for (auto& page : pins) {
      page = std::make_unique<Shared>(PinPageBytes());
      auto* const pin_page = static_cast<PinPage*>(page->memory);
      pin_page->magic = kPinsMagic;
      pin_page->layout_version = kLayoutVersion;
    }
  }
  PinPage* page(uint32_t client) const { return static_cast<PinPage*>(pins[client]->memory); }
  IndexHeader* header() const { return static_cast<IndexHeader*>(index.memory); }
  static constexpr size_t kPinBytes = offsetof(PinPage, slots) + 4096;
  void CopyFrom(const Memory& other) {
    std::memcpy(index.memory, other.index.memory, index.bytes);
    for (uint32_t client = 1; client <= 3; ++client)
      std::memcpy(pins[client]->memory, other.pins[client]->memory, kPinBytes);
    arena = UniqueFd(::dup(other.arena.get()));  // the same: whoever takes it over writes nothing there
  }

  Shared index;
  UniqueFd arena;
  std::unique_ptr<Shared> pins[4];
};

// A store of its own in `memory`, with two clients, and a third as the heir of the first.
struct Store {
  explicit Store(const Memory& of)
      : memory(of),
        arena(*Arena::Open(UniqueFd(::dup(of.arena.get())), kCapacity)),
        store(kCapacity, *arena, of.header(), clock),
        disk(arena->data()),
        spiller(store.table(), store.room(), disk, uint64_t{1} << 40) {}
  void Connect() {
    for (const uint32_t heir : {0U, 1U, 0U}) {
      const uint32_t number = store.next_client();
      RAYLET_CHECK(*store.AddClient(1, "test", memory.page(number), heir) == number, "another number");
    }
  }
  // Of the sealed or spilled object.
  std::optional<uint32_t> EntryOf(uint64_t number) const {
    for (uint32_t entry = 0; entry < kEntries; ++entry) {
      const IndexEntry& slot = memory.header()->entries[static_cast<std::ptrdiff_t>(entry)];
      const EntryState state = StateOf(slot.word.load());
      if ((state == EntryState::kSealed || state == EntryState::kSpilled) && IndexChains::IdOf(slot) == IdOf(number))
        return entry;
    }
    return std::nullopt;
  }
  bool IsSpilled(uint32_t entry) const {
    return StateOf(memory.header()->entries[static_cast<std::ptrdiff_t>(entry)].word.load()) == EntryState::kSpilled;
  }
  // As SpillThreads finds the files that another server has left.
  void AdoptDisk(const FakeSpillDisk::Files& files) {
    disk.files = files;
    std::vector<SpillDisk::FoundFile> found;
    for (const auto& [file, rows] : files) found.push_back({file, 4096});
    spiller.Adopt(found);
  }

  const Memory& memory;
  test::ManualClock clock;
  std::unique_ptr<Arena> arena;
  ObjectStore store;
  FakeSpillDisk disk;
  Spiller spiller;
};

// A step of the work. What is not possible in a state does nothing.
void Work(Store& on, std::mt19937_64& random) {
  ObjectStore& store = on.store;
  FullNumbers full;
  const uint64_t number = random() % 20;
  const auto client = static_cast<uint32_t>(1 + random() % 3);
  const ObjectId id = IdOf(number);
  const uint64_t what = random() % 17;
  on.clock.Advance(std::chrono::milliseconds(150));
  if (!store.IsConnected(client)) return;
  if (what < 5) {
    const auto offset = store.Create(client, id, {.data_bytes = SizeOf(number), .owned = random() % 2 == 0}, full);
    if (!offset) return;
    std::memset(on.arena->data() + *offset, static_cast<int>(ByteOf(number)), SizeOf(number));
    if (random() % 8 != 0) (void)store.Seal(client, id);
  } else if (what == 5) {
    (void)store.Seal(client, id);
  } else if (what == 6) {
    (void)store.Abort(client, id);
  } else if (what == 7) {
    (void)store.Delete(id);
  } else if (what == 8) {
    (void)store.DeleteAtLastRelease({&id, 1});
  } else if (what == 9) {
    if (const auto entry = on.EntryOf(number); entry && !on.IsSpilled(*entry)) {
      PinPage& page = *on.memory.page(client);
      page.slots[number].store(*entry + 1);
      if (page.slots_high_water.load() <= number) page.slots_high_water.store(static_cast<uint32_t>(number) + 1);
    }
  } else if (what == 10) {
    on.memory.page(client)->slots[number].store(0);
    store.SweepDying();
  } else if (what == 12) {
    on.spiller.WantRoom(1 + random() % 100'000);
  } else if (what == 13 || what == 14) {
    on.disk.DoWrite();
  } else if (what == 15) {
    (void)on.spiller.Restore(id);
  } else if (what == 16) {
    on.disk.DoRead();
    on.spiller.Tick();
  } else if (random() % 6 == 0 && client == 2) {
    store.RemoveClient(client);
  } else if (random() % 2 == 0) {
    (void)store.SetOwner(client, {&id, 1}, static_cast<uint32_t>(1 + random() % 3));
  } else {
    store.Evict(30'000);
  }
}

Objects SealedIn(const Store& on) {
  Objects objects;
  std::set<uint32_t> pinned;
  for (uint32_t client = 1; client <= 3; ++client) {
    if (!on.store.IsConnected(client)) continue;
    const PinPage& page = *on.memory.page(client);
    for (uint32_t slot = 0; slot < page.slots_high_water.load(); ++slot) pinned.insert(page.slots[slot].load());
  }
  for (uint64_t number = 0; number < 20; ++number)
    if (const auto entry = on.EntryOf(number))
      objects[number] = {on.memory.header()->owners[static_cast<std::ptrdiff_t>(*entry)].load(),
                         pinned.contains(*entry + 1)};
  return objects;
}

void ExpectLedgerAddsUp(const Store& on) {
  const IndexCounters& counters = on.memory.header()->counters;
  ASSERT_EQ(counters.sealed_bytes + counters.unsealed_bytes + counters.dying_bytes + counters.restoring_bytes +
                on.store.free_bytes(),
            kCapacity);
  ASSERT_EQ(counters.mutation_seq % 2, 0u);
  ASSERT_EQ(counters.physical_bytes, on.arena->physical_bytes());
}

// Some of the objects go to disk and come back meanwhile.
TEST(RecoveryTest, StoreIsWholeAfterAnEndAtAnyInstruction) {
  constexpr uint64_t kSteps = 80;
  uint64_t spilled = 0;
  for (uint64_t seed = 1; seed <= 4; ++seed) {
    std::vector<Objects> after;
    {
      const Memory memory;
      InitIndexSegment(memory.index.memory, kEntries);
      Store model(memory);
      model.Connect();
      std::mt19937_64 random(seed);
      after.push_back(SealedIn(model));
      for (uint64_t step = 1; step <= kSteps; ++step) {
        Work(model, random);
        after.push_back(SealedIn(model));
      }
    }
    const Memory memory;
    Memory copy;
    InitIndexSegment(memory.index.memory, kEntries);
    Progress progress;
    const Store* killed = nullptr;
    const auto look = [&] {
      const std::string where = StrCat("step ", progress.begun, " of seed ", seed);
      copy.CopyFrom(memory);
      Store on(copy);
      std::vector<Recovery::ClientPage> pages;
      for (uint32_t client = 1; client <= 3; ++client) pages.push_back({client, copy.page(client)});
      const auto recovered = Recovery(on.store).Run(pages);
      ASSERT_TRUE(recovered) << where << ": " << recovered.error().message;
      on.AdoptDisk(killed->disk.files);
      while (on.disk.DoWrite()) {}  // removes the files of nobody
      ASSERT_NO_FATAL_FAILURE(ExpectLedgerAddsUp(on)) << where;
      const Objects& before = after[progress.done];
      const Objects& next = after[progress.begun];
      const Objects now = SealedIn(on);
      for (const auto& [number, object] : before) {
        if (!next.contains(number)) continue;
        ASSERT_TRUE(now.contains(number)) << where << ", object " << number;
        const uint32_t owner = now.at(number).owner;
        ASSERT_TRUE(owner == object.owner || owner == next.at(number).owner) << where << ", object " << number;
      }
      for (const auto& [number, object] : now) {
        ASSERT_TRUE(before.contains(number) || next.contains(number)) << where << ", object " << number;
        const IndexEntry& entry = copy.header()->entries[static_cast<std::ptrdiff_t>(*on.EntryOf(number))];
        ASSERT_EQ(entry.data_bytes.load(), SizeOf(number)) << where;
        const std::byte* bytes = on.arena->data() + entry.offset.load();
        if (on.IsSpilled(*on.EntryOf(number))) {
          const DiskPlace place = DiskPlaceOf(entry.offset.load());
          ASSERT_TRUE(on.disk.files.contains(place.file)) << where << ", object " << number;
          const FakeSpillDisk::Row& row = on.disk.files.at(place.file).at(place.row);
          ASSERT_EQ(row.part.id, IdOf(number)) << where;
          bytes = row.bytes.data();
          ++spilled;
        }
        for (uint64_t at = 0; at < SizeOf(number); at += 16)
          ASSERT_EQ(bytes[at], ByteOf(number)) << where << ", object " << number;
      }
      // Nothing is leaked: the arena is one run again when all are gone.
      for (uint32_t client = 1; client <= 3; ++client) {
        Recovery(on.store).LoseUnsealed(client);
        for (uint32_t slot = 0; slot < 20; ++slot) copy.page(client)->slots[slot].store(0);
        on.store.RemoveClient(client);
      }
      on.store.SweepDying();
      for (uint64_t number = 0; number < 20; ++number) (void)on.store.Delete(IdOf(number));
      on.store.SweepDying();
      while (on.disk.DoWrite()) {}
      on.clock.Advance(kDeadFileKept);
      on.spiller.Tick();
      while (on.disk.DoWrite()) {}
      ASSERT_TRUE(on.disk.files.empty()) << where;
      ASSERT_EQ(on.store.free_bytes(), kCapacity) << where;
      ASSERT_EQ(on.arena->LargestRun(), on.arena->arena_bytes()) << where;
      ASSERT_NO_FATAL_FAILURE(ExpectLedgerAddsUp(on)) << where;
    };
    Store on(memory);
    on.Connect();
    killed = &on;
    std::mt19937_64 random(seed);
    const EachStore each(memory.index, look);
    for (uint64_t step = 1; step <= kSteps; ++step) {
      progress.begun = step;
      Work(on, random);
      ASSERT_FALSE(HasFatalFailure());
      progress.done = step;
    }
    EXPECT_GT(each.stores(), 5 * kSteps);
  }
  EXPECT_GT(spilled, 100u) << "objects were on disk when the store was killed";
}

// A reader may still look at the place that an object had before it moved, and a new server must not use it again.
TEST(RecoveryTest, OldPlacesStayTakenWhileTheirObjectsArePinned) {
  const Memory memory;
  InitIndexSegment(memory.index.memory, kEntries);
  constexpr uint64_t kBytes = 20'000, kFrom = 1 << 20, kTo = 2 << 20;
  {
    Store on(memory);
    on.Connect();
    FullNumbers full;
    ASSERT_TRUE(on.store.Create(1, IdOf(1), {.data_bytes = kBytes}, full));
    ASSERT_TRUE(on.store.Seal(1, IdOf(1)));
    const uint32_t entry = *on.EntryOf(1);
    OldPlace& row = memory.header()->old_places[3];
    row.offset.store(kFrom);
    row.link.store(entry + 1);
    memory.header()->entries[static_cast<std::ptrdiff_t>(entry)].offset.store(kTo);
    memory.page(2)->slots[0].store(entry + 1);
    memory.page(2)->slots_high_water.store(1);
  }
  Store again(memory);
  ASSERT_TRUE(Recovery(again.store).Run(std::vector<Recovery::ClientPage>{{1, memory.page(1)}, {2, memory.page(2)}}));
  const auto is_free = [&](uint64_t offset) {
    const auto& runs = again.arena->runs().runs();
    const auto run = std::prev(runs.upper_bound(offset));
    return run->first <= offset && offset < run->first + run->second;
  };
  EXPECT_FALSE(is_free(kFrom));
  EXPECT_FALSE(is_free(kTo));
  again.store.SweepDying();
  EXPECT_FALSE(is_free(kFrom)) << "somebody pins it";
  memory.page(2)->slots[0].store(0);
  again.store.SweepDying();
  EXPECT_TRUE(is_free(kFrom));
  EXPECT_FALSE(is_free(kTo));
  EXPECT_EQ(memory.header()->old_places[3].link.load(), kNoLink);
}

TEST(RecoveryTest, UnsealedObjectsKeepTheirMemoryWhileTheirWriterPinsIt) {
  const Memory memory;
  InitIndexSegment(memory.index.memory, kEntries);
  FullNumbers full;
  {
    Store on(memory);
    on.Connect();
    ASSERT_TRUE(on.store.Create(1, IdOf(1), {.data_bytes = 100}, full));
    ASSERT_TRUE(on.store.Create(1, IdOf(2), {.data_bytes = 100}, full));
    memory.page(1)->slots[0].store(1);  // of the first entry
    memory.page(1)->slots_high_water.store(1);
  }
  Store again(memory);
  ASSERT_TRUE(Recovery(again.store).Run(std::vector<Recovery::ClientPage>{{1, memory.page(1)}}));
  Recovery(again.store).LoseUnsealed(1);
  EXPECT_EQ(again.store.free_bytes(), kCapacity - 100);
  EXPECT_TRUE(again.store.Create(1, IdOf(1), {.data_bytes = 100}, full)) << "the id is free";
  memory.page(1)->slots[0].store(0);
  again.store.SweepDying();
  EXPECT_EQ(again.store.free_bytes(), kCapacity - 100) << "the new one alone";
}

TEST(RecoveryTest, ARunThatAClientMayStillWriteIntoStaysTaken) {
  const Memory memory;
  InitIndexSegment(memory.index.memory, kEntries);
  uint64_t run = 0;
  {
    Store on(memory);
    on.Connect();
    run = *on.arena->Allocate(PutClassBytes(9));
    memory.page(1)->writing.store(WritingRun(run, 9));
  }
  Store again(memory);
  ASSERT_TRUE(Recovery(again.store).Run(std::vector<Recovery::ClientPage>{{1, memory.page(1)}}));
  EXPECT_EQ(memory.header()->restarts.load(), 1u);
  FullNumbers full;
  for (uint64_t number = 1; const auto made = again.store.Create(1, IdOf(number), {.data_bytes = 700}, full);
       ++number) {
    ASSERT_TRUE(*made >= run + PutClassBytes(9) || *made + 700 <= run) << "object " << number;
    if (number == 1000) break;
  }
  again.store.RemoveClient(1);
  again.store.SweepDying();
  EXPECT_EQ(again.arena->physical_bytes(), 0u) << "the run goes with its client";
}

TEST(RecoveryTest, NonsenseAboutRunsIsPassedOver) {
  const Memory memory;
  InitIndexSegment(memory.index.memory, kEntries);
  uint64_t object = 0;
  {
    Store on(memory);
    on.Connect();
    FullNumbers full;
    object = *on.store.Create(1, IdOf(1), {.data_bytes = 1000}, full);
    ASSERT_TRUE(on.store.Seal(1, IdOf(1)));
  }
  for (const uint64_t word : {WritingRun(object, 3), WritingRun(object + 64, 3), WritingRun(object - object % 4096, 19),
                              WritingRun(uint64_t{1} << 60, 3), ~uint64_t{0}, uint64_t{63}}) {
    memory.page(1)->writing.store(word);
    Store again(memory);
    ASSERT_TRUE(Recovery(again.store).Run(std::vector<Recovery::ClientPage>{{1, memory.page(1)}})) << word;
    again.store.EndWriting(1);
    EXPECT_EQ(again.store.free_bytes(), kCapacity - 1000) << word;
  }
}

TEST(RecoveryTest, RefusesObjectsThatLieOverOneAnother) {
  const Memory memory;
  InitIndexSegment(memory.index.memory, kEntries);
  {
    Store on(memory);
    on.Connect();
    FullNumbers full;
    for (uint64_t number = 1; number <= 2; ++number) {
      ASSERT_TRUE(on.store.Create(1, IdOf(number), {.data_bytes = 1000}, full));
      ASSERT_TRUE(on.store.Seal(1, IdOf(number)));
    }
    memory.header()->entries[1].offset.store(memory.header()->entries[0].offset.load() + 64);
  }
  Store again(memory);
  const auto recovered = Recovery(again.store).Run({});
  ASSERT_FALSE(recovered);
  EXPECT_EQ(recovered.error().code, ErrorCode::kProtocolError);
}

// Small objects of an earlier server have pages with gaps, which new ones fill.
TEST(RecoveryTest, GapsBetweenSmallObjectsAreUsedAgain) {
  const Memory memory;
  InitIndexSegment(memory.index.memory, kEntries);
  FullNumbers full;
  {
    Store on(memory);
    on.Connect();
    for (uint64_t number = 0; number < 200; ++number) {
      ASSERT_TRUE(on.store.Create(1, IdOf(number), {.data_bytes = 1000, .owned = true}, full));
      ASSERT_TRUE(on.store.Seal(1, IdOf(number)));
    }
    for (uint64_t number = 0; number < 200; number += 2) ASSERT_TRUE(on.store.Delete(IdOf(number)));
    on.store.SweepDying();
  }
  Store again(memory);
  ASSERT_TRUE(Recovery(again.store).Run(std::vector<Recovery::ClientPage>{{1, memory.page(1)}}));
  const uint64_t free_pages = again.arena->runs().free_bytes();
  for (uint64_t number = 0; number < 200; number += 2)
    ASSERT_TRUE(again.store.Create(1, IdOf(number), {.data_bytes = 1000, .owned = true}, full));
  EXPECT_EQ(again.arena->runs().free_bytes(), free_pages);
  ASSERT_NO_FATAL_FAILURE(ExpectLedgerAddsUp(again));
  again.store.RemoveClient(1);
  EXPECT_EQ(again.arena->LargestRun(), again.arena->arena_bytes());
}

}  // namespace
}  // namespace raylet::store
