#include "raylet/objects/claim_book.h"

#include <gtest/gtest.h>

#include <random>
#include <set>

namespace raylet {
namespace {

constexpr MachineNumber kOwnMachine{5};
constexpr ProcessId kOwner = ProcessIdOf(kOwnMachine, 1);
constexpr ProcessId kAnna = ProcessIdOf(kOwnMachine, 2);
constexpr ProcessId kBert = ProcessIdOf(MachineNumber{6}, 3);

ObjectId ObjectOf(ProcessId owner, uint64_t number) {
  std::atomic<uint64_t> counter{number};
  return NewObjectId(owner, counter);
}

class ClaimBookTest : public ::testing::Test {
 protected:
  using Ids = std::vector<ObjectId>;
  bool Claim(ProcessId by, const ObjectId& object) { return book_.Claim(by, object, lives_); }

  ClaimBook book_;
  bool lives_ = true;
  const ObjectId object_ = ObjectOf(kOwner, 1);
  const ObjectId other_ = ObjectOf(kOwner, 2);
};

TEST_F(ClaimBookTest, ALivingOwnerHoldsAnObjectFromItsFirstClaimToItsLast) {
  EXPECT_TRUE(Claim(kAnna, object_));
  EXPECT_EQ(book_.TakeOrders().hold.at(kOwner), Ids{object_});
  EXPECT_TRUE(Claim(kBert, object_));
  EXPECT_TRUE(Claim(kBert, object_));
  book_.Release(kAnna, object_);
  book_.Release(kBert, object_);
  EXPECT_TRUE(book_.TakeOrders().empty());
  book_.Release(kBert, object_);
  EXPECT_EQ(book_.TakeOrders().let_go.at(kOwner), Ids{object_});
  EXPECT_EQ(book_.claimed(), 0u);
  EXPECT_EQ(book_.claimers(), 0u);
}

TEST_F(ClaimBookTest, AReleaseWithoutAClaimDoesNothing) {
  book_.Release(kAnna, object_);
  EXPECT_TRUE(Claim(kAnna, object_));
  book_.Release(kBert, object_);
  book_.Release(kAnna, other_);
  EXPECT_EQ(book_.claimed(), 1u);
}

TEST_F(ClaimBookTest, ObjectsClaimedOfALivingOwnerAreAdoptedAtItsEnd) {
  Claim(kAnna, object_);
  book_.TakeOrders();
  book_.OwnerEnded(kOwner);
  EXPECT_TRUE(book_.IsKept(object_));
  EXPECT_TRUE(book_.adopts());
  book_.WorkOff(1);
  EXPECT_EQ(book_.TakeOrders().adopted, Ids{object_});
  book_.WorkOff(1);
  EXPECT_FALSE(book_.works());
}

TEST_F(ClaimBookTest, AdoptsManyObjectsBitByBitButNoneWhoseClaimIsReleasedMeanwhile) {
  Ids objects;
  for (uint64_t i = 0; i < 10; ++i) Claim(kAnna, objects.emplace_back(ObjectOf(kOwner, 10 + i)));
  book_.TakeOrders();
  book_.OwnerEnded(kOwner);
  lives_ = false;
  book_.WorkOff(3);
  book_.Release(kAnna, objects[9]);
  const ObjectId late = ObjectOf(kOwner, 1);
  Claim(kAnna, late);  // adopted at once
  std::set<ObjectId> adopted;
  for (bool more = true; more; more = book_.adopts(), book_.WorkOff(3))
    for (const ObjectId& object : book_.TakeOrders().adopted) adopted.insert(object);
  objects.pop_back();
  objects.push_back(late);
  EXPECT_EQ(adopted, (std::set<ObjectId>(objects.begin(), objects.end())));
}

TEST_F(ClaimBookTest, TheClaimsOfASettledClaimerGoBitByBitButNotThoseThatItMakesAgain) {
  Ids objects;
  for (uint64_t i = 0; i < 10; ++i) {
    Claim(kBert, objects.emplace_back(ObjectOf(kOwner, 10 + i)));
    Claim(kBert, objects.back());
  }
  book_.OwnerEnded(kOwner);
  lives_ = false;
  book_.OwnerSettled(kOwner, objects);
  book_.TakeOrders();
  book_.MachineSettled(MachineOf(kBert));
  // The machine is there again.
  book_.Release(kBert, objects[0]);  // of a claim that counts no more
  EXPECT_TRUE(Claim(kBert, objects[1]));
  std::set<ObjectId> freed;
  while (book_.works()) {
    book_.WorkOff(4);
    const Ids now = book_.TakeOrders().freed;
    EXPECT_LE(now.size(), 4u);
    freed.insert(now.begin(), now.end());
  }
  EXPECT_EQ(freed.size(), 9u);
  EXPECT_TRUE(book_.IsKept(objects[1]));
  book_.Release(kBert, objects[1]);  // claimed once since then
  EXPECT_EQ(book_.TakeOrders().freed, Ids{objects[1]});
  EXPECT_EQ(book_.claimers(), 0u);
}

TEST_F(ClaimBookTest, NothingOfAnOwnerIsFreedBeforeItIsSettled) {
  book_.OwnerEnded(kOwner);
  EXPECT_TRUE(book_.IsKept(object_));
  EXPECT_TRUE(book_.IsKept(other_));
  lives_ = false;
  EXPECT_TRUE(Claim(kAnna, object_));
  EXPECT_EQ(book_.TakeOrders().adopted, Ids{object_});
  book_.OwnerSettled(kOwner, Ids{object_, other_});
  EXPECT_EQ(book_.TakeOrders().freed, Ids{other_});
  EXPECT_TRUE(book_.IsKept(object_));
  EXPECT_FALSE(book_.IsKept(other_));
  EXPECT_FALSE(Claim(kBert, other_));
}

TEST_F(ClaimBookTest, AnAdoptedObjectIsFreedWithItsLastClaim) {
  book_.OwnerEnded(kOwner);
  lives_ = false;
  Claim(kAnna, object_);
  book_.OwnerSettled(kOwner, Ids{object_});
  EXPECT_TRUE(Claim(kBert, object_)) << "whoever hears of it from Anna may claim it later";
  book_.TakeOrders();
  book_.ClaimerSettled(kAnna);
  book_.WorkOff(9);
  EXPECT_TRUE(book_.TakeOrders().empty());
  book_.MachineSettled(MachineOf(kBert));
  book_.WorkOff(9);
  EXPECT_EQ(book_.TakeOrders().freed, Ids{object_});
  EXPECT_FALSE(book_.IsKept(object_));
  EXPECT_EQ(book_.ended(), 0u);
}

TEST_F(ClaimBookTest, AnObjectWhoseClaimIsReleasedStaysUntilTheSettlement) {
  book_.OwnerEnded(kOwner);
  lives_ = false;
  Claim(kAnna, object_);
  book_.TakeOrders();
  book_.Release(kAnna, object_);
  EXPECT_TRUE(book_.TakeOrders().freed.empty()) << "others may still come with their claims";
  book_.OwnerSettled(kOwner, Ids{object_});
  EXPECT_EQ(book_.TakeOrders().freed, Ids{object_});
}

TEST_F(ClaimBookTest, AnObjectThatItsLivingOwnerHadFreedIsClaimedByNobodyElse) {
  EXPECT_TRUE(book_.Claim(kAnna, object_, true));
  EXPECT_FALSE(book_.IsFreed(object_));
  book_.Freed(object_);
  EXPECT_TRUE(book_.IsFreed(object_));
  EXPECT_FALSE(book_.Claim(kBert, object_, true));
  EXPECT_EQ(book_.ClaimersOf(object_), std::vector<ProcessId>{kAnna});
  book_.Release(kBert, object_);
  book_.Release(kAnna, object_);
  EXPECT_EQ(book_.claimed(), 0u);
  EXPECT_FALSE(book_.IsFreed(object_));
}

// Against a model: which objects are kept follows from the owners' states and the claims.
TEST(ClaimBookProperty, KeepsExactlyWhatIsClaimed) {
  for (uint32_t seed = 0; seed < 200; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    ClaimBook book;
    enum class Life { kLives, kEnded, kSettled };
    std::vector<Life> lives(4, Life::kLives);
    std::vector<ObjectId> objects;
    for (uint64_t i = 0; i < 12; ++i) objects.push_back(ObjectOf(ProcessIdOf(kOwnMachine, 1 + i % 4), i));
    std::map<std::pair<ProcessId, size_t>, int> claims;
    std::set<size_t> freed, held;
    const auto claimed = [&](size_t object) {
      return std::any_of(claims.begin(), claims.end(),
                         [&](const auto& each) { return each.first.second == object && each.second > 0; });
    };
    for (int step = 0; step < 300; ++step) {
      const size_t object = random() % objects.size();
      const ProcessId by = ProcessIdOf(MachineNumber{7}, 1 + random() % 3);
      const size_t owner = object % 4;
      switch (random() % 12) {
        case 0:
          if (lives[owner] == Life::kLives) {
            book.OwnerEnded(ProcessIdOf(kOwnMachine, 1 + owner));
            lives[owner] = Life::kEnded;
          }
          break;
        case 1:
          if (lives[owner] == Life::kEnded) {
            std::vector<ObjectId> known;
            for (size_t i = owner; i < objects.size(); i += 4) known.push_back(objects[i]);
            book.OwnerSettled(ProcessIdOf(kOwnMachine, 1 + owner), known);
            lives[owner] = Life::kSettled;
          }
          break;
        case 2:
          book.ClaimerSettled(by);
          while (book.works()) book.WorkOff(1 + random() % 3);
          std::erase_if(claims, [&](const auto& each) { return each.first.first == by; });
          break;
        case 3:
        case 4:
        case 5:
        case 6: {
          const bool expected = lives[owner] != Life::kSettled || claimed(object);
          EXPECT_EQ(book.Claim(by, objects[object], lives[owner] == Life::kLives), expected);
          if (expected) claims[{by, object}]++;
          break;
        }
        default:
          if (claims[{by, object}] > 0) {
            claims[{by, object}]--;
            book.Release(by, objects[object]);
          }
      }
      const auto orders = book.TakeOrders();
      for (const auto& [process, ids] : orders.hold)
        for (const ObjectId& id : ids) held.insert(std::find(objects.begin(), objects.end(), id) - objects.begin());
      for (const auto& [process, ids] : orders.let_go)
        for (const ObjectId& id : ids) held.erase(std::find(objects.begin(), objects.end(), id) - objects.begin());
      for (const ObjectId& id : orders.freed)
        EXPECT_TRUE(freed.insert(std::find(objects.begin(), objects.end(), id) - objects.begin()).second);
      for (size_t i = 0; i < objects.size(); ++i) {
        const Life life = lives[i % 4];
        if (life == Life::kLives) {
          EXPECT_EQ(held.contains(i), claimed(i));
        }
        EXPECT_EQ(book.IsKept(objects[i]), life == Life::kEnded || (life == Life::kSettled && claimed(i)));
        if (life == Life::kSettled) {
          EXPECT_EQ(freed.contains(i), !claimed(i));
        }
      }
    }
  }
}

}  // namespace
}  // namespace raylet
