#include "client/plasma/mapped_index.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "tests/client/plasma/index_writer.h"

namespace raylet::client {
namespace {

using test::IndexWriter;

TEST(PlasmaIndex, FindsEverySealedObjectInLongChainsAndAfterRemovals) {
  IndexWriter writer(128);
  std::vector<ObjectId> ids;
  std::vector<uint64_t> entries;
  for (uint32_t i = 0; i < 128; ++i) {
    ids.push_back(ObjectId::FromRandom());
    entries.push_back(writer.Insert(ids.back(), EntryState::kSealed, i * 64, i, i % 7));
  }
  for (size_t i = 0; i < ids.size(); i += 2) writer.SetState(entries[i], EntryState::kEmpty);
  const MappedIndex index = writer.Reader();
  for (size_t i = 0; i < ids.size(); ++i) {
    const auto found = index.FindSealed(ids[i]);
    ASSERT_EQ(found.has_value(), i % 2 == 1) << i;
    if (!found) continue;
    EXPECT_EQ(found->entry, entries[i]);
    EXPECT_EQ(found->offset, i * 64);
    EXPECT_EQ(found->data_bytes, i);
    EXPECT_EQ(found->metadata_bytes, i % 7);
    EXPECT_TRUE(index.StillThere(*found));
  }
  EXPECT_FALSE(index.FindSealed(ObjectId::FromRandom()));
}

TEST(PlasmaIndex, UnsealedAndDyingObjectsAreInvisibleToGets) {
  IndexWriter writer(64);
  const auto id = ObjectId::FromRandom();
  const uint64_t entry = writer.Insert(id, EntryState::kUnsealed, 0, 10);
  const MappedIndex index = writer.Reader();
  EXPECT_FALSE(index.FindSealed(id));
  EXPECT_TRUE(index.Find(id, EntryState::kUnsealed));
  writer.SetState(entry, EntryState::kSealed);
  const auto found = index.FindSealed(id);
  ASSERT_TRUE(found);
  writer.SetState(entry, EntryState::kDying);
  EXPECT_FALSE(index.StillThere(*found));
  EXPECT_FALSE(index.FindSealed(id));
  // A successor of the same id comes while the dying one is pinned.
  const uint64_t successor = writer.Insert(id, EntryState::kSealed, 64, 20);
  ASSERT_TRUE(index.FindSealed(id));
  EXPECT_EQ(index.FindSealed(id)->entry, successor);
}

TEST(PlasmaIndex, ProbeEndsInAFullIndexAndInOneThatMakesNoSense) {
  IndexWriter writer(16);
  for (uint64_t i = 0; i < 16; ++i) writer.Insert(ObjectId::FromRandom(), EntryState::kSealed, i * 64, 1);
  EXPECT_FALSE(writer.Reader().FindSealed(ObjectId::FromRandom()));
  for (uint64_t chain = 0; chain < 16; ++chain) writer.header().chains.get()[chain] = MakeHead(17, 0, 0xff);
  EXPECT_FALSE(writer.Reader().FindSealed(ObjectId::FromRandom())) << "a link beyond the last entry";
  for (uint64_t chain = 0; chain < 16; ++chain) writer.header().chains.get()[chain] = MakeHead(1, 0, 0xff);
  writer.header().entries.get()[0].word = MakeWord(EntryState::kDying, 5);
  EXPECT_FALSE(writer.Reader().FindSealed(ObjectId::FromRandom())) << "a chain whose entry has left it";
}

TEST(PlasmaIndex, EntriesThatWereNeverUsedAreNotRead) {
  IndexWriter writer(16);
  const uint64_t entry = writer.Insert(ObjectId::FromRandom(), EntryState::kUnsealed, 0, 1);
  const MappedIndex index = writer.Reader();
  EXPECT_EQ(index.entry_bound(), entry + 1);
  EXPECT_TRUE(index.Read(entry));
  EXPECT_FALSE(index.Read(entry + 1));
  EXPECT_FALSE(index.Read(~uint64_t{0}));
}

TEST(PlasmaIndex, ReaderNeverTakesTheFieldsOfTwoObjectsForOne) {
  IndexWriter writer(16);
  const auto even = ObjectId::FromRandom(), odd = ObjectId::FromRandom();
  uint64_t used = writer.Insert(odd, EntryState::kSealed, 64, 1);
  const uint64_t first = used;
  constexpr uint64_t kLooks = 20'000;
  std::atomic<bool> stop{false};
  std::thread daemon([&] {
    for (uint64_t i = 0; !stop; ++i) {
      writer.SetState(used, EntryState::kEmpty);
      const bool is_odd = i % 2 == 1;
      used = writer.Insert(is_odd ? odd : even, EntryState::kSealed, is_odd ? 64 : 128, is_odd ? 1 : 2);
    }
  });
  const MappedIndex index = writer.Reader();
  uint64_t mixed = 0;
  for (uint64_t looks = 0; looks < kLooks;) {
    const auto entry = index.Read(first);
    if (!entry || entry->state() != EntryState::kSealed) continue;
    ++looks;
    const bool is_odd = entry->id == odd;
    const bool whole = (is_odd || entry->id == even) && entry->offset == (is_odd ? 64u : 128u) &&
                       entry->data_bytes == (is_odd ? 1u : 2u);
    mixed += whole ? 0 : 1;
  }
  stop = true;
  daemon.join();
  EXPECT_EQ(mixed, 0u);
  EXPECT_EQ(used, first) << "an entry that was given up is used again first";
}

TEST(PlasmaIndex, SegmentsThatMakeNoSenseAreRefused) {
  IndexWriter writer(64);
  EXPECT_TRUE(MappedIndex::Attach(writer.memory(), writer.bytes()));
  writer.header().layout_version += 1;
  EXPECT_EQ(MappedIndex::Attach(writer.memory(), writer.bytes()).error().code, ErrorCode::kVersionMismatch);
  writer.header().layout_version -= 1;
  writer.header().entries_max = 1 << 20;
  EXPECT_EQ(MappedIndex::Attach(writer.memory(), writer.bytes()).error().code, ErrorCode::kProtocolError);
  EXPECT_EQ(MappedIndex::Attach(writer.memory(), 16).error().code, ErrorCode::kProtocolError);
}

TEST(PlasmaIndex, StoreThatIsNotThereIsNamedWithTheCommandThatStartsIt) {
  const auto index = MappedIndex::OpenByName("/nowhere/at/all.sock");
  ASSERT_FALSE(index);
  EXPECT_EQ(index.error().code, ErrorCode::kNotRunning);
  EXPECT_NE(index.error().message.find("plasma_store -m 1G -s /nowhere/at/all.sock"), std::string::npos);
}

}  // namespace
}  // namespace raylet::client
