#include "client/ray/api/arrow_tensor.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/counted.h"
#include "base/strings.h"
#include "client/ray/api/arrow_message.h"
#include "fbs/arrow_generated.h"

namespace ray::internal {
namespace {

namespace ipc = raylet::arrow_ipc;
using raylet::ErrorCode;
using raylet::Result;
using raylet::StrCat;

constexpr std::string_view kTypeKey = "raylet.type";
constexpr std::string_view kBoolValue = "bool";

// ---- writing -------------------------------------------------------------------------------------------------------

// The header of every array of one type and number of dimensions, and where the numbers lie that differ.
constexpr size_t kHeaderBytesMax = 512;
struct HeaderForm {
  std::array<std::byte, kHeaderBytesMax> bytes{};
  size_t size = 0;
  size_t body_length_at = 0, data_length_at = 0, strides_at = 0;
  std::array<size_t, kArrayDimensionsMax> sizes_at{};
  std::array<size_t, 2 + 2 * kArrayDimensionsMax> numbers_at{};  // all of these in order
  size_t numbers = 0;
};

bool IsReal(Dtype dtype) { return dtype == Dtype::kFloat32 || dtype == Dtype::kFloat64; }
bool IsSigned(Dtype dtype) { return dtype >= Dtype::kInt8 && dtype <= Dtype::kInt64; }

flatbuffers::Offset<ipc::Message> BuildMessage(flatbuffers::FlatBufferBuilder& builder, Dtype dtype, size_t ndim) {
  flatbuffers::Offset<flatbuffers::Vector<flatbuffers::Offset<ipc::KeyValue>>> custom = 0;
  if (dtype == Dtype::kBool) {
    const auto key = builder.CreateString(kTypeKey);
    const auto value = builder.CreateString(kBoolValue);
    const std::vector pairs{ipc::CreateKeyValue(builder, key, value)};
    custom = builder.CreateVector(pairs);
  }
  const auto type = IsReal(dtype)
                        ? ipc::CreateFloatingPoint(
                              builder, dtype == Dtype::kFloat32 ? ipc::Precision::SINGLE : ipc::Precision::DOUBLE)
                              .Union()
                        : ipc::CreateInt(builder, static_cast<int>(8 * ElementBytes(dtype)), IsSigned(dtype)).Union();
  std::vector<flatbuffers::Offset<ipc::TensorDim>> dimensions;
  for (size_t i = 0; i < ndim; ++i) dimensions.push_back(ipc::CreateTensorDim(builder));
  const auto shape = builder.CreateVector(dimensions);
  const auto strides = builder.CreateVector(std::vector<int64_t>(ndim));
  const ipc::Buffer data(0, 0);
  const auto tensor = ipc::CreateTensor(builder, IsReal(dtype) ? ipc::Type::FloatingPoint : ipc::Type::Int, type, shape,
                                        strides, &data);
  return ipc::CreateMessage(builder, ipc::MetadataVersion::V5, ipc::MessageHeader::Tensor, tensor.Union(), 0, custom);
}

void MakeForm(HeaderForm& form, Dtype dtype, size_t ndim) {
  flatbuffers::FlatBufferBuilder builder;
  builder.ForceDefaults(true);  // so that each number has its place
  builder.Finish(BuildMessage(builder, dtype, ndim));
  const uint8_t* const metadata = builder.GetBufferPointer();
  const auto place_of = [metadata](const void* number) {
    return kMessagePrefixBytes + static_cast<size_t>(static_cast<const uint8_t*>(number) - metadata);
  };
  const auto field_of = [](const auto* table, flatbuffers::voffset_t field) {
    return reinterpret_cast<const flatbuffers::Table*>(table)->GetAddressOf(field);
  };
  std::string header;
  AppendMessageHead(header, metadata, builder.GetSize());
  form.size = header.size();
  RAYLET_CHECK(form.size <= form.bytes.size(), "the header of an array is longer than its form has room for");
  std::memcpy(form.bytes.data(), header.data(), form.size);
  const auto* const message = flatbuffers::GetRoot<ipc::Message>(metadata);
  const auto* const tensor = message->header_as_Tensor();
  form.body_length_at = place_of(field_of(message, ipc::Message::VT_BODY_LENGTH));
  form.data_length_at = place_of(tensor->data()) + sizeof(int64_t);
  form.strides_at = place_of(tensor->strides()->Data());
  for (size_t i = 0; i < ndim; ++i) {
    const auto* const dimension = tensor->shape()->Get(static_cast<uint32_t>(i));
    form.sizes_at[i] = place_of(field_of(dimension, ipc::TensorDim::VT_SIZE));
    form.numbers_at[form.numbers++] = form.sizes_at[i];
    form.numbers_at[form.numbers++] = form.strides_at + i * sizeof(int64_t);
  }
  form.numbers_at[form.numbers++] = form.body_length_at;
  form.numbers_at[form.numbers++] = form.data_length_at;
  std::sort(form.numbers_at.begin(), form.numbers_at.begin() + static_cast<ptrdiff_t>(form.numbers));
}

// Made when it is first needed, because a process makes arrays of few types.
const HeaderForm& FormOf(Dtype dtype, size_t ndim) {
  struct Place {
    std::atomic<bool> made = false;  // set when `form` is there for all
    std::once_flag once;
    HeaderForm form;
  };
  constexpr size_t kTypes = static_cast<size_t>(Dtype::kFloat64) + 1;
  static std::array<std::array<Place, kArrayDimensionsMax + 1>, kTypes> places;
  Place& place = places.at(static_cast<size_t>(dtype)).at(ndim);
  // Pairs with the store below: a thread that sees it sees the form.
  if (place.made.load(std::memory_order_acquire)) return place.form;
  std::call_once(place.once, [&] {
    MakeForm(place.form, dtype, ndim);
    place.made.store(true, std::memory_order_release);  // publishes the form
  });
  return place.form;
}

void WriteHeader(const HeaderForm& form, const ArrayShape& shape, size_t element_bytes, std::byte* header) {
  std::memcpy(header, form.bytes.data(), form.size);
  const auto put = [header](size_t at, uint64_t number) { std::memcpy(header + at, &number, sizeof number); };
  put(form.body_length_at, shape.count * element_bytes);
  put(form.data_length_at, shape.count * element_bytes);
  for (size_t i = 0; i < shape.ndim; ++i) {
    put(form.sizes_at[i], shape.sizes[i]);
    put(form.strides_at + i * sizeof(int64_t), shape.strides[i] * element_bytes);
  }
}

// ---- reading -------------------------------------------------------------------------------------------------------

template <class... Parts>
tl::unexpected<raylet::Error> NoTensor(const Parts&... parts) {
  return raylet::Fail(ErrorCode::kProtocolError, StrCat("it holds no Arrow tensor that an array can show: ", parts...));
}

// kNone: an array has no such elements.
Dtype DtypeOfTensor(const ipc::Message& message, const ipc::Tensor& tensor) {
  if (const auto* const real = tensor.type_as_FloatingPoint(); real != nullptr) {
    if (real->precision() == ipc::Precision::SINGLE) return Dtype::kFloat32;
    return real->precision() == ipc::Precision::DOUBLE ? Dtype::kFloat64 : Dtype::kNone;
  }
  const auto* const whole = tensor.type_as_Int();
  if (whole == nullptr) return Dtype::kNone;
  const bool is_signed = whole->is_signed();
  switch (whole->bit_width()) {
    case 8: break;
    case 16: return is_signed ? Dtype::kInt16 : Dtype::kUint16;
    case 32: return is_signed ? Dtype::kInt32 : Dtype::kUint32;
    case 64: return is_signed ? Dtype::kInt64 : Dtype::kUint64;
    default: return Dtype::kNone;
  }
  if (is_signed) return Dtype::kInt8;
  const auto* const pairs = message.custom_metadata();
  for (uint32_t i = 0; pairs != nullptr && i < pairs->size(); ++i) {
    const ipc::KeyValue& pair = *pairs->Get(i);
    if (pair.key() == nullptr || pair.key()->string_view() != kTypeKey) continue;
    if (pair.value() != nullptr && pair.value()->string_view() == kBoolValue) return Dtype::kBool;
  }
  return Dtype::kUint8;
}

// Fails unless the elements lie row by row. The stride of a dimension of one element, or of none, says nothing.
Result<void> CheckStrides(const flatbuffers::Vector<int64_t>* strides, const ArrayShape& shape, size_t element_bytes) {
  if (strides == nullptr || strides->size() == 0) return {};
  if (strides->size() != shape.ndim)
    return NoTensor("it has ", raylet::Counted(strides->size(), "stride"), " for ",
                    raylet::Counted(shape.ndim, "dimension"));
  if (reinterpret_cast<uintptr_t>(strides->Data()) % sizeof(int64_t) != 0) return NoTensor("its strides are unaligned");
  if (shape.count == 0) return {};
  for (size_t i = 0; i < shape.ndim; ++i) {
    const int64_t stride = strides->Get(static_cast<uint32_t>(i));
    if (shape.sizes[i] > 1 && stride != static_cast<int64_t>(shape.strides[i] * element_bytes))
      return NoTensor("its elements do not lie row by row: the stride of dimension ", i, " is ", stride, " bytes, and ",
                      shape.strides[i] * element_bytes, " are wanted. Write it with numpy.ascontiguousarray");
  }
  return {};
}

Result<ArrayShape> ShapeOfTensor(const ipc::Tensor& tensor, size_t element_bytes) {
  std::array<size_t, kArrayDimensionsMax> sizes{};
  const uint32_t ndim = tensor.shape()->size();
  if (ndim > sizes.size()) return NoTensor("it has ", ndim, " dimensions, and an array has at most ", sizes.size());
  for (uint32_t i = 0; i < ndim; ++i) {
    const int64_t size = tensor.shape()->Get(i)->size();
    if (size < 0) return NoTensor("the size of dimension ", i, " is ", size);
    sizes[i] = static_cast<size_t>(size);
  }
  auto shape = ShapeOf({sizes.data(), ndim}, element_bytes);
  if (!shape) return NoTensor(shape.error().message);
  if (auto fits = CheckStrides(tensor.strides(), *shape, element_bytes); !fits) return raylet::Fail(fits.error());
  return shape;
}

// Strides and count of the sizes that the shape has; false where no memory could hold such an array.
bool FillShape(ArrayShape& shape, size_t element_bytes) {
  shape.count = 1;
  // From the last dimension to the first; a dimension of size 0 makes an array without elements.
  for (size_t i = shape.ndim; i-- > 0;) {
    shape.strides[i] = shape.count;
    size_t bytes = 0;
    if (__builtin_mul_overflow(shape.count, shape.sizes[i], &shape.count) ||
        __builtin_mul_overflow(shape.count, element_bytes, &bytes) || bytes > (size_t{1} << 47))
      return false;
  }
  return true;
}

uint64_t NumberAt(const std::byte* header, size_t at) {
  uint64_t number = 0;
  std::memcpy(&number, header + at, sizeof number);
  return number;
}

// Whether the header is that of this form for some shape, with a body of so many bytes.
bool HasForm(const HeaderForm& form, const std::byte* header, size_t body_bytes, size_t element_bytes,
             ArrayShape& shape) {
  size_t from = 0;
  for (size_t i = 0; i < form.numbers; from = form.numbers_at[i++] + sizeof(uint64_t))
    if (std::memcmp(header + from, form.bytes.data() + from, form.numbers_at[i] - from) != 0) return false;
  if (std::memcmp(header + from, form.bytes.data() + from, form.size - from) != 0) return false;
  for (size_t i = 0; i < shape.ndim; ++i) shape.sizes[i] = NumberAt(header, form.sizes_at[i]);
  if (!FillShape(shape, element_bytes) || shape.count * element_bytes != body_bytes) return false;
  for (size_t i = 0; i < shape.ndim; ++i)
    if (NumberAt(header, form.strides_at + i * sizeof(uint64_t)) != shape.strides[i] * element_bytes) return false;
  return NumberAt(header, form.body_length_at) == body_bytes && NumberAt(header, form.data_length_at) == body_bytes;
}

// `metadata` has no other writer, and is aligned for its numbers.
Result<ArrowTensor> ParseMetadata(std::span<const std::byte> metadata, size_t body_at, size_t body_bytes) {
  constexpr uint32_t kDepthMax = 8, kTablesMax = 200;
  flatbuffers::Verifier verifier(reinterpret_cast<const uint8_t*>(metadata.data()), metadata.size(), kDepthMax,
                                 kTablesMax);
  if (!verifier.VerifyBuffer<ipc::Message>(nullptr)) return NoTensor("its metadata is damaged");
  const ipc::Message& message = *flatbuffers::GetRoot<ipc::Message>(metadata.data());
  if (message.version() < ipc::MetadataVersion::V4 || message.version() > ipc::MetadataVersion::V5)
    return NoTensor("it is of version ", static_cast<int>(message.version()) + 1,
                    " of the format, and 4 and 5 are known");
  const auto* const tensor = message.header_as_Tensor();
  if (tensor == nullptr) return NoTensor("it is a message of another kind, ", static_cast<int>(message.header_type()));
  ArrowTensor parsed;
  parsed.dtype = DtypeOfTensor(message, *tensor);
  if (parsed.dtype == Dtype::kNone)
    return NoTensor("its elements are neither integers of 8 to 64 bits nor floats of 32 or 64 bits");
  const size_t element_bytes = ElementBytes(parsed.dtype);
  auto shape = ShapeOfTensor(*tensor, element_bytes);
  if (!shape) return raylet::Fail(std::move(shape).error());
  parsed.shape = *shape;
  if (message.body_length() < 0 || static_cast<uint64_t>(message.body_length()) != body_bytes)
    return NoTensor("its body has ", body_bytes, " bytes, and its metadata says ", message.body_length());
  const uint64_t wanted = shape->count * element_bytes;
  const int64_t offset = tensor->data()->offset(), length = tensor->data()->length();
  if (offset < 0 || length < 0 || static_cast<uint64_t>(offset) > body_bytes ||
      static_cast<uint64_t>(length) > body_bytes - static_cast<uint64_t>(offset))
    return NoTensor("its elements are said to lie at ", offset, ", in ", length, " bytes, and its body has ",
                    body_bytes);
  if (static_cast<uint64_t>(length) != wanted)
    return NoTensor("an array of ", DtypeName(parsed.dtype), " of shape ",
                    ShapeText({shape->sizes.data(), shape->ndim}), " takes ", wanted, " bytes, and it has ", length);
  parsed.elements_at = body_at + static_cast<size_t>(offset);
  return parsed;
}

}  // namespace

size_t ElementBytes(Dtype dtype) {
  switch (dtype) {
    case Dtype::kNone: return 0;
    case Dtype::kBool:
    case Dtype::kInt8:
    case Dtype::kUint8: return 1;
    case Dtype::kInt16:
    case Dtype::kUint16: return 2;
    case Dtype::kInt32:
    case Dtype::kUint32:
    case Dtype::kFloat32: return 4;
    case Dtype::kInt64:
    case Dtype::kUint64:
    case Dtype::kFloat64: return 8;
  }
  return 0;
}

std::string ShapeText(std::span<const size_t> sizes) {
  std::string text = "(";
  for (size_t i = 0; i < sizes.size(); ++i) text += StrCat(i == 0 ? "" : ", ", sizes[i]);
  return text + ")";
}

Result<ArrayShape> ShapeOf(std::span<const size_t> sizes, size_t element_bytes) {
  if (sizes.size() > kArrayDimensionsMax)
    return raylet::Fail(ErrorCode::kInvalid,
                        StrCat("an array has at most ", kArrayDimensionsMax, " dimensions, not ", sizes.size()));
  ArrayShape shape;
  shape.ndim = sizes.size();
  std::copy(sizes.begin(), sizes.end(), shape.sizes.begin());
  if (!FillShape(shape, element_bytes))
    return raylet::Fail(ErrorCode::kInvalid,
                        StrCat("an array of shape ", ShapeText(sizes), " is larger than any memory"));
  return shape;
}

size_t TensorHeaderBytes(Dtype dtype, size_t ndim) { return FormOf(dtype, ndim).size; }

void WriteTensorHeader(const ArrayShape& shape, Dtype dtype, std::span<std::byte> header) {
  const HeaderForm& form = FormOf(dtype, shape.ndim);
  RAYLET_CHECK(header.size() == form.size, "the header of an array has another length");
  WriteHeader(form, shape, ElementBytes(dtype), header.data());
}

bool ReadOwnTensor(std::span<const std::byte> message, Dtype dtype, ArrayShape& shape, size_t& elements_at) {
  if (message.size() < kMessagePrefixBytes) return false;
  uint32_t metadata_bytes = 0;
  std::memcpy(&metadata_bytes, message.data() + sizeof kMessageMark, sizeof metadata_bytes);
  elements_at = kMessagePrefixBytes + metadata_bytes;
  if (elements_at > message.size()) return false;
  for (size_t ndim = 0; ndim <= kArrayDimensionsMax; ++ndim) {
    const HeaderForm& form = FormOf(dtype, ndim);
    if (form.size > elements_at) return false;
    shape.ndim = ndim;
    if (form.size == elements_at &&
        HasForm(form, message.data(), message.size() - elements_at, ElementBytes(dtype), shape))
      return true;
  }
  return false;
}

Result<ArrowTensor> ParseTensorMessage(std::span<const std::byte> message) {
  const auto bytes = MetadataBytes(message, kTensorMetadataBytesMax);
  if (!bytes) return NoTensor(bytes.error().message);
  // Its writer may write it still, where the store does not prevent that.
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-member-init)
  alignas(8) std::array<std::byte, kTensorMetadataBytesMax> metadata;
  std::memcpy(metadata.data(), message.data() + kMessagePrefixBytes, *bytes);
  const size_t body_at = kMessagePrefixBytes + *bytes;
  return ParseMetadata({metadata.data(), *bytes}, body_at, message.size() - body_at);
}

}  // namespace ray::internal
