#include "tools/objstat/text.h"

#include <algorithm>
#include <charconv>
#include <string_view>

#include "base/strings.h"

namespace raylet::objstat {
namespace {

constexpr uint64_t kAgeMaxMs = uint64_t{100} * 365 * 86'400'000;

const char* CodeOf(Colour colour) {
  switch (colour) {
    case Colour::kBold: return "\033[1m";
    case Colour::kGreen: return "\033[32m";
    case Colour::kYellow: return "\033[33m";
    case Colour::kRed: return "\033[31m";
  }
  return "";
}

}  // namespace

std::string Paint(const std::string& text, Colour colour, Look look) {
  return look.colours ? StrCat(CodeOf(colour), text, "\033[0m") : text;
}

std::string FormatAge(uint64_t ms) {
  if (ms < 1000) return StrCat(ms, " ms");
  const uint64_t s = ms / 1000;
  if (s < 120) return StrCat(s, " s");
  if (s < 7200) return StrCat(s / 60, " min");
  if (s < 48 * 3600) return StrCat(s / 3600, " h");
  return StrCat(s / 86400, " d");
}

std::string Objects(uint64_t count) { return StrCat(count, count == 1 ? " object" : " objects"); }

std::string Percent(uint64_t part, uint64_t of) {
  return StrCat(of == 0 ? 0 : static_cast<uint64_t>(100.0 * static_cast<double>(part) / static_cast<double>(of) + 0.5),
                " %");
}

std::string Printable(std::string text) {
  for (char& c : text)
    if (static_cast<unsigned char>(c) < ' ' || c == 0x7f) c = '?';
  return text;
}

std::string PadLeft(const std::string& text, size_t width) {
  return text.size() >= width ? text : std::string(width - text.size(), ' ') + text;
}
std::string PadRight(const std::string& text, size_t width) {
  return text.size() >= width ? text : text + std::string(width - text.size(), ' ');
}

std::string Table(const std::vector<std::vector<std::string>>& rows, size_t left, Look look) {
  std::vector<size_t> widths(rows.front().size(), 0);
  for (const auto& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string out;
  for (size_t r = 0; r < rows.size(); ++r) {
    std::string line;
    for (size_t i = 0; i < rows[r].size(); ++i) {
      if (i > 0) line += "  ";
      line += i < left ? PadRight(rows[r][i], widths[i]) : PadLeft(rows[r][i], widths[i]);
    }
    line.resize(line.find_last_not_of(' ') + 1);
    out += (r == 0 ? Paint(line, Colour::kBold, look) : line) + "\n";
  }
  return out;
}

std::optional<uint64_t> ParseAge(const std::string& text) {
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc()) return std::nullopt;
  const std::string_view unit(end, static_cast<size_t>(text.data() + text.size() - end));
  uint64_t unit_ms = 0;
  if (unit == "ms") unit_ms = 1;
  if (unit.empty() || unit == "s") unit_ms = 1000;
  if (unit == "m" || unit == "min") unit_ms = 60'000;
  if (unit == "h") unit_ms = 3'600'000;
  if (unit == "d") unit_ms = 86'400'000;
  if (unit_ms == 0 || number > kAgeMaxMs / unit_ms) return std::nullopt;
  return number * unit_ms;
}

}  // namespace raylet::objstat
