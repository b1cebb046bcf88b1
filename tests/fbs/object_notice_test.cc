#include "fbs/object_notice.h"

#include <gtest/gtest.h>

#include <span>

namespace raylet {
namespace {

TEST(ObjectNotice, ComesBackAsItWasWritten) {
  const auto id = ObjectId::FromRandom();
  for (const ObjectNotice& notice : {ObjectNotice{id, 0, 0}, ObjectNotice{id, int64_t{1} << 40, 7}, GoneNotice(id)}) {
    std::vector<std::byte> bytes;
    AppendNotice(bytes, notice);
    const auto length = NoticeContentBytes(bytes);
    ASSERT_TRUE(length);
    ASSERT_EQ(bytes.size(), kNoticeLengthBytes + *length);
    const auto content = std::span<const std::byte>(bytes).subspan(kNoticeLengthBytes);
    EXPECT_EQ(*ParseNotice(content), notice);
    EXPECT_EQ(*ParseNoticeAt(reinterpret_cast<const uint8_t*>(content.data())), notice);
    for (size_t size = 0; size < content.size(); ++size) EXPECT_FALSE(ParseNotice(content.first(size)));
  }
}

TEST(ObjectNotice, NoObjectHasANegativeSize) {
  for (const auto& [data, metadata] : {std::pair<int64_t, int64_t>{-2, -2}, {-1, 0}, {0, -1}, {5, -7}}) {
    std::vector<std::byte> bytes;
    AppendNotice(bytes, {ObjectId::FromRandom(), data, metadata});
    EXPECT_EQ(ParseNotice(std::span(bytes).subspan(kNoticeLengthBytes)).error().code, ErrorCode::kProtocolError);
  }
}

TEST(ObjectNotice, LengthsThatNoNoticeHasAreRefused) {
  for (const uint64_t length : {uint64_t{0}, uint64_t{3}, uint64_t{kNoticeContentBytesMax + 1}, ~uint64_t{0}})
    EXPECT_FALSE(NoticeContentBytes(std::as_bytes(std::span(&length, 1))));
  const uint32_t long_message = 1 << 30;
  EXPECT_FALSE(ParseNoticeAt(reinterpret_cast<const uint8_t*>(&long_message)));
}

}  // namespace
}  // namespace raylet
