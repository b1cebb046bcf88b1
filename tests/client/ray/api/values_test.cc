// Values are what went in, in process; and what the library does to msgpack-c binds its own streams alone.
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <ray/api.h>

#include "tests/client/ray/api/local_mode.h"
#include "tests/client/ray/api/plain_msgpack.h"
#include "tests/client/ray/api/round_trips.h"

namespace values_test {

class ValuesTest : public ray_test::InLocalMode {};

TEST_F(ValuesTest, NumbersComeBackWithTheirBits) { round_trips::ExpectNumbersKept(); }
TEST_F(ValuesTest, NumbersInContainersComeBackWithTheirBits) { round_trips::ExpectContainersKept(); }
TEST_F(ValuesTest, UserTypesComeBackWithTheirBits) { round_trips::ExpectUserTypesKept(); }
TEST_F(ValuesTest, OptionalsComeBackAsPresentAsTheyWere) { round_trips::ExpectOptionalsKept(); }
TEST_F(ValuesTest, AnyComesBackWithItsType) { round_trips::ExpectAnyKept(); }
TEST_F(ValuesTest, LargeVectorsAndStringsComeBackAsTheyWere) { round_trips::ExpectLargeKept(); }
TEST_F(ValuesTest, AValueThatWouldComeBackOtherwiseIsRefused) { round_trips::ExpectLossRefused(); }
TEST_F(ValuesTest, AnExceptionWithoutTextIsToldByItsType) { round_trips::ExpectNullWhatTold(); }

// plain_msgpack.cc knows <msgpack.hpp> alone. It packs the same types with the same stream here and there.
TEST(Values, AProgramsOwnUseOfMsgpackIsAsItWas) {
  const auto pack_here = [](const auto& value) {
    msgpack::sbuffer buffer;
    msgpack::pack(buffer, value);
    return std::string(buffer.data(), buffer.size());
  };
  EXPECT_EQ(pack_here(-0.0), PackPlainly(-0.0));
  EXPECT_EQ(pack_here(3.0f), PackPlainly(3.0f));
  const std::optional<std::optional<int>> present(std::in_place, std::nullopt);
  EXPECT_EQ(pack_here(present), PackPlainly(present));
  EXPECT_EQ(PackPlainly(present), "\xc0") << "no exception either";
  const std::string kept = ray::internal::PackBytes(-0.0);
  EXPECT_EQ(kept, std::string("\x01\xcb\x80\0\0\0\0\0\0\0", 10));
}

TEST(Values, ALargeVectorOrStringIsNotCopiedToBePacked) {
  using ray::internal::kRestBytesMin;
  const std::vector<double> numbers(kRestBytesMin / sizeof(double), 3);
  ray::internal::Packed packed = ray::internal::PackInPlace(numbers);
  EXPECT_EQ(static_cast<const void*>(packed.rest.data()), numbers.data());
  EXPECT_EQ(packed.size(), ray::internal::PackBytes(numbers).size());
  packed.KeepRest();
  EXPECT_EQ(packed.bytes, ray::internal::PackBytes(numbers));
  EXPECT_TRUE(packed.rest.empty());

  std::string text(kRestBytesMin, 'x');
  const void* const place = text.data();
  packed = ray::internal::PackMoved(std::move(text));
  EXPECT_EQ(static_cast<const void*>(packed.rest.data()), place);
  EXPECT_NE(packed.rest_owner, nullptr);

  packed = ray::internal::PackInPlace(std::string(kRestBytesMin - 1, 'x'));
  EXPECT_TRUE(packed.rest.empty()) << "a small one is in one piece";
}

TEST(Values, BytesOfAnotherProcessThatAreNoOptionalAreRefused) {
  using MaybeMaybe = std::optional<std::optional<int>>;
  for (const std::string& bytes : {std::string(), std::string("\x04"), std::string("\x04\x04\x04\x01\xc0"),
                                   std::string("\x01"), std::string("\x01\xc0\xc0"), std::string("\x05\x01\xc0"),
                                   std::string("\x04\x01\x93"), std::string(100'000, '\x04')})
    EXPECT_THROW(ray::internal::UnpackBytes<MaybeMaybe>(bytes), ray::internal::RayException) << bytes.size();
  for (const std::string& bytes :
       {std::string("\x01\xca\0\0\0", 5), std::string("\x01\xca\0\0\0\0\0", 7), std::string("\x02\xca\0\0\0\0", 6)})
    EXPECT_THROW(ray::internal::UnpackBytes<float>(bytes), ray::internal::RayException) << bytes.size();
}

}  // namespace values_test
