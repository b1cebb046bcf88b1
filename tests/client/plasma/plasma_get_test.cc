// Gets of several objects at once.
#include <algorithm>
#include <thread>
#include <vector>

#include "tests/client/plasma/plasma_fixture.h"

namespace plasma {
namespace {

using raylet::test::Eventually;
using std::chrono::milliseconds;
using std::chrono::seconds;

class PlasmaGetTest : public PlasmaApiTest {};

TEST_F(PlasmaGetTest, FoundObjectsStayWhileTheGetWaitsForTheRest) {
  const auto absent = ObjectID::from_random(), there = Put("there");
  WaitingThread thread;
  std::vector<ObjectBuffer> got;
  std::thread getter([&] {
    thread.Begin();
    EXPECT_TRUE(other_.Get({absent, there}, 30'000, &got).ok());
  });
  EXPECT_TRUE(Eventually(seconds(30), [&] { return thread.Sleeps(); }));
  Overwrite(client_);
  EXPECT_TRUE(client_.CreateAndSeal(absent, "late", "").ok());
  getter.join();
  ASSERT_EQ(got.size(), 2u);
  ASSERT_NE(got[0].data, nullptr);
  ASSERT_NE(got[1].data, nullptr) << "it was evicted while the get waited for another";
  EXPECT_EQ(got[0].data->ToString(), "late");
  EXPECT_EQ(got[1].data->ToString(), "there");
}

TEST_F(PlasmaGetTest, ObjectEvictedBeforeTheGetIsWaitedFor) {
  const auto first = ObjectID::from_random(), second = Put("old");
  ASSERT_STATUS_OK(client_.Delete(second));
  WaitingThread thread;
  std::vector<ObjectBuffer> got;
  std::thread getter([&] {
    thread.Begin();
    EXPECT_TRUE(other_.Get({first, second}, 20'000, &got).ok());
  });
  EXPECT_TRUE(Eventually(seconds(30), [&] { return thread.Sleeps(); }));
  EXPECT_TRUE(client_.CreateAndSeal(second, "new", "").ok());
  EXPECT_TRUE(client_.CreateAndSeal(first, "first", "").ok());
  getter.join();
  ASSERT_EQ(got.size(), 2u);
  EXPECT_EQ(got[0].data->ToString(), "first");
  EXPECT_EQ(got[1].data->ToString(), "new");
}

TEST_F(PlasmaGetTest, ManyObjectsInOneGetComeInAnyOrder) {
  std::vector<ObjectID> ids;
  for (int i = 0; i < 300; ++i) ids.push_back(i % 3 == 0 ? Put("x") : ObjectID::from_random());
  std::vector<ObjectID> asked = ids;
  asked.insert(asked.end(), ids.begin(), ids.end());
  WaitingThread thread;
  std::vector<ObjectBuffer> got;
  std::thread getter([&] {
    thread.Begin();
    EXPECT_TRUE(other_.Get(asked, 20'000, &got).ok());
  });
  EXPECT_TRUE(Eventually(seconds(30), [&] { return thread.Sleeps(); }));
  for (size_t i = ids.size(); i-- > 0;) {
    if (i % 3 == 0) continue;
    EXPECT_TRUE(client_.CreateAndSeal(ids[i], "x", "").ok());
  }
  getter.join();
  ASSERT_EQ(got.size(), asked.size());
  EXPECT_TRUE(std::all_of(got.begin(), got.end(), [](const ObjectBuffer& each) { return each.data != nullptr; }));
}

TEST_F(PlasmaGetTest, OneDeadlineHoldsForAllObjectsTogether) {
  const auto there = Put("there");
  const Stopwatch watch;
  std::vector<ObjectBuffer> got;
  ASSERT_STATUS_OK(
      client_.Get({ObjectID::from_random(), there, ObjectID::from_random(), ObjectID::from_random()}, 1'000, &got));
  EXPECT_GE(watch.Elapsed(), milliseconds(1000));
  EXPECT_LT(watch.Elapsed(), milliseconds(3000)) << "each of the three that are absent had its own";
  EXPECT_EQ(got[0].data, nullptr);
  EXPECT_EQ(got[1].data->ToString(), "there");
  EXPECT_EQ(got[2].data, nullptr);
}

TEST_F(PlasmaGetTest, SealWakesAGetOfSeveralAtOnce) {
  std::vector<std::chrono::nanoseconds> waits;
  for (int i = 0; i < 9; ++i) {
    const auto first = ObjectID::from_random(), second = ObjectID::from_random();
    WaitingThread thread;
    std::chrono::steady_clock::time_point woke;
    std::thread getter([&] {
      thread.Begin();
      std::vector<ObjectBuffer> got;
      EXPECT_TRUE(other_.Get({first, second}, 20'000, &got).ok());
      woke = std::chrono::steady_clock::now();
    });
    EXPECT_TRUE(client_.CreateAndSeal(first, "x", "").ok());
    EXPECT_TRUE(Eventually(seconds(30), [&] { return thread.Sleeps(); }));
    const auto sealed = std::chrono::steady_clock::now();
    EXPECT_TRUE(client_.CreateAndSeal(second, "x", "").ok());
    getter.join();
    waits.push_back(woke - sealed);
  }
  std::sort(waits.begin(), waits.end());
  EXPECT_LT(waits[4], milliseconds(250)) << "it slept until its next look";
}

}  // namespace
}  // namespace plasma
