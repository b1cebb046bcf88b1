#include "fashion_mnist/idx_reader.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>

namespace fashion {
namespace {

// An IDX file opens with two zero bytes, the type of its elements (8: unsigned byte) and the number of its dimensions.
// Then come one big-endian 32-bit size per dimension, and the elements.
constexpr uint32_t kMagicLabels = 0x00000801;
constexpr uint32_t kMagicImages = 0x00000803;

// A header may claim anything; memory is only promised for this much, and only as the bytes arrive.
constexpr uint32_t kCountMax = 10'000'000;
constexpr size_t kChunkBytes = size_t{1} << 20;

struct GzClose {
  void operator()(gzFile file) const { gzclose(file); }
};

class IdxFile {
 public:
  explicit IdxFile(const std::string& path) : path_(path) {
    errno = 0;
    file_.reset(gzopen(path.c_str(), "rb"));
    if (file_) return;
    const int error = errno;
    if (error == ENOENT || error == ENOTDIR) {
      throw DatasetError("The data file " + path +
                         " is missing. Install the data set with `apt-get install dataset-fashion-mnist`, or name the "
                         "folder that holds it.");
    }
    throw DatasetError("The data file " + path + " cannot be opened: " + std::strerror(error) + ".");
  }

  // Throws unless the file gives all of the bytes asked for.
  void Read(std::span<uint8_t> out, const char* what) {
    while (!out.empty()) {
      const size_t got = ReadSome(out.first(std::min(out.size(), kChunkBytes)));
      if (got == 0) {
        Fail(offset_, "ends inside the " + std::string(what) + ", " + std::to_string(out.size()) + " bytes too early");
      }
      out = out.subspan(got);
    }
  }

  uint32_t ReadSize(const char* what) {
    std::array<uint8_t, 4> bytes{};
    Read(bytes, what);
    return uint32_t{bytes[0]} << 24 | uint32_t{bytes[1]} << 16 | uint32_t{bytes[2]} << 8 | uint32_t{bytes[3]};
  }

  void ExpectSize(const char* what, uint32_t expected) {
    const uint64_t at = offset_;
    const uint32_t found = ReadSize(what);
    if (found != expected) {
      Fail(at,
           "has " + std::to_string(found) + " as its " + what + " where " + std::to_string(expected) + " is expected");
    }
  }

  uint32_t ReadCount() {
    const uint64_t at = offset_;
    const uint32_t count = ReadSize("count");
    if (count == 0 || count > kCountMax) {
      Fail(at, "claims " + std::to_string(count) + " entries; this reader takes 1 to " + std::to_string(kCountMax));
    }
    return count;
  }

  // The rest of the file, which must be exactly count entries. Grows with what arrives, not with what is claimed.
  std::vector<uint8_t> ReadBody(size_t bytes, const char* what) {
    std::vector<uint8_t> body;
    while (body.size() < bytes) {
      const size_t done = body.size();
      body.resize(std::min(bytes, std::max(2 * done, kChunkBytes)));
      Read(std::span(body).subspan(done), what);
    }
    uint8_t extra = 0;
    const uint64_t at = offset_;
    // Asking past the end also makes zlib compare the checksum of the whole file.
    if (ReadSome({&extra, 1}) != 0) Fail(at, std::string("has bytes after the last of its ") + what);
    return body;
  }

  [[noreturn]] void Fail(uint64_t offset, const std::string& how) const {
    throw DatasetError("The data file " + path_ + " is corrupt at offset " + std::to_string(offset) +
                       " of its uncompressed bytes: it " + how +
                       ". Install it again with `apt-get install --reinstall dataset-fashion-mnist`.");
  }

 private:
  // Returns 0 at the end of the file.
  size_t ReadSome(std::span<uint8_t> out) {
    const int got = gzread(file_.get(), out.data(), static_cast<unsigned>(out.size()));
    int code = Z_OK;
    const char* message = gzerror(file_.get(), &code);
    if (got < 0 || (code != Z_OK && code != Z_STREAM_END && code != Z_BUF_ERROR)) {
      Fail(offset_, std::string("does not decompress (") + (code == Z_ERRNO ? std::strerror(errno) : message) + ")");
    }
    // A short read with Z_BUF_ERROR is a gzip stream cut off: give the bytes, then say so when more are asked for.
    if (got == 0 && code == Z_BUF_ERROR) Fail(offset_, "ends in the middle of its gzip stream");
    offset_ += static_cast<uint64_t>(got);
    return static_cast<size_t>(got);
  }

  std::string path_;
  std::unique_ptr<gzFile_s, GzClose> file_;
  uint64_t offset_ = 0;  // of the uncompressed bytes
};

Dataset ReadHalf(const std::string& folder, const std::string& prefix) {
  const std::string images = folder + "/" + prefix + "-images-idx3-ubyte.gz";
  const std::string labels = folder + "/" + prefix + "-labels-idx1-ubyte.gz";
  Dataset half{ReadImages(images), ReadLabels(labels)};
  const size_t count = half.pixels.size() / kPixels;
  if (count != half.labels.size()) {
    throw DatasetError("The data files " + images + " and " + labels + " do not belong together: one holds " +
                       std::to_string(count) + " images, the other " + std::to_string(half.labels.size()) + " labels.");
  }
  return half;
}

}  // namespace

std::vector<uint8_t> ReadImages(const std::string& path) {
  IdxFile file(path);
  file.ExpectSize("magic number", kMagicImages);
  const uint32_t count = file.ReadCount();
  file.ExpectSize("number of rows", kImageSide);
  file.ExpectSize("number of columns", kImageSide);
  return file.ReadBody(size_t{count} * kPixels, "pixels");
}

std::vector<uint8_t> ReadLabels(const std::string& path) {
  IdxFile file(path);
  file.ExpectSize("magic number", kMagicLabels);
  const uint32_t count = file.ReadCount();
  std::vector<uint8_t> labels = file.ReadBody(count, "labels");
  const auto bad = std::find_if(labels.begin(), labels.end(), [](uint8_t label) { return label >= kClasses; });
  if (bad != labels.end()) {
    const auto index = static_cast<uint64_t>(bad - labels.begin());
    file.Fail(8 + index, "has the label " + std::to_string(*bad) + " where 0 to " + std::to_string(kClasses - 1) +
                             " are expected");
  }
  return labels;
}

Dataset ReadTrainingSet(const std::string& folder) { return ReadHalf(folder, "train"); }
Dataset ReadTestSet(const std::string& folder) { return ReadHalf(folder, "t10k"); }

}  // namespace fashion
