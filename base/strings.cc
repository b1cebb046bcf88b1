#include "base/strings.h"

#include <array>
#include <cerrno>
#include <cmath>
#include <cstdlib>

namespace raylet {

std::string FormatBytes(uint64_t bytes) {
  if (bytes < 1024) return StrCat(bytes, " B");
  constexpr std::array<std::string_view, 6> kUnits = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  // Uses whole numbers, so that no locale turns the point into a comma. Shows 1023.96 KiB as 1.0
  // MiB.
  int shift = 10;
  size_t unit = 0;
  const auto tenths_at = [bytes](int by) {
    const uint64_t whole = bytes >> by;
    const uint64_t rest = bytes & ((uint64_t{1} << by) - 1);
    const uint64_t rest_10_bits = rest >> (by - 10);  // enough for one digit, and cannot overflow
    return whole * 10 + (rest_10_bits * 10 + 512) / 1024;
  };
  while (unit + 1 < kUnits.size() && tenths_at(shift) >= 10240) {
    shift += 10;
    ++unit;
  }
  const uint64_t tenths = tenths_at(shift);
  return StrCat(tenths / 10, ".", tenths % 10, " ", kUnits[unit]);
}

std::optional<uint64_t> ParseBytes(const std::string& text) {
  char* end = nullptr;
  errno = 0;
  const double number = std::strtod(text.c_str(), &end);
  const std::string_view suffix = end;
  double unit = 0;
  if (suffix.empty()) unit = 1;
  if (suffix == "K" || suffix == "k") unit = 1024.0;
  if (suffix == "M" || suffix == "m") unit = 1048576.0;
  if (suffix == "G" || suffix == "g") unit = 1073741824.0;
  const bool whole = !text.empty() && end != text.c_str() && errno == 0 && std::isfinite(number);
  if (!whole || number * unit < 1 || number * unit > 1e15) return std::nullopt;
  return static_cast<uint64_t>(number * unit);
}

}  // namespace raylet
