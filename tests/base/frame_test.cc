#include "base/frame.h"

#include "testing.h"

namespace raylet {
namespace {

struct Stream {
  std::vector<std::byte> bytes;
  std::vector<std::vector<std::byte>> bodies;
};

Stream RandomStream(std::mt19937_64& random, size_t frames) {
  Stream stream;
  for (size_t i = 0; i < frames; ++i) {
    const size_t size = random() % 4 == 0 ? 0 : random() % 3000;
    stream.bodies.push_back(RandomBytes(random, size));
    AppendFrame(stream.bytes, static_cast<uint16_t>(i), i * 7, stream.bodies.back());
  }
  return stream;
}

TEST(FrameTest, AnySplitOfTheBytesGivesTheSameFrames) {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    const Stream stream = RandomStream(random, 1 + random() % 20);
    const size_t piece_max = 1 + random() % (seed % 3 == 0 ? 3 : 5000);
    FrameParser parser;
    size_t fed = 0;
    size_t taken = 0;
    while (taken < stream.bodies.size()) {
      const auto frame = parser.Next();
      ASSERT_TRUE(frame);
      if (!frame->has_value()) {
        ASSERT_LT(fed, stream.bytes.size()) << "frames are missing";
        const size_t piece = std::min(stream.bytes.size() - fed, 1 + random() % piece_max);
        parser.Feed(std::span(stream.bytes).subspan(fed, piece));
        fed += piece;
        continue;
      }
      EXPECT_EQ((*frame)->header.type, taken);
      EXPECT_EQ((*frame)->header.request_id, taken * 7);
      ASSERT_EQ((*frame)->body, stream.bodies[taken]);
      ++taken;
    }
    EXPECT_EQ(parser.buffered_bytes(), 0U);
    EXPECT_EQ(fed, stream.bytes.size());
  }
}

TEST(FrameTest, AHeaderThatAnnouncesTooMuchFailsForGood) {
  FrameParser parser(100);
  std::vector<std::byte> bytes;
  AppendFrame(bytes, 1, 1, Bytes(std::string(100, 'x')));
  AppendFrame(bytes, 9, 1, Bytes(std::string(101, 'x')));
  parser.Feed(bytes);
  ASSERT_TRUE(parser.Next().value().has_value());
  const auto failed = parser.Next();
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, ErrorCode::kProtocolError);
  EXPECT_EQ(failed.error().message, "a frame of type 9 announces 101 bytes; at most 100 are taken");
  std::vector<std::byte> good;
  AppendFrame(good, 1, 1, {});
  parser.Feed(good);
  EXPECT_FALSE(parser.Next());
  EXPECT_EQ(parser.buffered_bytes(), 0U);
}

TEST(FrameTest, TheHeaderAloneIsEnoughToRefuse) {
  FrameParser parser;
  const std::vector<std::byte> all_ones(sizeof(FrameHeader), std::byte{0xff});
  parser.Feed(all_ones);
  EXPECT_FALSE(parser.Next());
}

TEST(FrameTest, UnknownFlagsAreIgnored) {
  std::vector<std::byte> bytes;
  AppendFrame(bytes, 1, 5, Bytes("abc"));
  bytes[offsetof(FrameHeader, flags)] = std::byte{0xff};
  FrameParser parser;
  parser.Feed(bytes);
  EXPECT_EQ(parser.Next().value()->body, Bytes("abc"));
}

TEST(FrameTest, RandomBytesNeverDoHarm) {
  for (uint64_t seed = 0; seed < 300; ++seed) {
    std::mt19937_64 random(seed);
    FrameParser parser(1 << 16);
    for (int i = 0; i < 50; ++i) {
      parser.Feed(RandomBytes(random, random() % 100));
      const auto frame = parser.Next();
      if (!frame) break;
      EXPECT_TRUE(!frame->has_value() || (*frame)->body.size() <= size_t{1} << 16);
    }
  }
}

TEST(FrameTest, HoldsNoMoreThanWasFedAndNotTaken) {
  FrameParser parser;
  std::vector<std::byte> bytes;
  AppendFrame(bytes, 1, 1, Bytes(std::string(5000, 'x')));
  for (int i = 0; i < 1000; ++i) {
    parser.Feed(std::span(bytes).first(3000));
    EXPECT_EQ(parser.buffered_bytes(), 3000U);
    ASSERT_FALSE(parser.Next().value().has_value());
    parser.Feed(std::span(bytes).subspan(3000));
    ASSERT_TRUE(parser.Next().value().has_value());
    EXPECT_EQ(parser.buffered_bytes(), 0U);
  }
}

}  // namespace
}  // namespace raylet
