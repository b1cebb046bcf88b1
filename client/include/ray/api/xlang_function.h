// Here by the name that programs written for Ray include: how Ray marks a value for another language. Functions of
// Python and Java cannot be called here.
#pragma once

#include <ray/internal/abi.h>

#include <cstddef>

namespace ray {
namespace internal {

inline constexpr size_t XLANG_HEADER_LEN = 9;  // the length of the value, padded with zeros

}  // namespace internal
}  // namespace ray
