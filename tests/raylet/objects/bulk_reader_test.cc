#include "raylet/objects/bulk_reader.h"

#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <random>
#include <vector>

#include "fbs/messages.h"

namespace raylet {
namespace {

// Objects of 100,000 bytes; 0 is nobody's.
class Objects final : public BulkReader::Sink {
 public:
  Result<std::span<std::byte>> PlaceFor(uint64_t pull, uint64_t offset, uint64_t bytes) override {
    if (pull == 0) return std::span<std::byte>();
    auto& object = objects[pull];
    object.resize(std::max<size_t>(object.size(), 100'000));
    if (offset + bytes > object.size()) return Fail(ErrorCode::kProtocolError, "outside");
    return std::span(object).subspan(offset, bytes);
  }
  Result<void> OnChunk(uint64_t, uint64_t, std::span<const std::byte> bytes, uint64_t checksum) override {
    chunks.emplace_back(bytes.size(), checksum);
    return {};
  }
  Result<void> OnMessage(const FrameHeader& header, std::span<const std::byte>) override {
    messages.push_back(header.request_id);
    return {};
  }

  std::map<uint64_t, std::vector<std::byte>> objects;
  std::vector<std::pair<size_t, uint64_t>> chunks;
  std::vector<uint64_t> messages;
};

void AppendChunk(std::vector<std::byte>& out, uint64_t pull, uint64_t offset, uint64_t checksum,
                 std::span<const std::byte> bytes) {
  const wire::ChunkHeader header(offset, checksum);
  std::vector<std::byte> body(sizeof header);
  std::memcpy(body.data(), &header, sizeof header);
  body.insert(body.end(), bytes.begin(), bytes.end());
  AppendFrame(out, static_cast<uint16_t>(wire::BulkMessage::PullChunk), pull, body);
}

// Reads `stream` in pieces of at most `piece` bytes, as a socket would give them.
Result<void> Feed(BulkReader& reader, std::span<const std::byte> stream, std::mt19937& random, size_t piece) {
  while (!stream.empty()) {
    size_t left = std::min(stream.size(), 1 + random() % piece), read = 0;
    for (const iovec& room : reader.Room()) {
      const size_t bytes = std::min(left - read, room.iov_len);
      std::memcpy(room.iov_base, stream.data() + read, bytes);
      read += bytes;
    }
    stream = stream.subspan(read);
    RAYLET_RETURN_IF_ERROR(reader.Took(read));
  }
  return {};
}

TEST(BulkReader, PutsChunksWhereTheyBelongHoweverTheStreamIsCut) {
  std::mt19937 random(1);
  std::vector<std::byte> object(100'000);
  for (std::byte& each : object) each = static_cast<std::byte>(random());
  std::vector<std::byte> stream;
  std::vector<std::pair<size_t, uint64_t>> chunks;
  std::vector<uint64_t> messages;
  for (uint64_t i = 0; i < 150; ++i) {
    const size_t offset = random() % object.size();
    const size_t bytes =
        std::min<size_t>(object.size() - offset, random() % 4 == 0 ? random() % 60'000 : random() % 50);
    switch (random() % 3) {
      case 0: {
        wire::PullHeaderT header;
        header.data_bytes = i;
        AppendFrame(stream, static_cast<uint16_t>(wire::BulkMessage::PullHeader), i, Encode(header));
        messages.push_back(i);
        break;
      }
      case 1:
        AppendChunk(stream, 7, offset, i, std::span(object).subspan(offset, bytes));
        chunks.emplace_back(bytes, i);
        break;
      case 2: AppendChunk(stream, 0, offset, i, std::span(object).subspan(offset, bytes)); break;
    }
  }
  for (const size_t piece : {1UL, 7UL, 100UL, 5000UL, 300'000UL}) {
    Objects sink;
    BulkReader reader(sink);
    ASSERT_TRUE(Feed(reader, stream, random, piece));
    EXPECT_EQ(sink.chunks, chunks);
    EXPECT_EQ(sink.messages, messages);
    for (size_t at = 0; at < object.size(); ++at) {
      const std::byte got = sink.objects[7][at];
      ASSERT_TRUE(got == object[at] || got == std::byte{0});
    }
  }
}

TEST(BulkReader, AForgottenChunkIsReadAndDropped) {
  std::mt19937 random(1);
  Objects sink;
  BulkReader reader(sink);
  std::vector<std::byte> stream;
  AppendChunk(stream, 3, 0, 1, std::vector<std::byte>(1000, std::byte{9}));
  const size_t half = stream.size() / 2;
  ASSERT_TRUE(Feed(reader, std::span(stream).first(half), random, 5000));
  reader.Forget(4);
  reader.Forget(3);
  sink.objects.clear();
  AppendChunk(stream, 5, 0, 2, {});
  ASSERT_TRUE(Feed(reader, std::span(stream).subspan(half), random, 5000));
  EXPECT_EQ(sink.chunks, (std::vector<std::pair<size_t, uint64_t>>{{0, 2}}));
}

TEST(BulkReader, AMessageTooLongOrTooShortEndsTheConnection) {
  std::mt19937 random(1);
  const auto fails = [&](wire::BulkMessage type, size_t body_bytes) {
    Objects sink;
    BulkReader reader(sink);
    std::vector<std::byte> stream;
    AppendFrame(stream, static_cast<uint16_t>(type), 1, std::vector<std::byte>(body_bytes));
    const auto fed = Feed(reader, stream, random, 1'000'000);
    return !fed && fed.error().code == ErrorCode::kProtocolError;
  };
  EXPECT_TRUE(fails(wire::BulkMessage::PullChunk, sizeof(wire::ChunkHeader) - 1));
  EXPECT_TRUE(fails(wire::BulkMessage::PullChunk, sizeof(wire::ChunkHeader) + kChunkBytesMax + 1));
  EXPECT_TRUE(fails(wire::BulkMessage::PullHeader, kBulkMessageBytesMax + 1));
  EXPECT_FALSE(fails(wire::BulkMessage::PullHeader, kBulkMessageBytesMax));
}

TEST(ObjectChunk, ChunksCoverAnObjectAndStopBetweenDataAndMetadata) {
  for (const ObjectSizes sizes : {ObjectSizes{0, 0}, ObjectSizes{kChunkBytes, 5}, ObjectSizes{3 * kChunkBytes + 1, 0},
                                  ObjectSizes{10, 2 * kChunkBytes + 7}}) {
    uint64_t offset = 0;
    while (const uint64_t bytes = ChunkBytesAt(sizes, offset)) {
      EXPECT_LE(bytes, kChunkBytes);
      EXPECT_TRUE(offset >= sizes.data_bytes || offset + bytes <= sizes.data_bytes);
      offset += bytes;
    }
    EXPECT_EQ(offset, sizes.total());
  }
}

TEST(ObjectChunk, AChecksumIsOfTheBytesAndOfTheirPlace) {
  const ObjectId object = ObjectId::FromRandom();
  std::vector<std::byte> bytes(1000, std::byte{7});
  const uint64_t checksum = ChunkChecksum(object, {5000, 10}, 256, bytes);
  EXPECT_EQ(ChunkChecksum(object, {5000, 10}, 256, bytes), checksum);
  EXPECT_NE(ChunkChecksum(ObjectId::FromRandom(), {5000, 10}, 256, bytes), checksum);
  EXPECT_NE(ChunkChecksum(object, {5001, 10}, 256, bytes), checksum);
  EXPECT_NE(ChunkChecksum(object, {5000, 11}, 256, bytes), checksum);
  EXPECT_NE(ChunkChecksum(object, {5000, 10}, 257, bytes), checksum);
  bytes[999] = std::byte{8};
  EXPECT_NE(ChunkChecksum(object, {5000, 10}, 256, bytes), checksum);
}

}  // namespace
}  // namespace raylet
