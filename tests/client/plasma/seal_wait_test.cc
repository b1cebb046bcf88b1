#include "client/plasma/seal_wait.h"

#include <gtest/gtest.h>

#include <chrono>
#include <thread>
#include <vector>

#include "base/waiter.h"
#include "tests/client/plasma/index_writer.h"

namespace raylet::client {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using test::IndexWriter;

// Ids of different buckets.
std::vector<ObjectId> Ids(size_t count) {
  std::vector<ObjectId> ids;
  while (ids.size() < count) {
    const auto id = ObjectId::FromRandom();
    bool fresh = true;
    for (const ObjectId& other : ids) fresh = fresh && BucketOf(other) != BucketOf(id);
    if (fresh) ids.push_back(id);
  }
  return ids;
}

std::vector<size_t> LookedAt(SealWait& wait, bool all, size_t found) {
  std::vector<size_t> places;
  EXPECT_TRUE(wait.Look(all, [&](size_t place) -> Result<bool> {
    places.push_back(place);
    return place == found;
  }));
  return places;
}
constexpr size_t kNone = 1000;

// What a seal does to the word of the object's bucket.
void Seal(IndexWriter& writer, const ObjectId& id) { writer.header().buckets.get()[BucketOf(id)].fetch_add(1); }

TEST(SealWait, LooksOnlyWhereSomethingWasSealed) {
  IndexWriter writer(256);
  const MappedIndex index = writer.Reader();
  const auto ids = Ids(3);
  SealWait wait(index);
  for (size_t i = 0; i < ids.size(); ++i) wait.Add(i, ids[i]);
  EXPECT_EQ(LookedAt(wait, true, kNone), (std::vector<size_t>{0, 1, 2}));
  EXPECT_TRUE(LookedAt(wait, false, kNone).empty());
  Seal(writer, ids[1]);
  EXPECT_EQ(LookedAt(wait, false, 1), (std::vector<size_t>{1}));
  EXPECT_EQ(LookedAt(wait, true, kNone).size(), 2u);
  EXPECT_FALSE(wait.Empty());
}

TEST(SealWait, ErrorEndsTheLook) {
  IndexWriter writer(256);
  const MappedIndex index = writer.Reader();
  SealWait wait(index);
  for (const ObjectId& id : Ids(2)) wait.Add(0, id);
  int looks = 0;
  const auto looked = wait.Look(true, [&](size_t) -> Result<bool> {
    ++looks;
    return Fail(ErrorCode::kFull, "no slot");
  });
  ASSERT_FALSE(looked);
  EXPECT_EQ(looked.error().code, ErrorCode::kFull);
  EXPECT_EQ(looks, 1);
}

TEST(SealWait, ParkEndsAtOnceWhereSomethingWasSealedSinceTheLook) {
  IndexWriter writer(256);
  const MappedIndex index = writer.Reader();
  for (const size_t count : {1u, 2u, 128u, 200u}) {
    const auto ids = Ids(count);
    SealWait wait(index);
    for (size_t i = 0; i < count; ++i) wait.Add(i, ids[i]);
    LookedAt(wait, true, kNone);
    Seal(writer, ids[0]);
    const auto start = std::chrono::steady_clock::now();
    wait.Park(seconds(20));
    EXPECT_LT(std::chrono::steady_clock::now() - start, seconds(10)) << count;
    EXPECT_EQ(LookedAt(wait, false, 0), (std::vector<size_t>{0}));
  }
}

TEST(SealWait, SealOfAnyOfSeveralWakesTheSleeper) {
  IndexWriter writer(256);
  const MappedIndex index = writer.Reader();
  const auto ids = Ids(5);
  SealWait wait(index);
  for (size_t i = 0; i < ids.size(); ++i) wait.Add(i, ids[i]);
  LookedAt(wait, true, kNone);
  const auto start = std::chrono::steady_clock::now();
  std::thread daemon([&] {
    std::this_thread::sleep_for(milliseconds(20));
    Seal(writer, ids[3]);
    FutexWakeAll(&index.SealsOf(ids[3]));
  });
  while (LookedAt(wait, false, 3).empty()) wait.Park(seconds(20));
  EXPECT_LT(std::chrono::steady_clock::now() - start, seconds(10));
  daemon.join();
}

}  // namespace
}  // namespace raylet::client
