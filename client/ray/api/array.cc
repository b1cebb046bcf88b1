// Shapes and memory of arrays: the parts of <ray/api/array.h> that need no element type.
#include <ray/api/array.h>

#include <algorithm>

#include "base/strings.h"
#include "client/ray/api/arrow_tensor.h"

namespace ray::internal {
namespace {

using raylet::StrCat;

ArrowTensor ReadTensor(std::span<const std::byte> message, Dtype dtype) {
  auto tensor = ParseTensorMessage(message);
  if (!tensor)
    throw RayException(
        StrCat("an array of ", DtypeName(dtype), " was expected, and there is none: ", tensor.error().message));
  if (tensor->dtype != dtype)
    throw RayException(
        StrCat("this is an array of ", DtypeName(tensor->dtype), ", and one of ", DtypeName(dtype), " was expected"));
  return *tensor;
}

}  // namespace

ArrayShape MakeArrayShape(std::span<const size_t> sizes, size_t element_bytes) {
  auto shape = ShapeOf(sizes, element_bytes);
  if (!shape) throw RayException(shape.error().message);
  return *shape;
}

ArrayMemory AllocateArray(const ArrayShape& shape, Dtype dtype) {
  const size_t header_bytes = TensorHeaderBytes(dtype, shape.ndim);
  auto storage = CurrentRuntime().AllocateArray(header_bytes + shape.count * ElementBytes(dtype));
  WriteTensorHeader(shape, dtype, {static_cast<std::byte*>(storage->mutable_data()), header_bytes});
  return {std::move(storage), header_bytes};
}

ArrayMemory OpenArray(std::string_view id, Dtype dtype, ArrayShape& shape) {
  if (id.size() != kIdBytes) throw RayException(StrCat("the id of an array has ", kIdBytes, " bytes, not ", id.size()));
  return OpenArray(CurrentRuntime().UnpackArray(id), dtype, shape);
}

ArrayMemory OpenArray(std::shared_ptr<ArrayStorage> storage, Dtype dtype, ArrayShape& shape) {
  const std::span message(static_cast<const std::byte*>(storage->data()), storage->size_bytes());
  size_t elements_at = 0;
  if (!ReadOwnTensor(message, dtype, shape, elements_at)) {
    const auto tensor = ReadTensor(message, dtype);
    shape = tensor.shape;
    elements_at = tensor.elements_at;
  }
  if (elements_at % kMessageAlignment != 0)
    throw RayException(StrCat("the elements of this tensor begin at byte ", elements_at,
                              " of its message, and an array's are 64-byte aligned: write it with an alignment of 64"));
  return {std::move(storage), elements_at};
}

const void* ElementsOfTensor(std::span<const std::byte> message, Dtype dtype, ArrayShape& shape) {
  const auto tensor = ReadTensor(message, dtype);
  const auto elements = message.subspan(tensor.elements_at, tensor.shape.count * ElementBytes(dtype));
  const auto none = std::ranges::find_if(elements, [](std::byte element) { return element > std::byte{1}; });
  if (dtype == Dtype::kBool && none != elements.end())
    throw RayException(StrCat("element ", none - elements.begin(), " of this tensor is ", static_cast<int>(*none),
                              ", and a bool is 0 or 1"));
  shape = tensor.shape;
  return elements.data();
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
