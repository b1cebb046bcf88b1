// Files of checkpoints: what is written comes back, and what is damaged, truncated or of another server is refused.
#include "client/parameter_server/checkpoint.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "tests/client/parameter_server/message_of.h"
#include "tests/harness/run_folder.h"

namespace checkpoint_test {

using parameter_server_test::MessageOf;
using ray::ps::internal::CheckpointOf;
using ray::ps::internal::CheckpointPath;
using ray::ps::internal::ReadCheckpoint;
using ray::ps::internal::ReadCheckpointHead;
using ray::ps::internal::UpdateCount;
using ray::ps::internal::WriteCheckpoint;

class CheckpointTest : public testing::Test {
 protected:
  CheckpointTest() {
    of.size = 3;
    of.element_bytes = sizeof(float);
    of.slots = 1;
    of.run = 99;
    of.version = 7;
    of.steps = 6;
    WriteCheckpoint(file, of, {std::as_bytes(std::span(values)), std::as_bytes(std::span(slot))});
  }
  std::string Read(const CheckpointOf& wanted) {
    return MessageOf([&] {
      ReadCheckpoint(file, wanted,
                     {std::as_writable_bytes(std::span(values)), std::as_writable_bytes(std::span(slot))});
    });
  }

  raylet::test::RunFolder folder;
  const std::string file = CheckpointPath(folder.File("model"), 0, 1);
  std::vector<float> values = {1, 2, 3};
  std::vector<float> slot = {4, 5, 6};
  CheckpointOf of;
};

TEST_F(CheckpointTest, AWrittenCheckpointComesBack) {
  EXPECT_EQ(std::filesystem::path(file).filename(), "model.shard-0-of-1");
  std::vector<float> first(3), second(3);
  CheckpointOf wanted = of;
  wanted.run = wanted.version = wanted.steps = 0;
  const CheckpointOf read = ReadCheckpoint(
      file, wanted, {std::as_writable_bytes(std::span(first)), std::as_writable_bytes(std::span(second))});
  EXPECT_EQ(first, values);
  EXPECT_EQ(second, slot);
  EXPECT_EQ(read.version, 7U);
  EXPECT_EQ(read.steps, 6U);
  CheckpointOf head;
  EXPECT_TRUE(ReadCheckpointHead(file, head));
  EXPECT_EQ(head.run, 99U);
  EXPECT_FALSE(ReadCheckpointHead(folder.File("none"), head));
  const auto files = std::filesystem::directory_iterator(std::filesystem::path(file).parent_path());
  EXPECT_EQ(std::distance(begin(files), end(files)), 1) << "a file was left beside it";
}

TEST_F(CheckpointTest, EachDamagedByteIsFound) {
  std::ifstream in(file, std::ios::binary);
  const std::string good((std::istreambuf_iterator<char>(in)), {});
  for (size_t i = 0; i < good.size(); ++i) {
    std::string bad = good;
    bad[i] ^= 0x10;
    std::ofstream(file, std::ios::binary) << bad;
    EXPECT_NE(Read(of), "nothing was thrown") << "byte " << i;
  }
  for (size_t size = 0; size < good.size(); ++size) {
    std::ofstream(file, std::ios::binary) << good.substr(0, size);
    EXPECT_NE(Read(of), "nothing was thrown") << size << " bytes";
  }
  std::ofstream(file, std::ios::binary) << good;
  EXPECT_EQ(Read(of), "nothing was thrown");
}

TEST_F(CheckpointTest, ErrorsNameTheFileAndWhatWasExpected) {
  CheckpointOf other = of;
  other.size = 4;
  EXPECT_EQ(Read(other), "the checkpoint " + file +
                             " holds 3 floats of shard 0 of 1 with optimizer 0 and 1 arrays of its state, and 4 floats "
                             "of shard 0 of 1 with optimizer 0 and 1 arrays of its state were expected");
  std::filesystem::resize_file(file, 120);
  EXPECT_EQ(Read(of), "the checkpoint " + file + " has 120 bytes, and 136 were expected: it is truncated or damaged");
  std::filesystem::resize_file(file, 100);
  EXPECT_EQ(Read(of), "the checkpoint " + file + " has 100 bytes, and its head has 104: it is truncated or damaged");
  std::ofstream(file, std::ios::binary) << "something else";
  EXPECT_EQ(Read(of), file + " is no checkpoint of a parameter server");
  std::filesystem::remove(file);
  EXPECT_EQ(Read(of), "cannot open the checkpoint " + file + ": No such file or directory");
  EXPECT_NE(
      MessageOf([&] { WriteCheckpoint(folder.File("none/x"), of, {}); }).find("none/x.new: No such file or directory"),
      std::string::npos);
}

TEST_F(CheckpointTest, ACountIsInTheFileAtOnce) {
  const std::string name = folder.File("count");
  UpdateCount one(name);
  one.counts().version = 5;
  UpdateCount two(name);
  EXPECT_EQ(two.counts().version, 5U);
  one.counts().version = 6;
  EXPECT_EQ(two.counts().version, 6U);
}

}  // namespace checkpoint_test
