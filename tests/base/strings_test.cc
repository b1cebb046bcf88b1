#include "base/strings.h"

#include <gtest/gtest.h>

#include "base/result.h"

namespace raylet {
namespace {

TEST(StringsTest, StrCatJoinsTextAndNumbers) {
  EXPECT_EQ(StrCat("a", 1, std::string("b"), uint64_t{18446744073709551615U}, 'c', std::string_view("d")),
            "a1b18446744073709551615cd");
  EXPECT_EQ(StrCat(), "");
}

TEST(StringsTest, ByteCountsAreSaidForPeople) {
  EXPECT_EQ(FormatBytes(0), "0 B");
  EXPECT_EQ(FormatBytes(12), "12 B");
  EXPECT_EQ(FormatBytes(1023), "1023 B");
  EXPECT_EQ(FormatBytes(1024), "1.0 KiB");
  EXPECT_EQ(FormatBytes(416870), "407.1 KiB");
  EXPECT_EQ(FormatBytes(uint64_t{1} << 30), "1.0 GiB");
  EXPECT_EQ(FormatBytes((uint64_t{1} << 20) - 1), "1.0 MiB");
  EXPECT_EQ(FormatBytes(~uint64_t{0}), "16.0 EiB");
}

TEST(ResultTest, AnErrnoBecomesASentence) {
  const Result<int> result = FailErrno("cannot open the door", ENOENT);
  EXPECT_EQ(result.error().code, ErrorCode::kIo);
  EXPECT_EQ(result.error().message, "cannot open the door: No such file or directory");
}

TEST(ResultTest, EveryCodeHasAName) {
  for (uint16_t code = 0; code <= static_cast<uint16_t>(ErrorCode::kUnavailable); ++code) {
    EXPECT_NE(ErrorCodeName(static_cast<ErrorCode>(code)), "Unknown") << code;
  }
  EXPECT_EQ(ErrorCodeName(static_cast<ErrorCode>(9999)), "Unknown");
}

}  // namespace
}  // namespace raylet
