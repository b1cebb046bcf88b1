// The library serves programs in C++20 whose standard library has the same layout of strings and containers. A program
// with another layout does not link: the missing symbol names the macro.
#pragma once

#if __cplusplus < 202002L
#error "ray:: needs C++20: compile with -std=c++20 (CMake: target_link_libraries(… raylet::ray) does it)"
#include <ray/compile-with-std-c++20>  // there is no such file: no further errors
#endif

#include <cstddef>

#include <ray/internal/export.h>

#if defined(_GLIBCXX_USE_CXX11_ABI) && !_GLIBCXX_USE_CXX11_ABI
#define RAYLET_ABI_OF_STRINGS library_built_with_GLIBCXX_USE_CXX11_ABI_0
#else
#define RAYLET_ABI_OF_STRINGS library_built_with_GLIBCXX_USE_CXX11_ABI_1
#endif
#ifdef _GLIBCXX_DEBUG
#define RAYLET_ABI_OF_CONTAINERS library_built_with_GLIBCXX_DEBUG
#else
#define RAYLET_ABI_OF_CONTAINERS library_built_without_GLIBCXX_DEBUG
#endif

namespace ray {
namespace internal {

extern RAYLET_API const char RAYLET_ABI_OF_STRINGS;
extern RAYLET_API const char RAYLET_ABI_OF_CONTAINERS;
[[gnu::used]] static const char* const kAbi[] = {&RAYLET_ABI_OF_STRINGS, &RAYLET_ABI_OF_CONTAINERS};

}  // namespace internal
}  // namespace ray
