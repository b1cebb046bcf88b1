#include "store/spill_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <vector>

#include "store/spill_io.h"
#include "tests/harness/run_folder.h"

namespace raylet::store {
namespace {

ObjectId NumberedId(uint8_t number) {
  ObjectId id;
  id.mutable_data()[0] = number;
  return id;
}

class SpillFileTest : public testing::Test {
 protected:
  SpillFileTest() : arena_(1 << 20) {
    for (size_t i = 0; i < arena_.size(); ++i) arena_[i] = static_cast<std::byte>(i * 131 >> 3);
    parts_ = {{NumberedId(1), 1000, 20, 0},
              {NumberedId(2), 0, 0, 4096},
              {NumberedId(3), 300'000, 0, 8192},
              {NumberedId(4), 0, 64, 400'000}};
    const auto bytes = WriteSpillFile(path_, 7, parts_, arena_.data());
    EXPECT_TRUE(bytes) << bytes.error().message;
    bytes_ = bytes.value_or(0);
  }
  // Into memory with other bytes.
  Result<void> Read(uint32_t row, const SpillDisk::Part& part, uint64_t file = 7) {
    read_.assign(arena_.size(), std::byte{0xee});
    return ReadSpilledObject(path_, {file, row}, part, read_.data());
  }
  void FlipByte(uint64_t offset) {
    std::fstream file(path_, std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(static_cast<std::streamoff>(offset));
    const char byte = static_cast<char>(file.get() ^ 1);
    file.seekp(static_cast<std::streamoff>(offset));
    file.put(byte);
  }

  test::RunFolder folder_;
  const std::string path_ = folder_.File("7.objects"), other_ = folder_.File("8.objects");
  std::vector<std::byte> arena_, read_;
  std::vector<SpillDisk::Part> parts_;
  uint64_t bytes_ = 0;
};

TEST_F(SpillFileTest, EachObjectComesBackAsItWas) {
  struct stat status {};
  ASSERT_EQ(::stat(path_.c_str(), &status), 0);
  EXPECT_EQ(static_cast<uint64_t>(status.st_size), bytes_);
  for (uint32_t row = 0; row < parts_.size(); ++row) {
    const SpillDisk::Part& part = parts_[row];
    const auto read = Read(row, part);
    ASSERT_TRUE(read) << read.error().message;
    const uint64_t size = SpilledBytes(part.data_bytes, part.metadata_bytes);
    EXPECT_EQ(std::memcmp(read_.data() + part.offset, arena_.data() + part.offset, size), 0) << "row " << row;
    EXPECT_EQ(read_[part.offset + size], std::byte{0xee}) << "nothing beyond it";
  }
}

TEST_F(SpillFileTest, ChecksumOfPiecesIsThatOfTheWhole) {
  const std::span<const std::byte> all(arena_);
  RunningSpillChecksum pieces;
  for (int round = 0; round < 2; ++round) {
    pieces.Add(all.first(100'001));
    pieces.Add({});
    pieces.Add(all.subspan(100'001));
    EXPECT_EQ(pieces.Take(), SpillChecksum(all));
  }
  EXPECT_EQ(pieces.Take(), SpillChecksum({}));
}

// They are written in steps of some objects each, or of some part of an object.
TEST_F(SpillFileTest, SmallAndLargeObjectsOfOneFileComeBack) {
  std::vector<SpillDisk::Part> parts;
  const auto add = [&](uint64_t data_bytes, uint32_t metadata_bytes) {
    parts.push_back({NumberedId(static_cast<uint8_t>(parts.size())), data_bytes, metadata_bytes, parts.size() * 64});
  };
  for (uint32_t i = 0; i < 600; ++i) add(i % 3 * 50, i % 2 * 10);
  for (const uint64_t bytes : {262'144, 262'145, 786'432, 900'001, 200'000, 200'000, 0}) add(bytes, 7);
  add(0, 300'000);
  add(1, 0);
  const auto bytes = WriteSpillFile(path_, 9, parts, arena_.data());
  ASSERT_TRUE(bytes) << bytes.error().message;
  EXPECT_EQ(std::filesystem::file_size(path_), *bytes);
  for (uint32_t row = 0; row < parts.size(); ++row) {
    const SpillDisk::Part& part = parts[row];
    const auto read = Read(row, part, 9);
    ASSERT_TRUE(read) << row << ": " << read.error().message;
    const uint64_t size = SpilledBytes(part.data_bytes, part.metadata_bytes);
    ASSERT_EQ(std::memcmp(read_.data() + part.offset, arena_.data() + part.offset, size), 0) << row;
  }
}

TEST_F(SpillFileTest, FileTakesThePlaceOfALongerOrAShorterOne) {
  for (const size_t before : {size_t{10}, size_t{1'000'000}}) {
    std::ofstream(other_, std::ios::binary | std::ios::trunc) << std::string(before, 'x');
    struct stat old {
    }, now{};
    ASSERT_EQ(::stat(other_.c_str(), &old), 0);
    const auto written = WriteSpillFile(other_, 8, parts_, arena_.data());
    ASSERT_TRUE(written) << written.error().message;
    ASSERT_EQ(::stat(other_.c_str(), &now), 0);
    EXPECT_EQ(old.st_ino, now.st_ino) << "written over";
    EXPECT_EQ(static_cast<uint64_t>(now.st_size), *written);
    read_.assign(arena_.size(), std::byte{0});
    for (uint32_t row = 0; row < parts_.size(); ++row)
      ASSERT_TRUE(ReadSpilledObject(other_, {8, row}, parts_[row], read_.data())) << "row " << row;
  }
}

TEST_F(SpillFileTest, CopyHasTheRowsThatWereAskedFor) {
  const std::vector<uint32_t> rows = {3, 0};
  const auto copied = CopySpillFile(path_, 7, rows, other_, 8);
  ASSERT_TRUE(copied) << copied.error().message;
  read_.assign(arena_.size(), std::byte{0});
  ASSERT_TRUE(ReadSpilledObject(other_, {8, 0}, parts_[3], read_.data()));
  ASSERT_TRUE(ReadSpilledObject(other_, {8, 1}, parts_[0], read_.data()));
  EXPECT_EQ(std::memcmp(read_.data(), arena_.data(), 1044), 0);
  EXPECT_FALSE(ReadSpilledObject(other_, {8, 2}, parts_[0], read_.data()));
}

TEST_F(SpillFileTest, NoChangedByteIsShown) {
  for (const uint64_t offset : {uint64_t{0}, uint64_t{9}, uint64_t{13}, uint64_t{25}, SpillRowOffset(0) + 3,
                                SpillRowOffset(0) + 40, SpillBodyOffset(4), SpillBodyOffset(4) + 1043}) {
    FlipByte(offset);
    const auto read = Read(0, parts_[0]);
    ASSERT_FALSE(read) << "byte " << offset;
    EXPECT_EQ(read.error().code, ErrorCode::kProtocolError) << read.error().message;
    FlipByte(offset);
    ASSERT_TRUE(Read(0, parts_[0])) << "byte " << offset;
  }
}

TEST_F(SpillFileTest, ShortOrMissingOrForeignFilesAreErrors) {
  EXPECT_EQ(Read(0, parts_[1]).error().code, ErrorCode::kProtocolError) << "another object";
  EXPECT_EQ(Read(0, parts_[0], 9).error().code, ErrorCode::kProtocolError) << "another file";
  EXPECT_EQ(Read(4, parts_[0]).error().code, ErrorCode::kProtocolError) << "no such row";
  ASSERT_EQ(::truncate(path_.c_str(), static_cast<off_t>(bytes_ - 1)), 0);
  EXPECT_EQ(Read(0, parts_[0]).error().code, ErrorCode::kProtocolError);
  ASSERT_EQ(::truncate(path_.c_str(), 10), 0);
  EXPECT_EQ(Read(0, parts_[0]).error().code, ErrorCode::kProtocolError);
  ASSERT_EQ(::unlink(path_.c_str()), 0);
  EXPECT_EQ(Read(0, parts_[0]).error().code, ErrorCode::kNotFound);
}

TEST_F(SpillFileTest, HeadThatNamesMoreBytesThanAFileCanHaveIsRefused) {
  SpillHead head;
  head.file = 7;
  head.file_bytes = ~uint64_t{0};
  head.rows = 1;
  Finish(head);
  const auto parsed = ParseSpillHead(std::as_bytes(std::span(&head, 1)), head.file, head.file_bytes);
  ASSERT_FALSE(parsed);
  EXPECT_EQ(parsed.error().code, ErrorCode::kProtocolError);
}

TEST_F(SpillFileTest, FileThatCannotBeMadeNamesTheReason) {
  const auto written = WriteSpillFile(folder_.File("absent") + "/1.objects", 1, parts_, arena_.data());
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().code, ErrorCode::kIo);
  EXPECT_NE(written.error().message.find("No such file or directory"), std::string::npos) << written.error().message;
}

}  // namespace
}  // namespace raylet::store
