// The parts of <ray/api/serializer.h> that need no type: messages, and checks of raw elements.
#include <ray/api/serializer.h>

#include <sys/mman.h>

#include <bit>

#include "base/strings.h"
#include "client/ray/api/user_exception.h"

namespace ray::internal {

using raylet::StrCat;

namespace {

// Big-endian, as msgpack writes it.
template <class Bits>
Bits BitsAt(const char* data) {
  Bits bits = 0;
  for (size_t i = 0; i < sizeof bits; ++i)
    bits = static_cast<Bits>(static_cast<uint64_t>(bits) << 8 | static_cast<uint8_t>(data[i]));
  return bits;
}

template <class Whole>
PackedNumber WholeAt(const char* data) {
  const auto value = static_cast<Whole>(BitsAt<std::make_unsigned_t<Whole>>(data));
  PackedNumber number{PackedNumber::Kind::kUnsigned, 1 + sizeof value, static_cast<uint64_t>(value), 0};
  if (value < Whole{}) number.kind = PackedNumber::Kind::kNegative;
  return number;
}

template <class Real, class Bits>
PackedNumber RealAt(const char* data) {
  const auto bits = BitsAt<Bits>(data);
  Real value = 0;
  static_assert(sizeof value == sizeof bits);
  std::memcpy(&value, &bits, sizeof value);
  return {PackedNumber::Kind::kReal, 1 + sizeof value, 0, static_cast<double>(value)};
}

}  // namespace

// https://github.com/msgpack/msgpack/blob/master/spec.md: a byte that is the number, or says what follows.
PackedNumber ReadNumber(std::string_view bytes) {
  if (bytes.empty()) return {};
  const auto first = static_cast<uint8_t>(bytes[0]);
  if (first <= 0x7f) return {PackedNumber::Kind::kUnsigned, 1, first, 0};
  if (first >= 0xe0) return {PackedNumber::Kind::kNegative, 1, static_cast<uint64_t>(static_cast<int8_t>(first)), 0};
  const char* const data = bytes.data() + 1;
  const size_t left = bytes.size() - 1;
  switch (first) {
    case 0xca: return left < 4 ? PackedNumber() : RealAt<float, uint32_t>(data);
    case 0xcb: return left < 8 ? PackedNumber() : RealAt<double, uint64_t>(data);
    case 0xcc: return left < 1 ? PackedNumber() : WholeAt<uint8_t>(data);
    case 0xcd: return left < 2 ? PackedNumber() : WholeAt<uint16_t>(data);
    case 0xce: return left < 4 ? PackedNumber() : WholeAt<uint32_t>(data);
    case 0xcf: return left < 8 ? PackedNumber() : WholeAt<uint64_t>(data);
    case 0xd0: return left < 1 ? PackedNumber() : WholeAt<int8_t>(data);
    case 0xd1: return left < 2 ? PackedNumber() : WholeAt<int16_t>(data);
    case 0xd2: return left < 4 ? PackedNumber() : WholeAt<int32_t>(data);
    case 0xd3: return left < 8 ? PackedNumber() : WholeAt<int64_t>(data);
    default: return {};
  }
}

PackedExtension ReadExtension(std::string_view bytes, int8_t kind) {
  constexpr size_t kHeaderBytes = 3;  // ext 8: the mark, the length, the kind
  if (bytes.size() < kHeaderBytes || static_cast<uint8_t>(bytes[0]) != 0xc7 || static_cast<int8_t>(bytes[2]) != kind)
    return {};
  const size_t length = static_cast<uint8_t>(bytes[1]);
  if (bytes.size() - kHeaderBytes < length) return {};
  return {bytes.substr(kHeaderBytes, length), kHeaderBytes + length};
}

const char* DtypeName(Dtype dtype) {
  switch (dtype) {
    case Dtype::kNone: break;
    case Dtype::kBool: return "bool";
    case Dtype::kInt8: return "int8";
    case Dtype::kInt16: return "int16";
    case Dtype::kInt32: return "int32";
    case Dtype::kInt64: return "int64";
    case Dtype::kUint8: return "uint8";
    case Dtype::kUint16: return "uint16";
    case Dtype::kUint32: return "uint32";
    case Dtype::kUint64: return "uint64";
    case Dtype::kFloat32: return "float32";
    case Dtype::kFloat64: return "float64";
  }
  return "an unknown type";
}

void AdviseHugePages(void* memory, size_t bytes) {
  constexpr uintptr_t kHugePageBytes = uintptr_t{2} << 20;
  const auto begin = reinterpret_cast<uintptr_t>(memory);
  const uintptr_t first = (begin + kHugePageBytes - 1) / kHugePageBytes * kHugePageBytes;
  const uintptr_t end = (begin + bytes) / kHugePageBytes * kHugePageBytes;
  // Refused: it is slower, and no more.
  if (first < end) static_cast<void>(::madvise(std::bit_cast<void*>(first), end - first, MADV_HUGEPAGE));
}

void ThrowCannotRead(const std::type_info& type, size_t bytes, const char* reason) {
  throw RayException(StrCat("cannot read a value of type ", Demangle(type.name()), " from ", bytes, " bytes: ", reason),
                     {.cause = reason, .hint = "read it as the type that it was written as"});
}

void ThrowCannotWrite(const std::type_info& type, const char* reason) {
  throw RayException(StrCat("cannot write a value of type ", Demangle(type.name()), ": ", reason));
}

std::string_view ElementsOf(std::string_view bytes, const std::type_info& type, Dtype dtype, size_t element_bytes) {
  if (bytes.size() < kElementsHeaderBytes || bytes[0] != kFormatElements)
    ThrowCannotRead(type, bytes.size(), StrCat("they are no elements of ", DtypeName(dtype)).c_str());
  const auto written = static_cast<Dtype>(bytes[1]);
  if (written != dtype)
    ThrowCannotRead(
        type, bytes.size(),
        StrCat("they hold elements of ", DtypeName(written), ", and ", DtypeName(dtype), " is wanted").c_str());
  const std::string_view elements = bytes.substr(kElementsHeaderBytes);
  if (elements.size() % element_bytes != 0) ThrowCannotRead(type, bytes.size(), "the last element is cut off");
  return elements;
}

}  // namespace ray::internal
