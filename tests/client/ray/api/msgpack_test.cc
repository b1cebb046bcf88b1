// The types that <ray/api.h> packs without another header, and that <msgpack.hpp> may follow it.
#include <ray/api.h>

#include <gtest/gtest.h>

#include <chrono>
#include <complex>
#include <cstddef>
#include <deque>
#include <forward_list>
#include <list>
#include <optional>
#include <set>
#include <unordered_set>

// After <ray/api.h>, as a program that packs types of Boost does it.
#include <boost/fusion/include/define_struct.hpp>
#include <boost/fusion/include/equal_to.hpp>
#include <msgpack.hpp>

BOOST_FUSION_DEFINE_STRUCT((), FusionPoint, (int, x)(int, y))

namespace {

using ray::internal::Serializer;

template <class T>
T ThereAndBack(const T& value) {
  const msgpack::sbuffer bytes = Serializer::Serialize(value);
  return Serializer::Deserialize<T>(bytes.data(), bytes.size());
}

template <class T>
void ExpectKept(const T& value) {
  EXPECT_EQ(ThereAndBack(value), value);
}

enum class Colour { kRed = 1, kBlue = 2 };

struct Nested {
  std::map<std::string, std::vector<double>> values;
  std::optional<int> maybe;
  Colour colour = Colour::kRed;
  bool operator==(const Nested&) const = default;
  MSGPACK_DEFINE(values, maybe, colour)
};

}  // namespace

MSGPACK_ADD_ENUM(Colour)

namespace {

TEST(Msgpack, KeepsEveryTypeOfTheStandardLibrary) {
  ExpectKept(std::deque<int>{1, 2});
  ExpectKept(std::list<std::string>{"a", "b"});
  ExpectKept(std::forward_list<int>{3, 4});
  ExpectKept(std::set<int>{5, 6});
  ExpectKept(std::multiset<int>{5, 5});
  ExpectKept(std::unordered_set<std::string>{"c"});
  ExpectKept(std::map<int, std::string>{{1, "x"}});
  ExpectKept(std::multimap<int, int>{{1, 2}, {1, 3}});
  ExpectKept(std::unordered_map<std::string, int>{{"y", 7}});
  ExpectKept(std::pair<int, std::string>{8, "z"});
  ExpectKept(std::tuple<int, double, std::string>{9, 1.5, "t"});
  ExpectKept(std::array<std::string, 2>{"d", "e"});
  ExpectKept(std::vector<bool>{true, false});
  ExpectKept(std::vector<std::byte>{std::byte{1}, std::byte{255}});
  ExpectKept(std::complex<double>{1, -2});
  ExpectKept(std::optional<std::string>{"here"});
  ExpectKept(std::optional<std::string>{});
  ExpectKept(std::wstring(L"wide"));
  ExpectKept(std::chrono::system_clock::time_point(std::chrono::seconds(1'700'000'000)));
  EXPECT_EQ(*ThereAndBack(std::make_shared<int>(10)), 10);
}

TEST(Msgpack, KeepsUserTypes) { ExpectKept(Nested{{{"w", {1, 2}}}, 5, Colour::kBlue}); }

TEST(Msgpack, KeepsAnOptionalOfBoost) {
  EXPECT_TRUE(ThereAndBack(boost::optional<int>(11)) == 11);
  EXPECT_FALSE(ThereAndBack(boost::optional<int>()));
}

TEST(Msgpack, KeepsTypesOfBoostWhereTheWholeOfMsgpackFollows) {
  const FusionPoint kept = ThereAndBack(FusionPoint(1, 2));
  EXPECT_EQ(kept.x, 1);
  EXPECT_EQ(kept.y, 2);
}

}  // namespace
