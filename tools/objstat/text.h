// The words of objstat's screens: colours, ages, tables. Pure.
// Always holds: what other processes chose, such as names, holds no control character here.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace raylet::objstat {

struct Look {
  bool colours = false;
};

enum class Colour { kBold, kGreen, kYellow, kRed };
std::string Paint(const std::string& text, Colour colour, Look look);

std::string FormatAge(uint64_t ms);               // "250 ms", "12 s", "5 min", "3 h", "2 d"
std::string Objects(uint64_t count);              // "1 object", "2 objects"
std::string Percent(uint64_t part, uint64_t of);  // "12 %"; "0 %" of nothing
std::string Printable(std::string text);
std::string PadLeft(const std::string& text, size_t width);
std::string PadRight(const std::string& text, size_t width);

// Columns as wide as their widest cell. The first `left` columns are aligned to the left.
std::string Table(const std::vector<std::vector<std::string>>& rows, size_t left, Look look);

// Milliseconds of "250ms", "90", "90s", "5m", "2h" or "1d"; a number alone is seconds.
std::optional<uint64_t> ParseAge(const std::string& text);

}  // namespace raylet::objstat
