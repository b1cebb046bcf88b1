#include "raylet/objects/settled_news.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

namespace raylet {
namespace {

TEST(SettledNews, NamesTheKeptObjectsInPiecesAndThenTheProcesses) {
  std::atomic<uint64_t> next{1};
  std::map<ProcessId, std::set<ObjectId>> kept;
  for (int i = 0; i < 7; ++i) kept[1].insert(NewObjectId(1, next));
  for (int i = 0; i < 3; ++i) kept[3].insert(NewObjectId(3, next));
  const auto kept_of = [&](ProcessId owner, const ObjectId& after, size_t most) {
    std::vector<ObjectId> some;
    for (auto at = kept[owner].upper_bound(after); at != kept[owner].end() && some.size() < most; ++at)
      some.push_back(*at);
    return some;
  };
  SettledNews news;
  news.Add({1, 2, 3});
  news.Add({4});
  std::set<ObjectId> named;
  std::vector<std::vector<ProcessId>> told;
  for (int turn = 0; turn < 10 && !news.empty(); ++turn) {
    size_t count = 0;
    for (const auto& notice : news.Take(4, kept_of)) {
      for (const auto& id : notice.kept) named.insert(FromWire<ObjectId>(id));
      count += notice.kept.size();
      if (notice.processes.empty()) continue;
      if (told.empty()) {
        EXPECT_EQ(named.size(), 10u);
      }
      told.push_back(notice.processes);
    }
    EXPECT_LE(count, 4u);
    kept[1].erase(kept[1].begin());  // one that has been named is released
  }
  EXPECT_TRUE(news.empty());
  EXPECT_EQ(told, (std::vector<std::vector<ProcessId>>{{1, 2, 3}, {4}}));
  EXPECT_EQ(named.size(), 10u);
}

}  // namespace
}  // namespace raylet
