#include "fbs/last_word.h"

#include <gtest/gtest.h>

#include <cstring>

#include "base/shm_segment.h"

namespace raylet {
namespace {

struct Page {
  explicit Page(size_t bytes = kDoorbellPageBytes)
      : fd(*CreateMemfd("doorbell", bytes, false)),
        memory(*Mapping::Map(fd.get(), bytes, Mapping::Access::kReadWrite)) {}
  std::optional<Error> Read() const { return ReadLastWord({memory.data(), memory.size()}); }
  UniqueFd fd;
  Mapping memory;
};

TEST(LastWord, ArrivesInTheOtherMapping) {
  const Page page;
  EXPECT_FALSE(page.Read().has_value());
  ASSERT_TRUE(LeaveLastWord(page.fd.get(), {ErrorCode::kSlowConsumer, "it took no byte"}));
  const auto word = page.Read();
  ASSERT_TRUE(word.has_value());
  EXPECT_EQ(word->code, ErrorCode::kSlowConsumer);
  EXPECT_EQ(word->message, "it took no byte");
  EXPECT_EQ(page.memory.As<Doorbell>()->rings.load(), 0U);
}

TEST(LastWord, IsCutWhereItIsTooLong) {
  const Page page;
  ASSERT_TRUE(LeaveLastWord(page.fd.get(), {ErrorCode::kProtocolError, std::string(5000, 'x')}));
  EXPECT_EQ(page.Read()->message, std::string(kLastWordTextBytesMax, 'x'));
}

TEST(LastWord, IsNotSaidWhereThereIsNoRoom) {
  const Page page(sizeof(Doorbell));
  ASSERT_TRUE(LeaveLastWord(page.fd.get(), {ErrorCode::kSlowConsumer, "why"}));
  EXPECT_FALSE(page.Read().has_value());
  EXPECT_EQ(*FileSize(page.fd.get()), sizeof(Doorbell));
}

TEST(LastWord, IsIgnoredWhereItMakesNoSense) {
  const Page page;
  auto* const word = reinterpret_cast<LastWord*>(page.memory.data() + kLastWordOffset);
  word->code = 1000;
  EXPECT_FALSE(page.Read().has_value());
  word->code = 1;
  word->text_bytes = kLastWordTextBytesMax + 1;
  EXPECT_FALSE(page.Read().has_value());
}

}  // namespace
}  // namespace raylet
