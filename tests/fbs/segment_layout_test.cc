#include "fbs/segment_layout.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <vector>

namespace raylet {
namespace {

constexpr uint64_t kEntries = 256;

// An index in private memory, page-aligned as a mapping is.
class Segment {
 public:
  explicit Segment(uint64_t entry_count = kEntries)
      : size_(IndexSegmentBytes(entry_count)), memory_(std::aligned_alloc(4096, size_), &std::free) {
    std::memset(memory_.get(), 0, size_);
    header_ = InitIndexSegment(memory_.get(), entry_count);
  }
  IndexHeader& header() { return *header_; }
  void* memory() { return memory_.get(); }
  size_t size() const { return size_; }

 private:
  size_t size_;
  std::unique_ptr<void, void (*)(void*)> memory_;
  IndexHeader* header_;
};

TEST(EntryTimes, KeepTheirValuesAndStopAtTheirLimits) {
  for (const EntryTimes& times : {EntryTimes{},
                                  {.created_ms = 1, .constructed_s = 2, .owned = true},
                                  {.created_ms = kCreatedMsMax, .constructed_s = kConstructedSMax, .owned = false}}) {
    const EntryTimes read = TimesOf(MakeTimes(times));
    EXPECT_EQ(read.created_ms, times.created_ms);
    EXPECT_EQ(read.constructed_s, times.constructed_s);
    EXPECT_EQ(read.owned, times.owned);
  }
  const EntryTimes late = TimesOf(MakeTimes({.created_ms = ~uint64_t{0}, .constructed_s = ~uint64_t{0}}));
  EXPECT_EQ(late.created_ms, kCreatedMsMax);
  EXPECT_EQ(late.constructed_s, kConstructedSMax);
  EXPECT_FALSE(late.owned);
}

TEST(SegmentLayout, AFreshIndexPassesItsCheckWithItsPartsInside) {
  Segment segment;
  const auto checked = CheckIndexSegment(segment.memory(), segment.size());
  ASSERT_TRUE(checked) << checked.error().message;
  EXPECT_EQ(*checked, &segment.header());
  const auto* const begin = static_cast<const std::byte*>(segment.memory());
  const auto* const entries_end = reinterpret_cast<const std::byte*>(segment.header().entries.get() + kEntries);
  const auto* const clients_end = reinterpret_cast<const std::byte*>(segment.header().clients.get() + kClientRowsMax);
  const auto* const buckets = reinterpret_cast<const std::byte*>(segment.header().buckets.get());
  EXPECT_LE(clients_end, buckets);
  const auto* const chains = reinterpret_cast<const std::byte*>(segment.header().chains.get());
  const auto* const events = reinterpret_cast<const std::byte*>(segment.header().events.get());
  EXPECT_LE(buckets + kBucketCount * 4, events);
  EXPECT_LE(events + kEventSlots * sizeof(EventSlot), chains);
  EXPECT_EQ(chains, begin + IndexFixedBytes());
  EXPECT_LE(chains + kEntries * 8, reinterpret_cast<const std::byte*>(segment.header().entries.get()));
  EXPECT_LE(entries_end, begin + segment.size());
}

TEST(SegmentLayout, AnIndexMeansTheSameWhereverItIsMapped) {
  Segment segment;
  Segment elsewhere;
  std::memcpy(elsewhere.memory(), segment.memory(), segment.size());
  const auto checked = CheckIndexSegment(elsewhere.memory(), elsewhere.size());
  ASSERT_TRUE(checked) << checked.error().message;
  EXPECT_EQ(
      reinterpret_cast<const std::byte*>((*checked)->entries.get()) - static_cast<std::byte*>(elsewhere.memory()),
      reinterpret_cast<const std::byte*>(segment.header().entries.get()) - static_cast<std::byte*>(segment.memory()));
}

TEST(SegmentLayout, AnIndexOfAnotherLayoutIsAVersionMismatchThatNamesBoth) {
  Segment segment;
  segment.header().layout_version = kLayoutVersion + 1;
  const auto checked = CheckIndexSegment(segment.memory(), segment.size());
  ASSERT_FALSE(checked);
  EXPECT_EQ(checked.error().code, ErrorCode::kVersionMismatch);
  EXPECT_NE(checked.error().message.find(std::to_string(kLayoutVersion + 1)), std::string::npos);
  EXPECT_NE(checked.error().message.find("layout " + std::to_string(kLayoutVersion)), std::string::npos);
}

TEST(SegmentLayout, AHeaderThatDoesNotFitItsSegmentIsAProtocolError) {
  const std::vector<std::function<void(IndexHeader&)>> breakages = {
      [](IndexHeader& header) { header.magic ^= 1; },
      [](IndexHeader& header) { header.header_bytes -= 8; },
      [](IndexHeader& header) { header.segment_bytes += 4096; },
      [](IndexHeader& header) { header.entries_max = 0; },
      [](IndexHeader& header) { header.entries_max = kEntries / 2; },
      [](IndexHeader& header) { header.entries_max = kEntries * 2; },
      [](IndexHeader& header) { header.entries_max = uint64_t{1} << 63; },
      [](IndexHeader& header) { header.entries_max = uint64_t{1} << 58; },  // times 64 bytes it would wrap to zero
      [](IndexHeader& header) { header.chain_count = 0; },
      [](IndexHeader& header) { header.chain_count = kEntries + 1; },
      [](IndexHeader& header) { header.entry_bound = kEntries + 1; },
      [](IndexHeader& header) { header.chains = header.chains + 1; },
      [](IndexHeader& header) { header.entries = header.entries + 1; },
      [](IndexHeader& header) { header.entries = nullptr; },
      [](IndexHeader& header) { header.clients = header.clients - 1; },
      [](IndexHeader& header) { header.buckets = header.buckets + kBucketCount; },
  };
  for (size_t i = 0; i < breakages.size(); ++i) {
    Segment segment;
    breakages[i](segment.header());
    const auto checked = CheckIndexSegment(segment.memory(), segment.size());
    ASSERT_FALSE(checked) << "breakage " << i;
    EXPECT_EQ(checked.error().code, ErrorCode::kProtocolError) << "breakage " << i;
  }
}

TEST(SegmentLayout, ASegmentCutShortIsAProtocolError) {
  Segment segment;
  for (const size_t size : {size_t{0}, size_t{7}, sizeof(IndexHeader) - 1, sizeof(IndexHeader), segment.size() - 4096,
                            segment.size() - 1}) {
    const auto checked = CheckIndexSegment(segment.memory(), size);
    ASSERT_FALSE(checked) << size;
    EXPECT_EQ(checked.error().code, ErrorCode::kProtocolError) << size;
  }
}

TEST(SegmentLayout, AWordHoldsItsStateAndItsGeneration) {
  for (const EntryState state : {EntryState::kEmpty, EntryState::kUnsealed, EntryState::kSealed, EntryState::kDying}) {
    for (const uint64_t generation : {uint64_t{0}, uint64_t{1}, (uint64_t{1} << 56) - 1}) {
      EXPECT_EQ(StateOf(MakeWord(state, generation)), state);
      EXPECT_EQ(GenerationOf(MakeWord(state, generation)), generation);
    }
  }
}

TEST(SegmentLayout, MetadataLiesBehindTheDataAndIsAligned) {
  EXPECT_EQ(MetadataOffset(128, 0), 128U);
  EXPECT_EQ(MetadataOffset(128, 1), 192U);
  EXPECT_EQ(MetadataOffset(128, 64), 192U);
  EXPECT_EQ(MetadataOffset(128, 65), 256U);
}

TEST(SegmentLayout, AHeadHoldsItsLinkItsChangesAndItsFilter) {
  for (const uint32_t link : {uint32_t{0}, uint32_t{1}, uint32_t{kEntriesMost}}) {
    for (const uint32_t changes : {0U, 1U, 0xffffffU, 0x1000000U}) {
      const uint64_t head = MakeHead(link, changes, 0x81);
      EXPECT_EQ(FirstLinkOf(head), link);
      EXPECT_EQ(ChangesOf(head), changes & 0xffffff);
      EXPECT_EQ(FilterOf(head), 0x81);
    }
  }
}

TEST(SegmentLayout, IdsThatDifferLittleSpreadOverChainsFiltersAndBuckets) {
  constexpr uint32_t kChains = 4096;
  std::atomic<uint64_t> counter{1};
  const auto with_number_at = [](size_t offset, size_t bytes, uint64_t number) {
    ObjectId id;
    std::memcpy(id.mutable_data() + offset, &number, bytes);
    return id;
  };
  const std::vector<std::function<ObjectId(uint64_t)>> kinds = {
      [&](uint64_t i) { return with_number_at(0, 8, i); },
      [&](uint64_t i) { return with_number_at(8, 8, i); },
      [&](uint64_t i) { return with_number_at(16, 4, i); },
      [&](uint64_t i) { return with_number_at(0, 8, i << 40); },
      [&](uint64_t) { return NewObjectId(ProcessIdOf(MachineNumber{7}, 3), counter); },
  };
  for (size_t kind = 0; kind < kinds.size(); ++kind) {
    std::vector<int> of_chain(kChains), of_filter(256), of_bucket(kBucketCount);
    for (uint64_t i = 0; i < kChains; ++i) {
      const ObjectId id = kinds[kind](i);
      ++of_chain[ChainOf(IndexHash(id), kChains)];
      ++of_filter[FilterBit(IndexHash(id))];
      ++of_bucket[BucketOf(id)];
    }
    EXPECT_LE(*std::ranges::max_element(of_chain), 12) << "kind " << kind;
    EXPECT_LE(std::ranges::count(of_chain, 0), 1700) << "about 1507 chains of 4096 are empty; kind " << kind;
    EXPECT_LE(*std::ranges::max_element(of_filter), 700) << "about 512 for each of eight bits; kind " << kind;
    EXPECT_LE(*std::ranges::max_element(of_bucket), 20) << "about 4 for each bucket; kind " << kind;
  }
}

TEST(SegmentLayout, OneChainMoreMovesObjectsOfOneOtherChainAlone) {
  for (uint32_t count = 1; count < 300; ++count) {
    for (int i = 0; i < 50; ++i) {
      const uint64_t hash = IndexHash(ObjectId::FromRandom());
      const uint32_t before = ChainOf(hash, count), after = ChainOf(hash, count + 1);
      ASSERT_LT(before, count);
      if (before == after) continue;
      EXPECT_EQ(after, count);
      EXPECT_EQ(before, count - std::bit_floor(count));
    }
  }
}

TEST(SegmentLayout, StepsOfTheIndexAreWholePagesThatDoNotOverlap) {
  constexpr uint64_t kMax = 10 * kIndexStep;
  uint64_t chains_end = IndexFixedBytes(), entries_end = 0, owners_end = 0;
  for (uint64_t first = 0; first < kMax; first += kIndexStep) {
    const auto [chains, entries, owners] = IndexStepRanges(kMax, first, kIndexStep);
    for (const SegmentRange& range : {chains, entries, owners}) {
      EXPECT_EQ(range.offset % 4096, 0U);
      EXPECT_EQ(range.bytes % 4096, 0U);
    }
    EXPECT_EQ(chains.offset, chains_end);
    if (first > 0) {
      EXPECT_EQ(entries.offset, entries_end);
      EXPECT_EQ(owners.offset, owners_end);
    }
    chains_end = chains.offset + chains.bytes;
    entries_end = entries.offset + entries.bytes;
    owners_end = owners.offset + owners.bytes;
  }
  EXPECT_LE(entries_end, owners_end);
  EXPECT_EQ(owners_end, IndexSegmentBytes(kMax));
}

TEST(SegmentLayout, BucketsStayInsideTheirPart) {
  for (int i = 0; i < 10'000; ++i) EXPECT_LT(BucketOf(ObjectId::FromRandom()), kBucketCount);
}

TEST(SegmentLayout, AnIndexIsNamedAfterItsSocketAndNothingElse) {
  EXPECT_EQ(IndexSegmentName("/tmp/a/store"), IndexSegmentName("/tmp/a/store"));
  EXPECT_NE(IndexSegmentName("/tmp/a/store"), IndexSegmentName("/tmp/b/store"));
  EXPECT_EQ(IndexSegmentName("/tmp/a/store").find('/'), std::string::npos);
  EXPECT_NE(PinPageName(1), PinPageName(11));
}

TEST(SegmentLayout, APinPageIsWholePagesAndHoldsEverySlot) {
  EXPECT_EQ(PinPageBytes() % 4096, 0U);
  EXPECT_GE(PinPageBytes(), sizeof(PinPage));
  EXPECT_GE(sizeof(PinPage), sizeof(uint32_t) * (kPinSlots + kTouchSlots));
}

}  // namespace
}  // namespace raylet
