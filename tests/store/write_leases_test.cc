// The runs that clients lease: granted, taken, posted, taken back.
#include "store/write_leases.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <random>
#include <set>
#include <thread>

namespace raylet::store {
namespace {

constexpr uint64_t kStoreBytes = 4 << 20;

class WriteLeasesTest : public testing::Test {
 protected:
  WriteLeasesTest() : arena_(std::move(*Arena::Create(kStoreBytes))), leases_(*arena_, kStoreBytes / 4) {
    for (uint32_t client = 1; client <= 3; ++client) {
      pages_.push_back(std::make_unique<PutPage>());
      leases_.AddClient(client, pages_.back().get());
    }
  }
  ~WriteLeasesTest() override {
    for (uint32_t client = 1; client <= 3; ++client) leases_.RemoveClient(client);
    EXPECT_EQ(leases_.leased_bytes(), 0u);
    EXPECT_EQ(arena_->physical_bytes(), 0u);
  }
  // As a client does: the next run of the class in order, and its slot.
  struct Run {
    uint32_t slot = 0;
    uint64_t offset = 0;
  };
  std::optional<Run> ClientTakes(uint32_t client, uint32_t put_class) {
    uint32_t& next = next_[{client, put_class}];
    const uint64_t run = pages_[client - 1]->grants[put_class][next % kGrantsPerClass].exchange(0);
    if (run == 0) return std::nullopt;
    return Run{put_class * kGrantsPerClass + next++ % kGrantsPerClass, run - 1};
  }

  std::unique_ptr<Arena> arena_;
  std::vector<std::unique_ptr<PutPage>> pages_;
  WriteLeases leases_;
  std::map<std::pair<uint32_t, uint32_t>, uint32_t> next_;
};

TEST_F(WriteLeasesTest, ClientGetsTheRunsThatItWantsAndPostsThem) {
  leases_.Want(1, PutClassOf(1024), 2);
  EXPECT_EQ(leases_.leased_bytes(), 2048u);
  const auto first = ClientTakes(1, PutClassOf(1024)), second = ClientTakes(1, PutClassOf(1024));
  ASSERT_TRUE(first && second);
  EXPECT_FALSE(ClientTakes(1, PutClassOf(1024)));
  EXPECT_EQ(leases_.Take(1, second->slot, 1000), second->offset);
  EXPECT_EQ(leases_.leased_bytes(), 1024u);
  EXPECT_EQ(leases_.Take(1, first->slot, 1024), first->offset);
  leases_.TopUp(1, PutClassOf(1024));
  EXPECT_EQ(leases_.leased_bytes(), 2048u);
  EXPECT_TRUE(ClientTakes(1, PutClassOf(1024)));
  leases_.Free(first->offset);
  leases_.Free(second->offset);
}

TEST_F(WriteLeasesTest, PostOfWhatTheClientDoesNotLeaseIsRefused) {
  leases_.Want(1, 0, 1);
  const auto run = ClientTakes(1, 0);
  ASSERT_TRUE(run);
  EXPECT_FALSE(leases_.Take(2, run->slot, 1)) << "another client's";
  EXPECT_FALSE(leases_.Take(9, run->slot, 1)) << "no client's";
  EXPECT_FALSE(leases_.Take(1, run->slot, 65)) << "larger than the run";
  EXPECT_FALSE(leases_.Take(1, run->slot + 1, 1)) << "not granted";
  EXPECT_FALSE(leases_.Take(1, kPutSlots, 1));
  EXPECT_FALSE(leases_.Take(1, ~uint32_t{0}, 0));
  leases_.Free(*leases_.Take(1, run->slot, 64));
  EXPECT_FALSE(leases_.Take(1, run->slot, 64)) << "twice";
}

TEST_F(WriteLeasesTest, RunsThatNobodyTookGoBackAndTakenOnesStay) {
  leases_.Want(1, 3, 4);
  leases_.Want(2, 5, 2);
  const auto taken = ClientTakes(1, 3);
  ASSERT_TRUE(taken);
  EXPECT_TRUE(leases_.TakeBack());
  EXPECT_EQ(leases_.leased_bytes(), PutClassBytes(3));
  EXPECT_FALSE(leases_.TakeBack());
  EXPECT_FALSE(ClientTakes(1, 3));
  EXPECT_FALSE(ClientTakes(2, 5));
  // A new grant is where the client looks for it.
  leases_.TopUp(1, 3);
  EXPECT_TRUE(ClientTakes(1, 3));
  leases_.Free(*leases_.Take(1, taken->slot, 1));
}

TEST_F(WriteLeasesTest, BoundsHoldForOneClientAndForAll) {
  for (uint32_t client = 1; client <= 3; ++client) {
    for (uint32_t put_class = 0; put_class < kPutClasses; ++put_class) leases_.Want(client, put_class, 1'000'000);
    EXPECT_LE(leases_.leased_bytes(), client * kStoreBytes / 16);
  }
  leases_.Want(1, kPutClasses, 1);  // there is no such class
  EXPECT_LE(leases_.leased_bytes(), kStoreBytes / 4);
}

TEST_F(WriteLeasesTest, EndOfAClientFreesItsRunsTakenOrNot) {
  leases_.Want(3, 7, 8);
  ASSERT_TRUE(ClientTakes(3, 7));
  leases_.RemoveClient(3);
  EXPECT_EQ(leases_.leased_bytes(), 0u);
  EXPECT_EQ(arena_->physical_bytes(), 0u);
}

// Clients that do as they please, against a list of who has which run.
TEST_F(WriteLeasesTest, EachRunHasOneOwnerInEveryHistory) {
  std::mt19937 random{20};
  std::map<uint64_t, std::pair<uint32_t, uint32_t>> held;  // by clients: offset -> client, slot
  std::vector<uint64_t> objects;
  const auto choose = [&](uint32_t count) { return static_cast<uint32_t>(random() % count); };
  for (int step = 0; step < 200'000; ++step) {
    const uint32_t client = 1 + choose(3), put_class = choose(4) * 5;
    switch (choose(8)) {
      case 0: leases_.Want(client, put_class, 1 + choose(40)); break;
      case 1: leases_.TopUp(client, put_class); break;
      case 2:
        if (choose(20) == 0) leases_.TakeBack();
        break;
      case 3:  // nonsense
        if (choose(50) == 0) {
          pages_[client - 1]->grants[put_class][choose(kGrantsPerClass)].store(random());
          const uint32_t slot = choose(2 * kPutSlots);
          const auto got = leases_.Take(client, slot, 1);
          if (!got) break;
          const auto mine = held.find(*got);
          if (mine != held.end()) {
            ASSERT_EQ(mine->second, std::pair(client, slot));
            held.erase(mine);
          }
          objects.push_back(*got);
        }
        break;
      case 4:
      case 5:
        if (const auto run = ClientTakes(client, put_class)) held[run->offset] = {client, run->slot};
        break;
      case 6:
        if (!held.empty()) {
          const auto it = std::next(held.begin(), choose(static_cast<uint32_t>(std::min<size_t>(held.size(), 30))));
          const auto run = leases_.Take(it->second.first, it->second.second, 1);
          if (run) objects.push_back(*run);
          held.erase(it);
        }
        break;
      default:
        if (!objects.empty()) {
          leases_.Free(objects.back());
          objects.pop_back();
        }
    }
    if (step % 100 == 0) {
      const std::set<uint64_t> distinct(objects.begin(), objects.end());
      ASSERT_EQ(distinct.size(), objects.size()) << "one run for two objects";
    }
    ASSERT_LE(leases_.leased_bytes(), kStoreBytes / 4);
  }
  for (const uint64_t object : objects) leases_.Free(object);
}

// The client takes runs in one thread while the daemon takes them back in another. Run under a thread sanitizer, it
// shows that a run's bytes are written by one of them at a time.
TEST_F(WriteLeasesTest, ClientAndDaemonNeverHaveTheSameRun) {
  constexpr uint32_t kClass = 0;
  constexpr int kRounds = 20'000;
  std::atomic<uint32_t> posted{~uint32_t{0}};  // a ring of one
  std::atomic<bool> over{false};
  std::thread client([&] {
    while (!over) {
      const auto run = ClientTakes(1, kClass);
      if (!run) {
        YieldCore();
        continue;
      }
      arena_->data()[run->offset] = std::byte{1};
      while (posted.load() != ~uint32_t{0} && !over) YieldCore();
      posted.store(run->slot);
    }
  });
  int objects = 0;
  for (int round = 0; round < kRounds || objects == 0; ++round) {
    leases_.Want(1, kClass, 3);
    if (const uint32_t slot = posted.load(); slot != ~uint32_t{0}) {
      const auto run = leases_.Take(1, slot, 1);
      ASSERT_TRUE(run);
      EXPECT_EQ(arena_->data()[*run], std::byte{1});
      arena_->data()[*run] = std::byte{0};
      leases_.Free(*run);
      posted.store(~uint32_t{0});
      ++objects;
    }
    leases_.TakeBack();
    if (const auto own = arena_->Allocate(64)) {
      arena_->data()[*own] = std::byte{0};  // nobody else writes here
      arena_->Free(*own);
    }
  }
  over = true;
  client.join();
}

}  // namespace
}  // namespace raylet::store
