// An array in the store that another program may have written, or bytes that a program takes for an Arrow message.
#include <string>
#include <vector>

#include "client/ray/api/arrow_tensor.h"
#include "tests/fuzz/fuzz.h"

using namespace ray::internal;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto message = raylet::fuzz::AsBytes(data, size);
  const auto parsed = ParseTensorMessage(message);
  for (const Dtype dtype : {Dtype::kBool, Dtype::kFloat32}) {
    ArrayShape own;
    size_t elements_at = 0;
    if (!ReadOwnTensor(message, dtype, own, elements_at)) continue;
    FUZZ_ASSERT(parsed && parsed->dtype == dtype && parsed->elements_at == elements_at);
    FUZZ_ASSERT(parsed->shape.ndim == own.ndim && parsed->shape.sizes == own.sizes);
  }
  if (!parsed) {
    FUZZ_ASSERT(parsed.error().code == raylet::ErrorCode::kProtocolError);
    return 0;
  }
  const size_t element_bytes = ElementBytes(parsed->dtype);
  const size_t bytes = parsed->shape.count * element_bytes;
  FUZZ_ASSERT(element_bytes != 0);
  FUZZ_ASSERT(parsed->elements_at <= size && bytes <= size - parsed->elements_at);
  raylet::fuzz::Touch(message.data() + parsed->elements_at, bytes);

  const ArrayShape& shape = parsed->shape;
  const size_t header_bytes = TensorHeaderBytes(parsed->dtype, shape.ndim);
  std::vector<std::byte> written(header_bytes + bytes);
  WriteTensorHeader(shape, parsed->dtype, std::span(written).first(header_bytes));
  const auto again = ParseTensorMessage(written);
  FUZZ_ASSERT(again && again->dtype == parsed->dtype && again->elements_at == header_bytes);
  FUZZ_ASSERT(again->shape.ndim == shape.ndim && again->shape.sizes == shape.sizes);
  return 0;
}
