// Reads the gzipped IDX files of Fashion-MNIST. Every byte is checked before use. An error names the file, the offset
// in its uncompressed bytes, and what was expected there. Any thread may call these.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

namespace fashion {

inline constexpr const char* kDefaultFolder = "/usr/share/datasets/fashion-mnist";
inline constexpr size_t kImageSide = 28;
inline constexpr size_t kPixels = kImageSide * kImageSide;
inline constexpr size_t kClasses = 10;

// A file is missing or malformed. what() is a sentence for the person who runs the program.
struct DatasetError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Images of somebody else's memory (a Dataset, or an object of the store), kPixels bytes each, one label per image.
struct DatasetView {
  std::span<const uint8_t> pixels;
  std::span<const uint8_t> labels;

  size_t count() const { return labels.size(); }
  DatasetView First(size_t images) const { return {pixels.first(images * kPixels), labels.first(images)}; }
};

struct Dataset {
  std::vector<uint8_t> pixels;
  std::vector<uint8_t> labels;

  DatasetView view() const { return {pixels, labels}; }
};

// Pixels of an IDX file of 28 x 28 images; throws DatasetError.
std::vector<uint8_t> ReadImages(const std::string& path);

// Labels of an IDX file, each below kClasses; throws DatasetError.
std::vector<uint8_t> ReadLabels(const std::string& path);

// The images and labels of one half of the data set, as many of one as of the other; throws DatasetError.
Dataset ReadTrainingSet(const std::string& folder = kDefaultFolder);
Dataset ReadTestSet(const std::string& folder = kDefaultFolder);

}  // namespace fashion
