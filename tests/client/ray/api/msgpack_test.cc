// The types that <ray/api.h> packs without another header, and that <msgpack.hpp> may follow it.
#include <ray/api.h>

#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <complex>
#include <cstddef>
#include <deque>
#include <forward_list>
#include <list>
#include <optional>
#include <set>
#include <string>
#include <typeinfo>
#include <unordered_set>
#include <vector>

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

// What msgpack-c makes of these bytes as a T, or why not.
template <class T>
std::string ByMsgpack(const std::string& bytes) {
  try {
    size_t offset = 0;
    const msgpack::unpack_limit bounded(bytes.size(), bytes.size(), bytes.size(), bytes.size(), bytes.size(), 8);
    const auto handle = msgpack::unpack(bytes.data(), bytes.size(), offset, nullptr, nullptr, bounded);
    const auto type = handle.get().type;
    const bool real = type == msgpack::type::FLOAT32 || type == msgpack::type::FLOAT64;
    if (real && std::is_integral_v<T> && handle->via.f64 != std::trunc(handle->via.f64)) return "refused";
    const T value = real ? static_cast<T>(handle->via.f64) : handle->as<T>();
    return std::to_string(value) + " behind " + std::to_string(offset);
  } catch (const msgpack::type_error&) {
    return "refused";
  } catch (const msgpack::unpack_error&) {
    return "refused";
  }
}

template <class T>
std::string ByUs(const std::string& bytes) {
  try {
    size_t offset = 0;
    const T value = Serializer::Deserialize<T>(bytes.data(), bytes.size(), &offset);
    return std::to_string(value) + " behind " + std::to_string(offset);
  } catch (const ray::internal::RayException&) {
    return "refused";
  }
}

template <class T>
void ExpectReadAlike(const std::string& bytes) {
  EXPECT_EQ(ByUs<T>(bytes), ByMsgpack<T>(bytes)) << typeid(T).name() << " from " << ::testing::PrintToString(bytes);
}

TEST(Msgpack, NumbersAreReadAsMsgpackReadsThem) {
  std::vector<std::string> all;
  // Each first byte before bytes of each kind, whole and cut off.
  for (int first = 0; first < 256; ++first)
    for (const char* rest :
         {"\x00\x00\x00\x00\x00\x00\x00\x01", "\x7f\xff\xff\xff\xff\xff\xff\xff", "\x80\x00\x00\x00\x00\x00\x00\x00",
          "\xff\xff\xff\xff\xff\xff\xff\xff", "\x40\x45\x00\x00\x00\x00\x00\x00", "\x42\x28\x00\x00\x00\x00\x00\x00"})
      for (const size_t length : {0, 1, 2, 3, 4, 7, 8}) {
        if (length != 0 && (first < 0x80 || first >= 0xd4)) continue;  // what follows is no part of the number
        all.push_back(std::string(1, static_cast<char>(first)) + std::string(rest, length));
      }
  all.emplace_back();
  for (const std::string& bytes : all) {
    // A real number beyond an integer's range is refused by us, and undefined with msgpack-c.
    const bool real = !bytes.empty() && (bytes[0] == '\xca' || bytes[0] == '\xcb');
    const bool small = real && (bytes[1] == '\x40' || bytes[1] == '\x42' || bytes[1] == '\x00');
    if (!real || bytes.size() == 1 || small) {
      ExpectReadAlike<int64_t>(bytes);
      ExpectReadAlike<uint64_t>(bytes);
    }
    if (real) {
      ExpectReadAlike<double>(bytes);
      continue;
    }
    ExpectReadAlike<char>(bytes);
    ExpectReadAlike<int8_t>(bytes);
    ExpectReadAlike<uint8_t>(bytes);
    ExpectReadAlike<int16_t>(bytes);
    ExpectReadAlike<uint16_t>(bytes);
    ExpectReadAlike<int32_t>(bytes);
    ExpectReadAlike<uint32_t>(bytes);
    ExpectReadAlike<double>(bytes);
    ExpectReadAlike<float>(bytes);
  }
}

// What msgpack-c reads as an extension of this kind: its body, and the bytes it takes.
std::optional<std::pair<std::string, size_t>> ExtensionByMsgpack(const std::string& bytes, int8_t kind) {
  try {
    size_t offset = 0;
    const auto handle = msgpack::unpack(bytes.data(), bytes.size(), offset);
    if (handle->type != msgpack::type::EXT || handle->via.ext.type() != kind) return {};
    return std::pair(std::string(handle->via.ext.data(), handle->via.ext.size), offset);
  } catch (const msgpack::unpack_error&) {
    return {};
  }
}

TEST(Msgpack, ShortExtensionsAreReadAsMsgpackReadsThem) {
  size_t read = 0;
  for (const size_t length : {0, 1, 16, 20, 28, 255})
    for (const char written : {'A', 'R'}) {
      msgpack::sbuffer buffer;
      msgpack::packer packer(buffer);
      packer.pack_ext(length, written);
      packer.pack_ext_body(std::string(length, 'x').data(), static_cast<uint32_t>(length));
      const std::string whole = std::string(buffer.data(), buffer.size()) + "behind";
      for (size_t cut = 0; cut <= whole.size(); ++cut) {
        const std::string bytes = whole.substr(0, cut);
        const auto found = ray::internal::ReadExtension(bytes, 'A');
        const auto expected = ExtensionByMsgpack(bytes, 'A');
        // Those of 1, 2, 4, 8 and 16 bytes are left to msgpack-c.
        if (found.bytes == 0) {
          EXPECT_TRUE(!expected || length == 1 || length == 16) << length << " bytes, cut at " << cut;
          continue;
        }
        ++read;
        ASSERT_TRUE(expected) << length << " bytes, cut at " << cut;
        EXPECT_EQ(std::pair(std::string(found.body), found.bytes), *expected) << length << " bytes, cut at " << cut;
      }
    }
  EXPECT_EQ(read, 4 * 7U);  // four lengths, each whole and with up to six bytes behind it
  const std::string bytes = "\xc7";
  EXPECT_EQ(ray::internal::ReadExtension(bytes, 'A').bytes, 0U);
}

}  // namespace
