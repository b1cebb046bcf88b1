#include "base/spread_map.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <random>

namespace raylet {
namespace {

// The identity of libstdc++ would put small numbers into one part.
struct Number {
  uint64_t value = 0;
  bool operator==(const Number&) const = default;
};

}  // namespace
}  // namespace raylet

template <>
struct std::hash<raylet::Number> {
  size_t operator()(const raylet::Number& number) const noexcept { return number.value * 0x9e3779b97f4a7c15U; }
};

namespace raylet {
namespace {

TEST(SpreadMap, DoesWhatAnUnorderedMapDoes) {
  std::mt19937 random(7);
  SpreadMap<Number, int> map;
  std::unordered_map<uint64_t, int> model;
  for (int step = 0; step < 50'000; ++step) {
    const Number key{random() % 500};
    switch (random() % 4) {
      case 0: {
        const auto [at, added] = map.try_emplace(key, step);
        EXPECT_EQ(added, model.try_emplace(key.value, step).second);
        EXPECT_EQ(at->first, key);
        break;
      }
      case 1:
        map[key] = step;
        model[key.value] = step;
        break;
      case 2:
        if (const auto at = map.find(key); at != map.end()) map.erase(at);
        model.erase(key.value);
        break;
      default: {
        const auto& constant = map;
        const auto at = constant.find(key);
        ASSERT_EQ(at != constant.end(), model.contains(key.value));
        if (at == constant.end()) break;
        EXPECT_EQ(at->second, model.at(key.value));
        EXPECT_EQ(map.at(key), at->second);
      }
    }
    ASSERT_EQ(map.size(), model.size());
    ASSERT_EQ(map.contains(key), model.contains(key.value));
  }
  size_t seen = 0;
  for (const auto& [key, value] : map) {
    EXPECT_EQ(model.at(key.value), value);
    ++seen;
  }
  EXPECT_EQ(seen, model.size());
}

TEST(SpreadMap, ErasesWhileItIsWalked) {
  SpreadMap<Number, int> map;
  EXPECT_TRUE(map.begin() == map.end());
  for (uint64_t i = 0; i < 1'000; ++i) map.try_emplace(Number{i}, static_cast<int>(i));
  size_t kept = 0;
  for (auto at = map.begin(); at != map.end();) {
    if (at->second % 3 == 0) {
      ++kept;
      ++at;
    } else {
      at = map.erase(at);
    }
  }
  EXPECT_EQ(kept, 334u);
  EXPECT_EQ(map.size(), kept);
  EXPECT_FALSE(map.contains(Number{1}));
  EXPECT_TRUE(map.contains(Number{999}));
}

}  // namespace
}  // namespace raylet
