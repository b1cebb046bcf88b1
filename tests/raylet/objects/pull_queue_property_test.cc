// Random lives of a pull queue. In all of them every wanter is told once, an object has one pull, and the bytes under
// way stay within the limits.
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>

#include "raylet/objects/pull_queue.h"
#include "tests/harness/manual_clock.h"
#include "tests/harness/seeded_id.h"

namespace raylet {
namespace {

constexpr uint64_t kBytesMax = 1000;
constexpr size_t kTransfersMax = 5;

class World {
 public:
  explicit World(uint64_t seed) : random_(seed) {
    for (uint64_t i = 0; i < 12; ++i)
      objects_.push_back(NewObjectId(ProcessIdOf(MachineNumber{static_cast<uint32_t>(1 + i % 3)}, 1), counter_));
    for (uint8_t i = 0; i < 4; ++i) nodes_.push_back(test::SeededId<NodeId>(ids_));
  }

  void Step() {
    const ObjectId& object = objects_[Pick(objects_.size())];
    const Wanter wanter = 1 + Pick(4);
    const auto priority = static_cast<PullPriority>(Pick(3));
    switch (Pick(14)) {
      case 0:
      case 1:
      case 2: {
        const bool timed = Pick(3) == 0;
        const auto deadline = timed ? clock_.After(std::chrono::milliseconds(Pick(200))) : Deadline::Never();
        ASSERT_TRUE(queue_.Want(object, wanter, priority, deadline));
        wanting_[{object, wanter}] = priority;
        break;
      }
      case 3:
        queue_.WantNoLonger(object, wanter);
        wanting_.erase({object, wanter});
        break;
      case 4:
      case 5:
      case 6: {
        std::vector<NodeId> holders;
        for (const NodeId& node : nodes_)
          if (Pick(2) == 0) holders.push_back(node);
        queue_.Located(object, holders, Pick(3) == 0 ? 0 : 1 + Pick(400));
        break;
      }
      case 7:
      case 8: EndOne(); break;
      case 9: queue_.SealedHere(object); break;
      case 10:
        clock_.Advance(std::chrono::milliseconds(Pick(60)));
        queue_.Tick();
        break;
      case 11:
        if (Pick(3) == 0) GoneNode();
        break;
      case 12:
        if (Pick(4) == 0) queue_.MachineLost(NodeId(), MachineOf(OwnerOf(object)), {ErrorCode::kUnavailable, "gone"});
        break;
      case 13:
        if (Pick(4) == 0) {
          queue_.WanterGone(wanter);
          std::erase_if(wanting_, [&](const auto& each) { return each.first.second == wanter; });
        }
        break;
    }
    Settle();
  }

  // Once the machines answer, everything that is wanted is sealed.
  void Drain() {
    for (int i = 0; i < 10'000 && queue_.objects() > 0; ++i) {
      clock_.Advance(std::chrono::milliseconds(50));
      queue_.Tick();
      for (const ObjectId& object : objects_) queue_.Located(object, {nodes_[0]}, 0);
      Settle();
      if (pulls_.empty()) continue;
      const auto [object, pull] = *pulls_.begin();
      pulls_.erase(object);
      queue_.PullSealed(pull.number, object);
      Settle();
    }
    EXPECT_TRUE(wanting_.empty());
    EXPECT_TRUE(pulls_.empty());
    EXPECT_EQ(queue_.objects(), 0u);
    EXPECT_EQ(queue_.under_way().counted_bytes(), 0u);
    // The failures are forgotten, too.
    for (int i = 0; i < 100 && queue_.NextTick() != TimePoint::max(); ++i) {
      clock_.Advance(std::chrono::milliseconds(500));
      queue_.Tick();
    }
    EXPECT_EQ(queue_.NextTick(), TimePoint::max());
  }

 private:
  struct Pull {
    PullNumber number = 0;
    NodeId from;
  };

  size_t Pick(size_t bound) { return std::uniform_int_distribution<size_t>(0, bound - 1)(random_); }

  void EndOne() {
    if (pulls_.empty()) return;
    const auto [object, pull] = *std::next(pulls_.begin(), static_cast<std::ptrdiff_t>(Pick(pulls_.size())));
    if (Pick(3) == 0) return queue_.PullSized(pull.number, object, 1 + Pick(400));
    pulls_.erase(object);
    if (Pick(2) == 0) return queue_.PullSealed(pull.number, object);
    const ErrorCode codes[] = {ErrorCode::kDisconnected, ErrorCode::kNotFound, ErrorCode::kFull, ErrorCode::kTooLarge,
                               ErrorCode::kProtocolError};
    queue_.PullEnded(pull.number, object, {codes[Pick(5)], "it ended"}, Pick(100));
  }

  void GoneNode() {
    const NodeId node = nodes_[Pick(nodes_.size())];
    queue_.MachineLost(node);
    std::erase_if(pulls_, [&](const auto& each) { return each.second.from == node; });
  }

  void Settle() {
    for (const auto& decision : queue_.TakeDecisions()) {
      if (const auto* start = std::get_if<StartPull>(&decision)) {
        ASSERT_TRUE(pulls_.try_emplace(start->object, Pull{start->pull, start->from}).second) << "two transfers";
        ASSERT_TRUE(numbers_.insert(start->pull).second) << "a transfer's number was used again";
      } else if (const auto* stop = std::get_if<StopPull>(&decision)) {
        if (stop->pull) {
          ASSERT_EQ(pulls_.erase(stop->object), 1u);
        }
      } else if (const auto* raise = std::get_if<RaisePull>(&decision)) {
        ASSERT_TRUE(pulls_.contains(raise->object));
      } else if (const auto* here = std::get_if<TellSealed>(&decision)) {
        for (const Wanter wanter : here->wanters) {
          ASSERT_EQ(wanting_.erase({here->object, wanter}), 1u) << "told twice, or without wish";
        }
      } else if (const auto* failed = std::get_if<TellLost>(&decision)) {
        ASSERT_EQ(wanting_.erase({failed->object, failed->wanter}), 1u) << "told twice, or without wish";
        ASSERT_FALSE(failed->why.message.empty());
      }
    }
    std::set<ObjectId> wanted;
    for (const auto& entry : wanting_) wanted.insert(entry.first.first);
    ASSERT_EQ(queue_.objects(), wanted.size());
    for (const auto& [object, pull] : pulls_) ASSERT_TRUE(wanted.contains(object)) << "nobody asks for it";
    ASSERT_EQ(queue_.under_way().count(), pulls_.size());
    ASSERT_LE(pulls_.size(), kTransfersMax);
    // A size that is told late may push the sum above the limit by the bytes that were not known.
    ASSERT_TRUE(queue_.under_way().counted_bytes() <= kBytesMax + kTransfersMax * 400 || pulls_.size() == 1);
    ASSERT_TRUE(queue_.ready() == 0 || !pulls_.empty()) << "nothing is on the way and something waits";
  }

  static PullLimits Limits() {
    PullLimits limits;
    limits.bytes_max = kBytesMax;
    limits.pulls_max = kTransfersMax;
    limits.small_pulls_max = kTransfersMax;
    limits.unknown_bytes = 50;
    return limits;
  }

  std::mt19937_64 random_, ids_{1};
  std::atomic<uint64_t> counter_{1};
  test::ManualClock clock_;
  PullQueue queue_{NodeId(), Limits(), clock_};
  std::vector<ObjectId> objects_;
  std::vector<NodeId> nodes_;
  std::map<std::pair<ObjectId, Wanter>, PullPriority> wanting_;
  std::map<ObjectId, Pull> pulls_;
  std::set<PullNumber> numbers_;
};

TEST(PullQueueProperty, EveryWanterIsToldOnceAndTheLimitsHold) {
  for (uint64_t seed = 1; seed <= 150; ++seed) {
    SCOPED_TRACE(seed);
    World world(seed);
    for (int step = 0; step < 400 && !testing::Test::HasFatalFailure(); ++step) world.Step();
    if (!testing::Test::HasFatalFailure()) world.Drain();
    if (testing::Test::HasFailure()) return;
  }
}

}  // namespace
}  // namespace raylet
