#include "base/id.h"

#include <set>
#include <thread>
#include <unordered_set>

#include "testing.h"

namespace raylet {
namespace {

struct FruitTag {};
using FruitId = Id<FruitTag, 20>;

TEST(IdTest, ANewIdIsNilAndARandomOneIsNot) {
  EXPECT_TRUE(FruitId().IsNil());
  EXPECT_FALSE(FruitId::FromRandom().IsNil());
  EXPECT_EQ(FruitId().hex(), std::string(40, '0'));
}

TEST(IdTest, HexAndBytesComeBackAsTheyWere) {
  for (int i = 0; i < 100; ++i) {
    const FruitId id = FruitId::FromRandom();
    FruitId from_hex;
    ASSERT_TRUE(FromHex(id.hex(), from_hex.mutable_data(), FruitId::size()));
    EXPECT_EQ(from_hex, id);
    EXPECT_EQ(FruitId::FromBinary(id.binary()), id);
    EXPECT_EQ(from_hex.Hash(), id.Hash());
  }
}

TEST(IdTest, BytesOfAnotherLengthAreNil) {
  EXPECT_TRUE(FruitId::FromBinary("short").IsNil());
  EXPECT_TRUE(FruitId::FromBinary(std::string(21, 'x')).IsNil());
}

TEST(IdTest, OnlyExactlyHexIsHex) {
  uint8_t out[2] = {7, 7};
  EXPECT_TRUE(FromHex("00fF", out, 2));
  EXPECT_EQ(out[1], 0xff);
  for (const char* bad : {"", "00f", "00fff", "00fg", "0x00", "00 f"}) {
    out[0] = 7;
    EXPECT_FALSE(FromHex(bad, out, 2)) << bad;
    EXPECT_EQ(out[0], 7) << "touched by " << bad;
  }
}

TEST(IdTest, HashSpreadsIdsThatDifferInOneBit) {
  std::set<uint64_t> low_bits;
  for (int bit = 0; bit < 160; ++bit) {
    FruitId id;
    id.mutable_data()[bit / 8] = static_cast<uint8_t>(1 << bit % 8);
    low_bits.insert(id.Hash() % 65536);
  }
  EXPECT_GT(low_bits.size(), 150U);
}

TEST(IdTest, HashTellsIdsApartThatDifferInTwoBits) {
  std::set<uint64_t> hashes;
  size_t ids = 0;
  for (int one = 0; one < 160; ++one)
    for (int other = 0; other < one; ++other, ++ids) {
      FruitId id;
      id.mutable_data()[one / 8] |= static_cast<uint8_t>(1 << one % 8);
      id.mutable_data()[other / 8] |= static_cast<uint8_t>(1 << other % 8);
      hashes.insert(id.Hash());
    }
  EXPECT_EQ(hashes.size(), ids);
}

TEST(IdTest, ThreadsNeverDrawTheSameId) {
  std::vector<FruitId> drawn[2];
  {
    std::thread other([&] {
      for (int i = 0; i < 1000; ++i) drawn[1].push_back(FruitId::FromRandom());
    });
    for (int i = 0; i < 1000; ++i) drawn[0].push_back(FruitId::FromRandom());
    other.join();
  }
  std::unordered_set<FruitId> all(drawn[0].begin(), drawn[0].end());
  all.insert(drawn[1].begin(), drawn[1].end());
  EXPECT_EQ(all.size(), 2000U);
}

TEST(IdTest, AForkedChildDoesNotRepeatItsParentsIds) {
  FruitId::FromRandom();  // the buffer is filled before the fork
  auto [reading, writing] = Pipe();
  const int out = writing.get();
  Child child([out] {
    const FruitId id = FruitId::FromRandom();
    return ::write(out, id.data(), FruitId::size()) == ssize_t{FruitId::size()} ? 0 : 1;
  });
  FruitId of_child;
  ASSERT_EQ(::read(reading.get(), of_child.mutable_data(), FruitId::size()), ssize_t{FruitId::size()});
  EXPECT_EQ(child.Wait(), 0);
  EXPECT_NE(of_child, FruitId::FromRandom());
}

TEST(IdTest, LargeRandomRequestsAreFilledWhole) {
  std::vector<uint8_t> bytes(4096, 0);
  FillRandom(bytes.data(), bytes.size());
  EXPECT_LT(std::count(bytes.begin(), bytes.end(), 0), 100);
}

}  // namespace
}  // namespace raylet
