// The ends of a connection: a store that dies or stops, and Disconnect.
#include <signal.h>

#include <cstring>
#include <thread>
#include <vector>

#include "tests/client/plasma/plasma_fixture.h"
#include "tests/harness/own_time.h"

namespace plasma {
namespace {

using raylet::test::Eventually;
using raylet::test::TextOf;
using std::chrono::milliseconds;
using std::chrono::seconds;

class PlasmaEndTest : public PlasmaApiTest {
 protected:
  // True once `call` says that the client is disconnected; false when it does not within a second.
  template <class Call>
  static bool SaysDisconnected(const Call& call) {
    const raylet::test::OwnTime time;
    return Eventually(seconds(30), [&] { return call().IsDisconnected(); }) && time.Elapsed() < seconds(1);
  }
};

TEST_F(PlasmaEndTest, EveryCallSaysWithinASecondThatTheStoreWasKilled) {
  const auto id = Put("of the dead store");
  const auto view = client_.GetView(id);
  ASSERT_TRUE(view);
  bool there = false;
  ASSERT_STATUS_OK(client_.Contains(id, &there));
  store().Kill();
  EXPECT_TRUE(SaysDisconnected([&] { return client_.Contains(id, &there); }));
  EXPECT_TRUE(SaysDisconnected([&] { return other_.GetView(id, 0).status(); }));
  ObjectBuffer got;
  EXPECT_TRUE(other_.Get(&id, 1, 0, &got).IsDisconnected());
  std::vector<ObjectBuffer> buffers;
  EXPECT_TRUE(other_.Get({id}, 0, &buffers).IsDisconnected());
  ObjectTable table;
  EXPECT_TRUE(other_.List(&table).IsDisconnected());
  EXPECT_TRUE(other_.Refresh({id}).IsDisconnected());
  uint8_t digest[kDigestSize];
  EXPECT_TRUE(other_.Hash(id, digest).IsDisconnected());
  EXPECT_TRUE(other_.Delete(id).IsDisconnected());
  EXPECT_TRUE(other_.CreateWriter(id, 1).status().IsDisconnected());
  EXPECT_EQ(TextOf(view.data()), "of the dead store");
}

TEST_F(PlasmaEndTest, ClientOfAStoreThatWasStartedAgainIsToldToConnectAnew) {
  const auto id = Put("of the first store");
  StartStore("64M");
  std::vector<ObjectBuffer> got;
  EXPECT_TRUE(SaysDisconnected([&] { return client_.Get({id}, 0, &got); }));
  bool there = true;
  EXPECT_TRUE(client_.Contains(id, &there).IsDisconnected());
  ASSERT_STATUS_OK(client_.Disconnect());
  ASSERT_STATUS_OK(client_.Connect(socket()));
  ASSERT_STATUS_OK(client_.Contains(id, &there));
  EXPECT_FALSE(there);
}

TEST_F(PlasmaEndTest, CreateEndsSoonAfterItsDeadlineWhileTheStoreIsStopped) {
  store().Signal(SIGSTOP);
  // A request without a deadline reads the socket for all the others.
  WaitingThread first;
  std::thread deleter([&] {
    first.Begin();
    EXPECT_TRUE(client_.Delete(ObjectID::from_random()).ok());
  });
  EXPECT_TRUE(Eventually(seconds(30), [&] { return first.Sleeps(); }));
  for (const int64_t timeout_ms : {500, 0}) {
    const Stopwatch watch;
    const auto writer = client_.CreateWriter(ObjectID::from_random(), 1000, {}, timeout_ms);
    EXPECT_TRUE(writer.status().IsTimedOut()) << writer.status().ToString();
    EXPECT_LT(watch.Elapsed(), milliseconds(timeout_ms) + seconds(10));
  }
  store().Signal(SIGCONT);
  deleter.join();
  EXPECT_TRUE(Eventually(seconds(30), [&] { return ObjectsOf(other_) == 0; })) << "a late create left its object";
  EXPECT_TRUE(client_.CreateWriter(ObjectID::from_random(), 1000));
}

TEST_F(PlasmaEndTest, DeadlineHoldsAlthoughTheSocketIsFull) {
  store().Signal(SIGSTOP);
  // Writers that are dropped say so to a store that does not read, until the socket is full.
  std::vector<std::thread> threads;
  const std::string large(16'000, 'x');
  for (int i = 0; i < 40; ++i) {
    threads.emplace_back([&] {
      const auto status = client_.CreateAndSeal(ObjectID::from_random(), large, "");
      EXPECT_TRUE(status.ok() || status.IsDisconnected()) << status.ToString();
    });
  }
  const Stopwatch watch;
  const auto writer = client_.CreateWriter(ObjectID::from_random(), 1000, {}, 300);
  EXPECT_TRUE(writer.status().IsTimedOut()) << writer.status().ToString();
  EXPECT_LT(watch.Elapsed(), seconds(10));
  const Stopwatch ending;
  ASSERT_STATUS_OK(client_.Disconnect());
  for (std::thread& thread : threads) thread.join();
  EXPECT_LT(ending.Elapsed(), seconds(10));
  store().Signal(SIGCONT);
}

TEST_F(PlasmaEndTest, DisconnectEndsTheCreatesOfOtherThreadsThatWaitForRoom) {
  std::shared_ptr<Buffer> full;
  ASSERT_STATUS_OK(other_.Create(ObjectID::from_random(), 50 << 20, nullptr, 0, &full));
  std::vector<WaitingThread> waiting(3);
  std::vector<std::thread> creators;
  for (WaitingThread& thread : waiting) {
    creators.emplace_back([&] {
      thread.Begin();
      const auto writer = client_.CreateWriter(ObjectID::from_random(), 50 << 20, {}, -1);
      EXPECT_TRUE(writer.status().IsDisconnected()) << writer.status().ToString();
    });
  }
  for (const WaitingThread& thread : waiting) EXPECT_TRUE(Eventually(seconds(30), [&] { return thread.Sleeps(); }));
  const Stopwatch watch;
  ASSERT_STATUS_OK(client_.Disconnect());
  for (std::thread& creator : creators) creator.join();
  EXPECT_LT(watch.Elapsed(), seconds(10));
}

TEST_F(PlasmaEndTest, DisconnectEndsRequestsToAStoppedStore) {
  store().Signal(SIGSTOP);
  WaitingThread waiting;
  std::thread deleter([&] {
    waiting.Begin();
    const auto status = client_.Delete(ObjectID::from_random());
    EXPECT_TRUE(status.IsDisconnected()) << status.ToString();
  });
  EXPECT_TRUE(Eventually(seconds(30), [&] { return waiting.Sleeps(); }));
  const Stopwatch watch;
  ASSERT_STATUS_OK(client_.Disconnect());
  deleter.join();
  EXPECT_LT(watch.Elapsed(), seconds(10));
  store().Signal(SIGCONT);
}

TEST_F(PlasmaEndTest, DisconnectAbortsWhatBuffersAndWritersStillHold) {
  const auto id = ObjectID::from_random();
  std::shared_ptr<Buffer> data;
  ASSERT_STATUS_OK(client_.Create(id, 10, nullptr, 0, &data));
  auto writer = client_.CreateWriter(ObjectID::from_random(), 10);
  ASSERT_TRUE(writer);
  ASSERT_EQ(ObjectsOf(other_), 2u);
  ASSERT_STATUS_OK(client_.Disconnect());
  EXPECT_TRUE(Eventually(seconds(30), [&] { return ObjectsOf(other_) == 0; }));
  EXPECT_TRUE(client_.Seal(id).IsDisconnected());
  const auto sealed = std::move(writer).Seal();
  EXPECT_TRUE(sealed.IsDisconnected()) << sealed.ToString();
  ASSERT_STATUS_OK(client_.Connect(socket()));
  EXPECT_TRUE(client_.Seal(id).IsPlasmaObjectNotFound());
}

TEST_F(PlasmaEndTest, DisconnectAbortsAlsoWhereAViewKeepsTheConnection) {
  const auto kept = Put("kept");
  const auto view = client_.GetView(kept);
  ASSERT_TRUE(view);
  std::shared_ptr<Buffer> data;
  ASSERT_STATUS_OK(client_.Create(ObjectID::from_random(), 10, nullptr, 0, &data));
  auto writer = client_.CreateWriter(ObjectID::from_random(), 10);
  ASSERT_TRUE(writer);
  ASSERT_STATUS_OK(client_.Disconnect());
  EXPECT_TRUE(Eventually(seconds(30), [&] { return ObjectsOf(other_) == 1; }));
  EXPECT_TRUE(std::move(writer).Seal().IsDisconnected());
  ASSERT_STATUS_OK(other_.Delete(kept));
  Overwrite(other_);
  EXPECT_EQ(TextOf(view.data()), "kept");
}

TEST_F(PlasmaEndTest, WritesAfterDisconnectReachNoOtherObject) {
  constexpr int64_t kBytes = 30 << 20;
  std::shared_ptr<Buffer> data;
  ASSERT_STATUS_OK(client_.Create(ObjectID::from_random(), kBytes, nullptr, 0, &data));
  const auto writer = client_.CreateWriter(ObjectID::from_random(), kBytes);
  ASSERT_TRUE(writer);
  ASSERT_STATUS_OK(client_.Disconnect());
  ASSERT_TRUE(Eventually(seconds(30), [&] { return ObjectsOf(other_) == 0; }));
  const auto first = ObjectID::from_random(), second = ObjectID::from_random();
  const std::string good(kBytes, 'g');
  ASSERT_STATUS_OK(other_.CreateAndSeal(first, good, ""));
  ASSERT_STATUS_OK(other_.CreateAndSeal(second, good, ""));
  std::memset(data->mutable_data(), 'b', kBytes);
  std::memset(writer.data().data(), 'b', kBytes);
  for (const ObjectID& id : {first, second}) {
    const auto view = other_.GetView(id, 0);
    ASSERT_TRUE(view) << view.status().ToString();
    EXPECT_TRUE(TextOf(view.data()) == good);
  }
}

}  // namespace
}  // namespace plasma
