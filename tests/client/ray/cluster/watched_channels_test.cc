#include "client/ray/cluster/watched_channels.h"

#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "base/clock.h"

namespace raylet::client {
namespace {

struct Channel {
  Watch& watch() { return watched; }
  bool HasReplies() {
    ++looks;
    return replies.load() > 0;
  }
  size_t pending() const { return calls.load(); }

  Watch watched;
  std::atomic<size_t> calls{0};
  std::atomic<size_t> replies{0};
  uint64_t looks = 0;
};
using ChannelPtr = std::shared_ptr<Channel>;

class WatchedChannelsTest : public ::testing::Test {
 protected:
  void Call(const ChannelPtr& channel) {
    channel->calls.fetch_add(1);
    if (channel->watch().Begin()) watched_.Add(channel);
  }
  size_t TakeReplies() {
    size_t taken = 0;
    watched_.Visit([&](const ChannelPtr& channel) {
      const size_t replies = channel->replies.exchange(0);
      channel->calls.fetch_sub(replies);
      taken += replies;
    });
    return taken;
  }
  WatchedChannels<Channel> watched_;
};

TEST_F(WatchedChannelsTest, OneBusyChannelIsVisitedWithoutALookAtAThousandIdleOnes) {
  std::vector<ChannelPtr> idle;
  for (int i = 0; i < 1000; ++i) {
    idle.push_back(std::make_shared<Channel>());
    Call(idle.back());
    idle.back()->replies = 1;
  }
  const auto busy = std::make_shared<Channel>();
  EXPECT_EQ(TakeReplies(), 1000u);
  EXPECT_EQ(TakeReplies(), 0u);  // lets the idle channels go
  EXPECT_LE(watched_.size(), kIdleChannelsWatchedMax);
  for (const auto& channel : idle) channel->looks = 0;
  for (int i = 0; i < 100; ++i) {
    Call(busy);
    EXPECT_EQ(TakeReplies(), 0u);
    busy->replies = 1;
    EXPECT_EQ(TakeReplies(), 1u);
  }
  uint64_t looks = 0;
  for (const auto& channel : idle) looks += channel->looks;
  EXPECT_LE(looks, 200 * kIdleChannelsWatchedMax);
  // Each of the idle ones is watched again once it has a call.
  for (const auto& channel : idle) {
    Call(channel);
    channel->replies = 1;
    EXPECT_EQ(TakeReplies(), 1u);
  }
}

TEST_F(WatchedChannelsTest, AChannelWithACallUnderWayIsWatchedHoweverManyThereAre) {
  std::vector<ChannelPtr> busy;
  for (size_t i = 0; i < 10 * kIdleChannelsWatchedMax; ++i) Call(busy.emplace_back(std::make_shared<Channel>()));
  for (int i = 0; i < 10; ++i) EXPECT_EQ(TakeReplies(), 0u);
  EXPECT_EQ(watched_.size(), busy.size());
  for (const auto& channel : busy) channel->replies = 1;
  EXPECT_EQ(TakeReplies(), busy.size());
}

TEST_F(WatchedChannelsTest, ARemovedChannelIsVisitedNoMoreAndDropped) {
  const auto channel = std::make_shared<Channel>();
  Call(channel);
  channel->replies = 1;
  watched_.Remove(channel);
  EXPECT_EQ(TakeReplies(), 0u);
  EXPECT_EQ(channel.use_count(), 1);
}

// A call that begins while the visitor lets go of its channel.
TEST_F(WatchedChannelsTest, NoReplyIsMissedThoughChannelsComeAndGo) {
#ifdef RAYLET_SANITIZED
  constexpr int kCallsEach = 2'000;
#else
  constexpr int kCallsEach = 20'000;
#endif
  std::vector<ChannelPtr> channels;
  for (size_t i = 0; i < 3 * kIdleChannelsWatchedMax; ++i) channels.push_back(std::make_shared<Channel>());
  const size_t wanted = kCallsEach * 2;
  size_t taken = 0;
  std::atomic<bool> stop{false};
  std::vector<std::thread> callers;
  for (int seed = 0; seed < 2; ++seed) {
    callers.emplace_back([&, seed] {
      for (int i = 0; i < kCallsEach; ++i) {
        const ChannelPtr& channel = channels[static_cast<size_t>(i * 7 + seed) % channels.size()];
        Call(channel);
        channel->replies.fetch_add(1);
        // One at a time: a missed reply is never found by the look at a later one.
        while (channel->pending() > 0 && !stop) std::this_thread::yield();
      }
    });
  }
  Deadline deadline = Deadline::After(std::chrono::seconds(30));
  while (taken < wanted && !deadline.Passed()) {
    const size_t now = TakeReplies();
    taken += now;
    if (now > 0) deadline = Deadline::After(std::chrono::seconds(30));
  }
  stop = true;
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(taken, wanted) << "a reply was missed";
}

}  // namespace
}  // namespace raylet::client
