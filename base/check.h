// CHECK: one of our own invariants. A broken one is a bug: the process stops with a sentence. Never
// used on bytes from outside.
#pragma once

#include <string>

#include "base/strings.h"

namespace raylet {
[[noreturn]] void CheckFailed(const char* file, int line, const char* condition, const std::string& message);
}  // namespace raylet

// CHECK(bound <= size, "bound ", bound, " past size ", size);
#define RAYLET_CHECK(condition, ...)                                                                          \
  do {                                                                                                        \
    if (!(condition)) [[unlikely]]                                                                            \
      ::raylet::CheckFailed(__FILE__, __LINE__, #condition, ::raylet::StrCat("" __VA_OPT__(, ) __VA_ARGS__)); \
  } while (false)
