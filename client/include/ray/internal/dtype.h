// Dtype: what one element of raw bytes is. Travels in values and in the headers of arrays; stable, append only.
#pragma once

#include <ray/internal/abi.h>

#include <cstdint>
#include <type_traits>

#include <ray/internal/export.h>

namespace ray {
namespace internal {

enum class Dtype : uint8_t {
  kNone = 0,
  kBool = 1,
  kInt8 = 2,
  kInt16 = 3,
  kInt32 = 4,
  kInt64 = 5,
  kUint8 = 6,
  kUint16 = 7,
  kUint32 = 8,
  kUint64 = 9,
  kFloat32 = 10,
  kFloat64 = 11,
};

RAYLET_API const char* DtypeName(Dtype dtype);  // "float32"; "an unknown type" for bytes that name none

// kNone for types that do not travel as raw bytes.
template <class T>
constexpr Dtype DtypeOf() {
  if constexpr (std::is_same_v<T, bool>) {
    return Dtype::kBool;
  } else if constexpr (std::is_integral_v<T> && sizeof(T) <= 8) {
    constexpr int kLog = sizeof(T) == 1 ? 0 : sizeof(T) == 2 ? 1 : sizeof(T) == 4 ? 2 : 3;
    return static_cast<Dtype>(static_cast<int>(std::is_signed_v<T> ? Dtype::kInt8 : Dtype::kUint8) + kLog);
  } else if constexpr (std::is_same_v<T, float>) {
    return Dtype::kFloat32;
  } else if constexpr (std::is_same_v<T, double>) {
    return Dtype::kFloat64;
  } else {
    return Dtype::kNone;
  }
}

}  // namespace internal
}  // namespace ray
