#include <gtest/gtest.h>
#include <zlib.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <string>

#include "fashion_mnist/idx_reader.h"
#include "tests/harness/run_folder.h"

namespace fashion {
namespace {

std::string BigEndian(uint32_t value) {
  std::string out;
  for (int shift = 24; shift >= 0; shift -= 8) out.push_back(static_cast<char>(value >> shift & 0xff));
  return out;
}

std::string ImagesFile(uint32_t count, uint32_t rows = 28, uint32_t columns = 28) {
  std::string out = BigEndian(0x803) + BigEndian(count) + BigEndian(rows) + BigEndian(columns);
  for (size_t i = 0; i < size_t{count} * rows * columns; ++i) out.push_back(static_cast<char>(i % 251));
  return out;
}

std::string LabelsFile(const std::string& labels) {
  return BigEndian(0x801) + BigEndian(static_cast<uint32_t>(labels.size())) + labels;
}

class FashionMnistIdxReader : public testing::Test {
 protected:
  std::string Write(const std::string& name, const std::string& bytes) {
    const std::string file_path = folder_.File(name);
    gzFile file = gzopen(file_path.c_str(), "wb");
    EXPECT_EQ(gzwrite(file, bytes.data(), static_cast<unsigned>(bytes.size())), static_cast<int>(bytes.size()));
    EXPECT_EQ(gzclose(file), Z_OK);
    return file_path;
  }

  const raylet::test::RunFolder folder_;
};

std::string ErrorOf(const std::function<void()>& read) {
  try {
    read();
  } catch (const DatasetError& error) {
    return error.what();
  }
  return "no error";
}

void ExpectContains(const std::string& text, const std::string& part) {
  EXPECT_NE(text.find(part), std::string::npos) << "in: " << text;
}

TEST_F(FashionMnistIdxReader, ReadsImagesAndLabelsAsTheyAre) {
  Write("train-images-idx3-ubyte.gz", ImagesFile(3));
  Write("train-labels-idx1-ubyte.gz", LabelsFile({0, 9, 4}));
  const Dataset data = ReadTrainingSet(folder_.path());
  EXPECT_EQ(data.labels, (std::vector<uint8_t>{0, 9, 4}));
  ASSERT_EQ(data.pixels.size(), 3 * kPixels);
  for (size_t i = 0; i < data.pixels.size(); ++i) ASSERT_EQ(data.pixels[i], i % 251);
  EXPECT_EQ(data.view().count(), 3U);
  EXPECT_EQ(data.view().First(2).pixels.size(), 2 * kPixels);
}

TEST_F(FashionMnistIdxReader, ReadsMoreThanOneChunk) {
  const std::string file = Write("images.gz", ImagesFile(3000));  // 2.2 MiB
  const std::vector<uint8_t> pixels = ReadImages(file);
  ASSERT_EQ(pixels.size(), 3000 * kPixels);
  for (size_t i = 0; i < pixels.size(); ++i) ASSERT_EQ(pixels[i], i % 251);
}

TEST_F(FashionMnistIdxReader, NamesTheMissingFileAndThePackage) {
  const std::string error = ErrorOf([&] { ReadTestSet(folder_.path()); });
  ExpectContains(error, folder_.File("t10k-images-idx3-ubyte.gz"));
  ExpectContains(error, "apt-get install dataset-fashion-mnist");
}

TEST_F(FashionMnistIdxReader, SaysWhyAFileCannotBeOpened) {
  const std::string file = folder_.File("loop");
  std::filesystem::create_symlink("loop", file);
  const std::string error = ErrorOf([&] { ReadImages(file); });
  ExpectContains(error, file + " cannot be opened: Too many levels of symbolic links");
}

TEST_F(FashionMnistIdxReader, RefusesAnotherMagicNumber) {
  const std::string labels = Write("labels.gz", LabelsFile({1, 2}));
  const std::string error = ErrorOf([&] { ReadImages(labels); });
  ExpectContains(error, labels);
  ExpectContains(error, "offset 0 ");
  ExpectContains(error, "2049 as its magic number where 2051 is expected");
}

TEST_F(FashionMnistIdxReader, RefusesImagesOfAnotherSize) {
  const std::string wide = Write("wide.gz", ImagesFile(2, 28, 29));
  ExpectContains(ErrorOf([&] { ReadImages(wide); }), "offset 12 ");
  const std::string low = Write("low.gz", ImagesFile(2, 27, 28));
  ExpectContains(ErrorOf([&] { ReadImages(low); }), "offset 8 ");
}

TEST_F(FashionMnistIdxReader, RefusesACountThatNoFileHolds) {
  std::string bytes = ImagesFile(1);
  bytes.replace(4, 4, BigEndian(0xffffffff));
  const std::string file = Write("huge.gz", bytes);
  ExpectContains(ErrorOf([&] { ReadImages(file); }), "offset 4 of its uncompressed bytes: it claims 4294967295");
  bytes.replace(4, 4, BigEndian(0));
  const std::string none = Write("none.gz", bytes);
  ExpectContains(ErrorOf([&] { ReadImages(none); }), "claims 0 entries");
}

TEST_F(FashionMnistIdxReader, RefusesFilesThatEndTooEarly) {
  const std::string whole = ImagesFile(2);
  const std::string body = Write("body.gz", whole.substr(0, whole.size() - 5));
  ExpectContains(ErrorOf([&] { ReadImages(body); }), "offset " + std::to_string(whole.size() - 5));
  const std::string header = Write("header.gz", whole.substr(0, 6));
  ExpectContains(ErrorOf([&] { ReadImages(header); }), "ends inside the count");
  const std::string empty = Write("empty.gz", "");
  ExpectContains(ErrorOf([&] { ReadImages(empty); }), "ends inside the magic number");
}

TEST_F(FashionMnistIdxReader, RefusesBytesAfterTheEnd) {
  const std::string file = Write("longer.gz", LabelsFile({1, 2}) + "x");
  const std::string error = ErrorOf([&] { ReadLabels(file); });
  ExpectContains(error, "offset 10 ");
  ExpectContains(error, "bytes after the last of its labels");
}

TEST_F(FashionMnistIdxReader, RefusesLabelsOutOfRange) {
  const std::string file = Write("labels.gz", LabelsFile({1, 10, 2}));
  const std::string error = ErrorOf([&] { ReadLabels(file); });
  ExpectContains(error, "offset 9 ");
  ExpectContains(error, "the label 10 where 0 to 9 are expected");
}

TEST_F(FashionMnistIdxReader, RefusesImagesAndLabelsThatDiffer) {
  Write("t10k-images-idx3-ubyte.gz", ImagesFile(3));
  Write("t10k-labels-idx1-ubyte.gz", LabelsFile({1, 2}));
  ExpectContains(ErrorOf([&] { ReadTestSet(folder_.path()); }), "one holds 3 images, the other 2 labels");
}

TEST_F(FashionMnistIdxReader, RefusesACutOrDamagedGzipStream) {
  const std::string file = Write("images.gz", ImagesFile(20));
  std::string compressed(std::filesystem::file_size(file), '\0');
  std::ifstream(file, std::ios::binary).read(compressed.data(), static_cast<std::streamsize>(compressed.size()));
  const auto rewrite = [&](const std::string& bytes) {
    std::ofstream(file, std::ios::binary | std::ios::trunc) << bytes;
    return ErrorOf([&] { ReadImages(file); });
  };
  EXPECT_EQ(rewrite(compressed), "no error");

  ExpectContains(rewrite(compressed.substr(0, compressed.size() / 2)), "corrupt at offset");
  ExpectContains(rewrite(compressed.substr(0, compressed.size() - 8)),
                 "corrupt at offset");  // no checksum
  std::string wrong_checksum = compressed;
  wrong_checksum[compressed.size() - 8] = static_cast<char>(wrong_checksum[compressed.size() - 8] ^ 1);
  ExpectContains(rewrite(wrong_checksum), "does not decompress");
}

}  // namespace
}  // namespace fashion
