// NoticeFeed: by example, and in random histories against the store that the subscriber should know.
#include "store/notice_feed.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <vector>

namespace raylet::store {
namespace {

ObjectId IdOf(uint32_t number) {
  ObjectId id;
  std::memcpy(id.mutable_data(), &number, sizeof number);
  return id;
}

// Entries with the ids of the sealed objects in them.
class Entries {
 public:
  explicit Entries(uint32_t count) : ids_(count) {}
  std::optional<ObjectNotice> SealedAt(uint32_t entry) const {
    if (!ids_[entry]) return std::nullopt;
    return ObjectNotice{*ids_[entry], 10, 1};
  }
  std::optional<ObjectId>& At(uint32_t entry) { return ids_[entry]; }
  std::map<std::string, int> Ids() const {
    std::map<std::string, int> ids;
    for (const auto& id : ids_)
      if (id) ids[id->hex()] = 1;
    return ids;
  }

 private:
  std::vector<std::optional<ObjectId>> ids_;
};

std::vector<ObjectNotice> TellAll(NoticeFeed& feed, const Entries& entries) {
  std::vector<ObjectNotice> told;
  while (const auto notice = feed.Next([&](uint32_t entry) { return entries.SealedAt(entry); }))
    told.push_back(*notice);
  return told;
}

TEST(NoticeFeed, TellsOfWhatIsThereAndThenOfWhatHappens) {
  Entries entries(4);
  entries.At(0) = IdOf(1);
  entries.At(2) = IdOf(2);
  NoticeFeed feed(3);
  entries.At(3) = IdOf(3);
  EXPECT_TRUE(feed.Sealed(3, {IdOf(3), 5, 0}));
  const std::vector<ObjectNotice> expected = {{IdOf(1), 10, 1}, {IdOf(2), 10, 1}, {IdOf(3), 5, 0}};
  EXPECT_EQ(TellAll(feed, entries), expected);
  EXPECT_TRUE(feed.Empty());
  EXPECT_TRUE(feed.Gone(2, IdOf(2)));
  EXPECT_EQ(TellAll(feed, entries), std::vector<ObjectNotice>({GoneNotice(IdOf(2))}));
}

TEST(NoticeFeed, SaysNothingOfAnObjectThatWentBeforeItsTurn) {
  Entries entries(2);
  entries.At(0) = IdOf(1);
  NoticeFeed feed(2);
  entries.At(0).reset();
  EXPECT_TRUE(feed.Gone(0, IdOf(1)));
  entries.At(0) = IdOf(2);  // the entry is used again
  EXPECT_TRUE(feed.Sealed(0, {IdOf(2), 10, 1}));
  EXPECT_EQ(TellAll(feed, entries), std::vector<ObjectNotice>({{IdOf(2), 10, 1}}));
}

TEST(NoticeFeed, AnIdThatIsCreatedAnewInAnUntoldEntryIsToldLast) {
  Entries entries(2);
  entries.At(0) = IdOf(1);
  NoticeFeed feed(2);
  const auto first = feed.Next([&](uint32_t entry) { return entries.SealedAt(entry); });
  ASSERT_TRUE(first && first->id == IdOf(1));
  entries.At(0).reset();
  EXPECT_TRUE(feed.Gone(0, IdOf(1)));
  entries.At(1) = IdOf(1);
  EXPECT_TRUE(feed.Sealed(1, {IdOf(1), 10, 1}));
  const std::vector<ObjectNotice> expected = {GoneNotice(IdOf(1)), {IdOf(1), 10, 1}};
  EXPECT_EQ(TellAll(feed, entries), expected);
}

TEST(NoticeFeed, SaysWhenTooMuchWaits) {
  NoticeFeed feed(0);
  for (size_t i = 0; i < kNoticesWaitingMax; ++i) ASSERT_TRUE(feed.Sealed(0, {IdOf(1), 1, 0}));
  EXPECT_FALSE(feed.Sealed(0, {IdOf(1), 1, 0}));
  // Entries whose turn has not come count as well.
  NoticeFeed untold(2 * kNoticesWaitingMax);
  for (uint32_t entry = 0; entry < kNoticesWaitingMax; ++entry) ASSERT_TRUE(untold.Gone(entry, IdOf(entry)));
  EXPECT_FALSE(untold.Gone(kNoticesWaitingMax, IdOf(0)));
}

TEST(NoticeFeed, AReaderOfEveryNoticeKnowsTheStore) {
  constexpr uint32_t kEntries = 12, kIds = 8;
  for (uint32_t seed = 0; seed < 300; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random{seed};
    Entries entries(kEntries);
    std::map<std::string, int> known;  // by id: how often it was said to be there
    std::optional<NoticeFeed> feed;
    const auto read = [&] {
      const auto notice = feed->Next([&](uint32_t entry) { return entries.SealedAt(entry); });
      if (!notice) return false;
      const int before = known[notice->id.hex()], after = notice->gone() ? 0 : 1;
      EXPECT_NE(before, after) << "it is said twice";
      known[notice->id.hex()] = after;
      return true;
    };
    for (int step = 0; step < 200; ++step) {
      if (step == 40) feed.emplace(kEntries - random() % 4);
      const uint32_t entry = random() % kEntries;
      const ObjectId id = IdOf(random() % kIds);
      if (feed && random() % 3 == 0) {
        read();
      } else if (entries.At(entry)) {
        const ObjectId gone = *entries.At(entry);
        entries.At(entry).reset();
        if (feed) {
          ASSERT_TRUE(feed->Gone(entry, gone));
        }
      } else if (!entries.Ids().contains(id.hex()) && (feed || entry < kEntries - 4)) {
        entries.At(entry) = id;
        if (feed) {
          ASSERT_TRUE(feed->Sealed(entry, *entries.SealedAt(entry)));
        }
      }
    }
    while (read()) {}
    std::erase_if(known, [](const auto& each) { return each.second == 0; });
    EXPECT_EQ(known, entries.Ids());
    EXPECT_TRUE(feed->Empty());
    EXPECT_EQ(feed->waiting(), 0u);
  }
}

}  // namespace
}  // namespace raylet::store
