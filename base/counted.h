// Counted(n, "task"): "1 task", "2 tasks". For every sentence with a count and a noun, so that the two agree. Pure.
#pragma once

#include <concepts>
#include <string>
#include <string_view>

#include "base/strings.h"

namespace raylet {

// `many`: the noun for other counts than 1, where it is not `one` with an s.
template <std::integral Count>
std::string Counted(Count count, std::string_view one, std::string_view many = {}) {
  if (count == 1) return StrCat(count, " ", one);
  return many.empty() ? StrCat(count, " ", one, "s") : StrCat(count, " ", many);
}

}  // namespace raylet
