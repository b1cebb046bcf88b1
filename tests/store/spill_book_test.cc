#include "store/spill_book.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <vector>

#include "store/spill_file.h"

namespace raylet::store {
namespace {

constexpr uint64_t kMany = uint64_t{1} << 40;

std::vector<SpillBook::Item> Items(std::initializer_list<uint64_t> bytes) {
  std::vector<SpillBook::Item> items;
  for (const uint64_t each : bytes) items.push_back({static_cast<uint32_t>(items.size()), each});
  return items;
}

TEST(SpillBookTest, LargeObjectsHaveFilesOfTheirOwnAndSmallOnesShare) {
  const auto items = Items({2 << 20, 100, 200, 1 << 20, 300});
  EXPECT_EQ(SpillBook::FuseNext(items), 1u);
  EXPECT_EQ(SpillBook::FuseNext(std::span(items).subspan(1)), 2u);
  EXPECT_EQ(SpillBook::FuseNext(std::span(items).subspan(3)), 1u);
  EXPECT_EQ(SpillBook::FuseNext({}), 0u);
  const std::vector<SpillBook::Item> many(10'000, SpillBook::Item{0, 900'000});
  EXPECT_EQ(SpillBook::FuseNext(many), 5u) << "about 4 MiB";
  const std::vector<SpillBook::Item> tiny(10'000, SpillBook::Item{0, 1});
  EXPECT_EQ(SpillBook::FuseNext(tiny), kFusedRowsMax);
}

TEST(SpillBookTest, FilesTakeNoMoreThanTheirBound) {
  SpillBook book(SpillBodyOffset(1) + 1000);
  const auto first = book.Begin(Items({960}));
  ASSERT_TRUE(first);
  EXPECT_FALSE(book.Begin(Items({1})));
  static_cast<void>(book.Failed(*first));
  EXPECT_EQ(book.file_bytes(), 0u);
  EXPECT_TRUE(book.Begin(Items({1})));
}

TEST(SpillBookTest, FileGoesWithItsLastLiveObject) {
  SpillBook book(kMany);
  const uint64_t file = *book.Begin(Items({10, 20}));
  EXPECT_FALSE(book.Drop({file, 0})) << "it is being written";
  EXPECT_EQ(book.Written(file, 4224), (std::vector<uint32_t>{kNoEntry, 1}));
  EXPECT_FALSE(book.RemoveIfDead(file));
  EXPECT_TRUE(book.Drop({file, 1}));
  EXPECT_FALSE(book.HasFile(file));
  EXPECT_FALSE(book.Drop({file, 1})) << "nothing happens twice";
  EXPECT_EQ(book.live_bytes(), 0u);
}

TEST(SpillBookTest, FileThatIsHalfDeadIsCopied) {
  SpillBook book(kMany);
  std::vector<SpillBook::Item> items;
  for (uint32_t entry = 0; entry < 10; ++entry) items.push_back({entry, 10'000});
  const uint64_t file = *book.Begin(items);
  static_cast<void>(book.Written(file, SpillBodyOffset(10) + 10 * AlignUp(10'000)));
  for (uint32_t row = 0; row < 4; ++row) EXPECT_FALSE(book.Drop({file, row}));
  EXPECT_FALSE(book.BeginCopy()) << "six of ten live";
  for (uint32_t row = 4; row < 7; ++row) EXPECT_FALSE(book.Drop({file, row}));
  const auto plan = book.BeginCopy();
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->rows, (std::vector<uint32_t>{7, 8, 9}));
  EXPECT_FALSE(book.Drop({file, 8})) << "meanwhile";
  static_cast<void>(book.Written(plan->file, SpillBodyOffset(3) + 3 * AlignUp(10'000)));
  EXPECT_TRUE(book.EndCopy(*plan)) << "the old file goes";
  EXPECT_TRUE(book.IsLive({plan->file, 0}));
  EXPECT_FALSE(book.IsLive({plan->file, 1}));
  EXPECT_FALSE(book.Drop({plan->file, 0}));
  EXPECT_TRUE(book.Drop({plan->file, 2}));
  EXPECT_EQ(book.file_bytes(), 0u);
}

TEST(SpillBookTest, CopyOfTinyObjectsIsNotCopiedAgain) {
  SpillBook book(kMany);
  const uint64_t file = *book.Begin(Items({40, 40, 40}));
  static_cast<void>(book.Written(file, SpillBodyOffset(3) + 192));
  EXPECT_FALSE(book.RemoveIfDead(file));
  EXPECT_FALSE(book.BeginCopy()) << "nothing in it is dead, though most of it is its head";
  EXPECT_FALSE(book.Drop({file, 0}));
  const auto plan = book.BeginCopy();
  ASSERT_TRUE(plan);
  static_cast<void>(book.Written(plan->file, SpillBodyOffset(2) + 128));
  EXPECT_TRUE(book.EndCopy(*plan));
  EXPECT_FALSE(book.RemoveIfDead(plan->file));
  EXPECT_FALSE(book.BeginCopy());
}

// Against a model that knows only who lives where.
TEST(SpillBookTest, RandomOperationsKeepTheAccount) {
  constexpr uint64_t kMax = 40'000'000;
  for (uint64_t seed = 1; seed <= 8; ++seed) {
    std::mt19937_64 random(seed);
    SpillBook book(kMax);
    struct Whole {
      std::map<uint32_t, uint64_t> live;  // bytes by row
      uint64_t bytes = 0;
      bool writing = false;
    };
    std::map<uint64_t, Whole> model;
    std::optional<SpillBook::CopyPlan> copy;
    const auto removed = [&](uint64_t file) {
      ASSERT_TRUE(model.at(file).live.empty());
      model.erase(file);
    };
    for (int step = 0; step < 3000; ++step) {
      const uint64_t what = random() % 8;
      if (what < 2) {
        std::vector<SpillBook::Item> items(1 + random() % 20);
        for (auto& item : items) item = {static_cast<uint32_t>(random() % 1000), 1 + random() % 200'000};
        items.resize(SpillBook::FuseNext(items));
        const auto file = book.Begin(items);
        if (!file) continue;
        Whole& whole = model[*file];
        whole.writing = true;
        whole.bytes = SpillBodyOffset(items.size());
        for (uint32_t row = 0; row < items.size(); ++row) {
          whole.live[row] = items[row].bytes;
          whole.bytes += AlignUp(items[row].bytes);
        }
      } else if (what < 4) {
        for (auto& [file, whole] : model) {
          if (!whole.writing || (copy && copy->file == file)) continue;
          whole.writing = false;
          const uint64_t number = file;
          if (random() % 4 == 0) {
            static_cast<void>(book.Failed(number));
            model.erase(number);
          } else {
            static_cast<void>(book.Written(number, whole.bytes));
            if (book.RemoveIfDead(number)) {
              ASSERT_NO_FATAL_FAILURE(removed(number));
            }
          }
          break;
        }
      } else if (what < 7) {
        if (model.empty()) continue;
        auto it = model.begin();
        std::advance(it, random() % model.size());
        if (it->second.live.empty() || (copy && copy->file == it->first)) continue;
        const uint64_t file = it->first;
        const uint32_t row = it->second.live.begin()->first;
        it->second.live.erase(row);
        if (book.Drop({file, row})) {
          ASSERT_NO_FATAL_FAILURE(removed(file));
        }
      } else if (!copy) {
        copy = book.BeginCopy();
        if (!copy) continue;
        Whole& whole = model[copy->file];
        whole.writing = true;
        whole.bytes = SpillBodyOffset(copy->rows.size());
        for (const uint32_t row : copy->rows) whole.bytes += AlignUp(model.at(copy->from).live.at(row));
      } else if (random() % 4 == 0) {
        model.erase(copy->file);
        if (book.AbandonCopy(*copy)) {
          ASSERT_NO_FATAL_FAILURE(removed(copy->from));
        }
        copy.reset();
      } else {
        Whole& from = model.at(copy->from);
        Whole& to = model.at(copy->file);
        to.writing = false;
        for (uint32_t row = 0; row < copy->rows.size(); ++row)
          if (from.live.contains(copy->rows[row])) to.live[row] = from.live.at(copy->rows[row]);
        from.live.clear();
        static_cast<void>(book.Written(copy->file, to.bytes));
        ASSERT_TRUE(book.EndCopy(*copy));
        ASSERT_NO_FATAL_FAILURE(removed(copy->from));
        if (book.RemoveIfDead(copy->file)) {
          ASSERT_NO_FATAL_FAILURE(removed(copy->file));
        }
        copy.reset();
      }
      uint64_t files = 0, live = 0;
      for (const auto& [file, whole] : model) {
        ASSERT_TRUE(book.HasFile(file)) << "seed " << seed << ", step " << step;
        files += whole.bytes;
        for (const auto& [row, bytes] : whole.live) {
          live += bytes;
          ASSERT_TRUE(book.IsLive({file, row})) << "seed " << seed << ", step " << step;
        }
        const bool copied = copy && copy->from == file;
        ASSERT_TRUE(!whole.live.empty() || whole.writing || copied) << "a dead file stays";
      }
      ASSERT_EQ(book.file_bytes(), files) << "seed " << seed << ", step " << step;
      ASSERT_EQ(book.live_bytes(), live) << "seed " << seed << ", step " << step;
      ASSERT_EQ(book.files(), model.size());
      ASSERT_LE(book.file_bytes(), kMax);
    }
  }
}

}  // namespace
}  // namespace raylet::store
