// Shapes and headers of arrays: the parts of <ray/api/array.h> that need no element type.
#include <ray/api/array.h>

#include <bit>

#include "base/strings.h"

namespace ray::internal {
namespace {

using raylet::StrCat;

constexpr size_t kHeaderBytes = 4;  // 'A', dtype, ndim, 0
static_assert(std::endian::native == std::endian::little, "headers are little endian");

std::string ShapeText(std::span<const size_t> sizes) {
  std::string text = "(";
  for (size_t i = 0; i < sizes.size(); ++i) text += StrCat(i == 0 ? "" : ", ", sizes[i]);
  return text + ")";
}

}  // namespace

ArrayShape MakeArrayShape(std::span<const size_t> sizes, size_t element_bytes) {
  if (sizes.size() > kArrayDimensionsMax)
    throw RayException(StrCat("an array has at most ", kArrayDimensionsMax, " dimensions, not ", sizes.size()));
  ArrayShape shape;
  shape.ndim = sizes.size();
  shape.count = 1;
  // From the last dimension to the first; a dimension of size 0 makes an array without elements.
  for (size_t i = sizes.size(); i-- > 0;) {
    shape.sizes[i] = sizes[i];
    shape.strides[i] = shape.count;
    size_t bytes = 0;
    if (__builtin_mul_overflow(shape.count, sizes[i], &shape.count) ||
        __builtin_mul_overflow(shape.count, element_bytes, &bytes) || bytes > (size_t{1} << 47))
      throw RayException(StrCat("an array of shape ", ShapeText(sizes), " is larger than any memory"));
  }
  return shape;
}

std::string EncodeArrayHeader(const ArrayShape& shape, Dtype dtype) {
  std::string header = {'A', static_cast<char>(dtype), static_cast<char>(shape.ndim), '\0'};
  for (size_t i = 0; i < shape.ndim; ++i) {
    const uint64_t size = shape.sizes[i];
    header.append(reinterpret_cast<const char*>(&size), sizeof size);
  }
  return header;
}

ArrayShape DecodeArrayHeader(const ArrayStorage& storage, Dtype dtype, size_t element_bytes) {
  const std::string_view header = storage.metadata();
  const size_t ndim = header.size() < kHeaderBytes ? 0 : static_cast<unsigned char>(header[2]);
  if (header.size() < kHeaderBytes || header[0] != 'A' || ndim > kArrayDimensionsMax ||
      header.size() != kHeaderBytes + ndim * sizeof(uint64_t))
    throw RayException(StrCat("an array of ", DtypeName(dtype), " was expected, and the object holds no array"));
  const auto written = static_cast<Dtype>(header[1]);
  if (written != dtype)
    throw RayException(
        StrCat("this is an array of ", DtypeName(written), ", and one of ", DtypeName(dtype), " was expected"));
  std::array<size_t, kArrayDimensionsMax> sizes{};
  std::memcpy(sizes.data(), header.data() + kHeaderBytes, ndim * sizeof(uint64_t));
  const std::span<const size_t> used(sizes.data(), ndim);
  const ArrayShape shape = MakeArrayShape(used, element_bytes);
  if (shape.count * element_bytes != storage.size_bytes())
    throw RayException(StrCat("an array of ", DtypeName(dtype), " of shape ", ShapeText(used), " takes ",
                              shape.count * element_bytes, " bytes, and the object has ", storage.size_bytes()));
  return shape;
}

std::shared_ptr<ArrayStorage> UnpackArrayStorage(std::string_view id) {
  if (id.size() != kIdBytes) throw RayException(StrCat("the id of an array has ", kIdBytes, " bytes, not ", id.size()));
  return CurrentRuntime().UnpackArray(id);
}

std::shared_ptr<ArrayStorage> AllocateArrayStorage(const ArrayShape& shape, Dtype dtype, size_t element_bytes) {
  return CurrentRuntime().AllocateArray(shape.count * element_bytes, EncodeArrayHeader(shape, dtype));
}

size_t ArrayOffset(const ArrayShape& shape, std::span<const size_t> indices) {
  const std::span<const size_t> sizes(shape.sizes.data(), shape.ndim);
  if (indices.size() != shape.ndim)
    throw RayException(
        StrCat("an array of shape ", ShapeText(sizes), " takes ", shape.ndim, " indices, not ", indices.size()));
  size_t offset = 0;
  for (size_t i = 0; i < indices.size(); ++i) {
    if (indices[i] >= shape.sizes[i])
      throw RayException(StrCat("index ", ShapeText(indices), " is outside of an array of shape ", ShapeText(sizes)));
    offset += indices[i] * shape.strides[i];
  }
  if (shape.count == 0) throw RayException("this array has no elements");
  return offset;
}

void ThrowNoArray() {
  throw RayException("this array was sealed already: after Seal(), use the Array that it returned");
}

}  // namespace ray::internal
