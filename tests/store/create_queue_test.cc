#include "store/create_queue.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

namespace raylet::store {
namespace {

BlockedCreate Wanting(uint64_t bytes, uint32_t client = 1, uint64_t request = 0) {
  BlockedCreate create;
  create.client = client;
  create.request_id = request;
  create.options.data_bytes = bytes;
  return create;
}

class CreateQueueTest : public testing::Test {
 protected:
  // Serves with `reached_` bytes to be had, of `in_reach_`. Returns the sizes that were tried.
  std::vector<uint64_t> Serve(bool anew = false) {
    std::vector<uint64_t> tried;
    queue_.Serve(
        anew, [this] { return in_reach_; },
        [&](const BlockedCreate& create) {
          const uint64_t need = create.need_bytes();
          tried.push_back(need);
          const uint64_t had = create.options.evict_if_full ? reached_ : free_;
          if (need > had || need > longest_run_) return CreateQueue::Tried{.done = false, .reached_bytes = reached_};
          reached_ -= need;
          in_reach_ -= need;
          served_.push_back(create.request_id);
          return CreateQueue::Tried{.done = true};
        });
    return tried;
  }
  void Gain(uint64_t bytes) {
    reached_ += bytes;
    in_reach_ += bytes;
  }
  using Sizes = std::vector<uint64_t>;

  CreateQueue queue_;
  uint64_t in_reach_ = 0, reached_ = 0, free_ = ~uint64_t{0}, longest_run_ = ~uint64_t{0};
  Sizes served_;
};

TEST_F(CreateQueueTest, ACreateIsTriedAgainOnceEnoughIsInReachAndNotBefore) {
  ASSERT_TRUE(queue_.Push(Wanting(100, 1, 7)));
  EXPECT_EQ(Serve(), (Sizes{100}));
  for (int frame = 0; frame < 1000; ++frame) EXPECT_EQ(Serve(), Sizes{});
  Gain(60);
  EXPECT_EQ(Serve(), Sizes{}) << "40 are lacking";
  Gain(40);
  EXPECT_EQ(Serve(), (Sizes{100}));
  EXPECT_EQ(served_, (Sizes{7}));
  EXPECT_TRUE(queue_.Empty());
}

TEST_F(CreateQueueTest, AnEmptyQueueHasNoDeadline) {
  BlockedCreate create = Wanting(100);
  create.deadline = TimePoint{} + std::chrono::seconds(1);
  ASSERT_TRUE(queue_.Push(create));
  EXPECT_EQ(queue_.NextDeadline(), create.deadline);
  Gain(100);
  EXPECT_EQ(Serve(), (Sizes{100}));
  EXPECT_EQ(queue_.NextDeadline(), TimePoint::max());
}

TEST_F(CreateQueueTest, ThoseThatWaitForTheDiskAreTakenAndTheOthersStay) {
  BlockedCreate impatient = Wanting(100, 1, 7);
  impatient.while_disk_writes = true;
  ASSERT_TRUE(queue_.Push(Wanting(50)));
  ASSERT_TRUE(queue_.Push(impatient));
  const auto taken = queue_.TakeThoseForDisk();
  ASSERT_EQ(taken.size(), 1u);
  EXPECT_EQ(taken.front().request_id, 7u);
  EXPECT_TRUE(queue_.TakeThoseForDisk().empty());
  EXPECT_FALSE(queue_.Empty());
}

TEST_F(CreateQueueTest, APinThatWasReleasedIsFoundByAServeAnew) {
  in_reach_ = 500;  // evictable, and pinned
  ASSERT_TRUE(queue_.Push(Wanting(100)));
  EXPECT_EQ(Serve(), (Sizes{100}));
  reached_ = 500;
  EXPECT_EQ(Serve(), Sizes{}) << "nobody heard of the release";
  EXPECT_EQ(Serve(/*anew=*/true), (Sizes{100}));
  EXPECT_TRUE(queue_.Empty());
}

TEST_F(CreateQueueTest, ThoseThatCanBeServedDoNotWaitForThoseThatCannot) {
  Gain(10);
  uint64_t request = 0;
  for (const uint64_t bytes : {100, 4, 50, 100, 3, 20}) ASSERT_TRUE(queue_.Push(Wanting(bytes, 1, request++)));
  EXPECT_EQ(Serve(), (Sizes{100, 4, 3})) << "one failure says enough about the others";
  EXPECT_EQ(served_, (Sizes{1, 4}));
  Gain(97);
  EXPECT_EQ(Serve(), (Sizes{100})) << "the oldest is tried first, and takes what there is";
  EXPECT_EQ(served_, (Sizes{1, 4, 0}));
  Gain(70);
  EXPECT_EQ(Serve(), (Sizes{50, 20}));
  EXPECT_FALSE(queue_.Empty());
}

TEST_F(CreateQueueTest, ACreateThatMayNotEvictHoldsUpNoneThatMay) {
  free_ = 0;
  Gain(100);
  BlockedCreate modest = Wanting(10, 1, 1);
  modest.options.evict_if_full = false;
  EXPECT_TRUE(queue_.MayOvertake(Wanting(10)));
  ASSERT_TRUE(queue_.Push(modest));
  EXPECT_TRUE(queue_.MayOvertake(Wanting(20)));
  EXPECT_FALSE(queue_.MayOvertake(modest));
  ASSERT_TRUE(queue_.Push(modest));
  ASSERT_TRUE(queue_.Push(Wanting(20, 1, 2)));
  EXPECT_EQ(Serve(), (Sizes{10, 20}));
  EXPECT_EQ(served_, (Sizes{2}));
  ASSERT_TRUE(queue_.Push(Wanting(200)));
  EXPECT_FALSE(queue_.MayOvertake(Wanting(200)));
  EXPECT_TRUE(queue_.MayOvertake(Wanting(199)));
}

TEST_F(CreateQueueTest, WhereNoRunIsLongEnoughSmallerOnesAreTried) {
  Gain(100);
  longest_run_ = 10;
  for (const uint64_t bytes : {50, 60, 40, 8}) ASSERT_TRUE(queue_.Push(Wanting(bytes)));
  EXPECT_EQ(Serve(), (Sizes{50, 40, 8}));
  EXPECT_EQ(Serve(), Sizes{});
  Gain(9);
  EXPECT_EQ(Serve(), (Sizes{50, 40}));
}

TEST_F(CreateQueueTest, TheDataOfWaitingCreatesIsBoundedForAClientAndForAll) {
  const auto carrying = [](uint32_t client, uint64_t bytes) {
    BlockedCreate create = Wanting(bytes, client);
    create.data.resize(bytes);
    return create;
  };
  constexpr uint64_t kMiB = uint64_t{1} << 20;
  for (uint32_t client = 1; client <= kBlockedBytesMax / kBlockedBytesPerClientMax; ++client) {
    for (uint64_t i = 0; i < kBlockedBytesPerClientMax / kMiB; ++i) ASSERT_TRUE(queue_.Push(carrying(client, kMiB)));
    const auto refused = queue_.Push(carrying(client, 1));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::kFull);
    EXPECT_NE(refused.error().message.find("the client's creates that wait for room carry 4.0 MiB"), std::string::npos)
        << refused.error().message;
  }
  const auto refused = queue_.Push(carrying(100, 1));
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("all creates that wait for room carry 64.0 MiB"), std::string::npos)
      << refused.error().message;
  EXPECT_TRUE(queue_.Push(Wanting(1, 100))) << "it carries nothing";
  queue_.DropClient(1);
  EXPECT_TRUE(queue_.Push(carrying(100, kMiB)));
}

TEST_F(CreateQueueTest, CancelledAndExpiredOnesLeaveInOrder) {
  for (uint64_t request = 0; request < 4; ++request) {
    BlockedCreate create = Wanting(10, 1, request);
    create.deadline = TimePoint(std::chrono::seconds(10 - request));
    create.id.mutable_data()[0] = static_cast<uint8_t>(request);
    ASSERT_TRUE(queue_.Push(create));
  }
  EXPECT_EQ(queue_.NextDeadline(), TimePoint(std::chrono::seconds(7)));
  EXPECT_TRUE(queue_.TakeExpired(TimePoint(std::chrono::seconds(6))).empty());
  const auto expired = queue_.TakeExpired(TimePoint(std::chrono::seconds(8)));
  ASSERT_EQ(expired.size(), 2u);
  EXPECT_EQ(expired[0].request_id, 2u);
  EXPECT_EQ(expired[1].request_id, 3u);
  EXPECT_EQ(queue_.NextDeadline(), TimePoint(std::chrono::seconds(9)));
  EXPECT_TRUE(queue_.Cancel(2, ObjectId()).empty());
  EXPECT_EQ(queue_.Cancel(1, ObjectId()).size(), 1u);
  queue_.DropClient(1);
  EXPECT_TRUE(queue_.Empty());
}

// Against the rule itself: in order of arrival, each that fits is served.
TEST_F(CreateQueueTest, ServesAsTheRuleSaysUnderRandomGains) {
  std::mt19937 random(11);
  std::vector<std::pair<uint64_t, uint64_t>> model;  // request, bytes
  Sizes wanted;
  for (uint64_t step = 0; step < 20'000; ++step) {
    if (random() % 2 == 0 && model.size() < kBlockedCreatesPerClientMax) {
      const uint64_t bytes = 1 + random() % 100;
      model.emplace_back(step, bytes);
      ASSERT_TRUE(queue_.Push(Wanting(bytes, 1, step)));
    } else {
      Gain(random() % 40);
    }
    uint64_t left = reached_;
    std::erase_if(model, [&](const auto& create) {
      if (create.second > left) return false;
      left -= create.second;
      wanted.push_back(create.first);
      return true;
    });
    Serve(random() % 4 == 0);
    ASSERT_EQ(served_, wanted) << "step " << step;
    ASSERT_EQ(queue_.Empty(), model.empty());
  }
}

}  // namespace
}  // namespace raylet::store
